"""Image files in one folder per class, in a folder or an archive: `<class>/…/<name>.jpg`, or `<part>/<class>/…`.

Folders around everything are looked through. Files of other kinds, or beside the classes, are left alone.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from assay.data.decode import SUFFIXES
from assay.data.image_files import Found, drawn, index_of
from assay.data.members import Member, list_members
from assay.files import AssayError
from assay.study.images import FolderSource, ImagesSpec
from assay.study.sources import ROLES, WHOLE

LIBRARIES = ("pandas", "tifffile", "pillow")
PARTS = ("train", "val", "valid", "validation", "test")  # usual names of parts, never of classes


def catalogue(source: FolderSource, folder: Path, scratch: Path) -> tuple[list[str], pd.DataFrame]:
    """The classes' names, and all images: id (the path), label, part, row in the part, hashes of pixels and of bytes.

    An image in an archive has the place of its bytes too.
    """
    found = _find(source, folder)
    classes = list(source.classes or sorted({each.label for each in found}))
    parts = list(dict.fromkeys(map(source.part, ROLES)))
    files = [each for part in parts for each in found if each.part == part and each.label in classes]
    _require_all(source, folder, classes, parts, files)
    return classes, index_of(source, folder, classes, files)


def open_split(spec: ImagesSpec, index: Path, folder: Path, scratch: Path) -> tuple[pd.DataFrame, Iterator[np.ndarray]]:
    """The drawn rows of the index, and their images in chunks; of images to train on, where their bytes lie instead."""
    return drawn(spec, index, folder)


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
