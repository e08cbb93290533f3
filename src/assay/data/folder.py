"""Image files in one folder per class, in a folder or an archive: `<class>/…/<name>.jpg`, or `<part>/<class>/…`.

Folders around everything are looked through. Files of other kinds, or beside the classes, are left alone.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import pandas as pd

from assay.data.decode import SUFFIXES, content_hash, decode
from assay.data.listed import PLACE, places
from assay.data.members import Member, list_members, read_member
from assay.data.reading import read_in_chunks
from assay.data.roles import draw, read_index
from assay.files import AssayError
from assay.stacks import pixel_hashes
from assay.study.images import ROLES, WHOLE, FolderSource, ImagesSpec

LIBRARIES = ("pandas", "tifffile", "pillow")
SHOWN = 10  # unreadable files that a message names
PARTS = ("train", "val", "valid", "validation", "test")  # usual names of parts, never of classes


class Found(NamedTuple):
    """An image file: its part, its class, and where it lies."""

    part: str
    label: str
    member: Member


def catalogue(source: FolderSource, folder: Path, scratch: Path) -> tuple[list[str], pd.DataFrame]:
    """The classes' names, and all images: id (the path), label, part, row in the part, hashes of pixels and of bytes.

    An image in an archive has the place of its bytes too.
    """
    found = _find(source, folder)
    classes = list(source.classes or sorted({each.label for each in found}))
    parts = list(dict.fromkeys(map(source.part, ROLES)))
    files = [each for part in parts for each in found if each.part == part and each.label in classes]
    _require_all(source, folder, classes, parts, files)
    numbers = {name: label for label, name in enumerate(classes)}
    table = pd.DataFrame({"id": [each.member.path for each in files], "label": [numbers[each.label] for each in files]})
    table["file"] = [each.part for each in files]
    table["row"] = table.groupby("file", sort=False).cumcount()
    hashes = list(_hashes(folder, [each.member for each in files], source.size))
    table[["pixels", "content"]] = hashes
    for column in PLACE[1:] if folder.is_file() else ():
        table[column] = [getattr(each.member, column) for each in files]
    return classes, table


def open_split(spec: ImagesSpec, index: Path, folder: Path, scratch: Path) -> tuple[pd.DataFrame, Iterator[np.ndarray]]:
    """The drawn rows of the index, and their images in chunks; of images to train on, where their bytes lie instead."""
    parts = {split: spec.images.part(split) for split in ROLES}
    rows = draw(read_index(index, spec.images), spec, parts).reset_index(drop=True)
    if spec.split == "train":
        return rows[["id", "label", "pixels", "content", *(name for name in PLACE[1:] if name in rows)]], iter(())
    return rows[["id", "label", "pixels"]], _images(folder, list(places(rows)), spec.images.size)


def _find(source: FolderSource, root: Path) -> list[Found]:
    """The image files that lie in a class's folder, in the order of their paths."""
    members = list_members(root)
    images = [each for each in members if PurePosixPath(each.path).suffix.lower() in SUFFIXES]
    if len(images) < len(members):
        print(f"{root}: {len(members) - len(images)} files are not images; they are left alone", file=sys.stderr)
    parts = set(source.parts.values()) if source.parts else set()
    around, above = _folders_around(images, parts), bool(parts)
    found = []
    for member in images:
        folders = member.path.split("/")[around:-1]
        if len(folders) > above:
            found.append(Found(folders[0] if parts else WHOLE, folders[above], member))
    return found


def _folders_around(images: Sequence[Member], parts: set[str]) -> int:
    """How many folders lie one in the other around all images, above the classes or the parts."""
    around = 0
    while images and all(each.path.count("/") > around + 1 for each in images):
        names = {each.path.split("/")[around] for each in images}
        if len(names) > 1 or names & parts:
            break
        around += 1
    return around


def _require_all(
    source: FolderSource, root: Path, classes: Sequence[str], parts: Sequence[str], files: Sequence[Found]
) -> None:
    """Refuse a data set that lacks images of a class or a part."""
    if classes and {name.lower() for name in classes} <= set(PARTS):
        raise AssayError(f"{root}: {', '.join(classes)} are parts, not classes; name them in images.parts")
    for part in parts:
        held = {each.label for each in files if each.part == part}
        if source.parts and not held:
            raise AssayError(f"{root}: has no folder {part} with images of the classes; correct images.parts")
        if missing := [name for name in classes if name not in held]:
            where = f" in {part}" if source.parts else ""
            raise AssayError(f"{root}: has no images of class {missing[0]}{where}; add some, or correct images.classes")
    if len(classes) < 2:
        raise AssayError(f"{root}: needs a folder with images for each of two classes or more; see config/README.md")


def _hashes(root: Path, members: Sequence[Member], size: int) -> Iterator[tuple[str, str]]:
    """The hashes of each file's pixels and of its bytes. Files that are no whole images are named, all at once."""

    def hashed(member: Member) -> tuple[str, str] | AssayError:
        try:
            content = read_member(root, member)
            return pixel_hashes(decode(content, str(root / member.path), size)[None])[0], content_hash(content)
        except AssayError as error:
            return error

    faults = []
    for chunk in read_in_chunks(members, hashed, f"read {root}"):
        faults += [each for each in chunk if isinstance(each, AssayError)]
        yield from (each for each in chunk if not isinstance(each, AssayError))
    if faults:
        more = [f"{root}: {len(faults) - SHOWN} more like these"] if len(faults) > SHOWN else []
        raise AssayError("\n".join([*map(str, faults[:SHOWN]), *more]))


def _images(root: Path, members: Sequence[Member], size: int) -> Iterator[np.ndarray]:
    """The images of the files, in chunks (k, size, size, 3)."""

    def read(member: Member) -> np.ndarray:
        return decode(read_member(root, member), str(root / member.path), size)

    return map(np.stack, read_in_chunks(members, read, f"read {root}"))
