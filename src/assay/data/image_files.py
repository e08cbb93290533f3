"""Images of a data set that has a file for each: their index, and the stacks and lists that are drawn from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from assay.data.decode import content_hash, decode
from assay.data.listed import PLACE, places
from assay.data.members import Member, read_member
from assay.data.reading import read_in_chunks
from assay.data.roles import draw, read_index
from assay.files import AssayError
from assay.stacks import pixel_hashes
from assay.study.images import FilesSource, ImagesSpec
from assay.study.sources import ROLES

SHOWN = 10  # unreadable files that a message names


class Found(NamedTuple):
    """An image file: its part, its class, and where it lies."""

    part: str
    label: str
    member: Member


def index_of(source: FilesSource, root: Path, classes: Sequence[str], files: Sequence[Found]) -> pd.DataFrame:
    """All images: id (the path), label, part, row in the part, hashes of pixels and of bytes.

    The files come part by part, test images first. An image in an archive has the place of its bytes too.
    """
    numbers = {name: label for label, name in enumerate(classes)}
    table = pd.DataFrame({"id": [each.member.path for each in files], "label": [numbers[each.label] for each in files]})
    table["file"] = [each.part for each in files]
    table["row"] = table.groupby("file", sort=False).cumcount()
    hashes = list(_hashes(root, [each.member for each in files], source))
    table[["pixels", "content"]] = hashes
    for column in PLACE[1:] if root.is_file() else ():
        table[column] = [getattr(each.member, column) for each in files]
    return table


def drawn(spec: ImagesSpec, index: Path, root: Path) -> tuple[pd.DataFrame, Iterator[np.ndarray]]:
    """The drawn rows of the index, and their images in chunks; of images to train on, where their bytes lie instead."""
    parts = {split: spec.images.part(split) for split in ROLES}
    rows = draw(read_index(index, spec.images), spec, parts).reset_index(drop=True)
    if spec.split == "train":
        return rows[["id", "label", "pixels", "content", *(name for name in PLACE[1:] if name in rows)]], iter(())
    return rows[["id", "label", "pixels"]], _images(root, list(places(rows)), spec.images)


def _hashes(root: Path, members: Sequence[Member], source: FilesSource) -> Iterator[tuple[str, str]]:
    """The hashes of each file's pixels and of its bytes. Files that are no whole images are named, all at once."""

    def hashed(member: Member) -> tuple[str, str] | AssayError:
        try:
            content = read_member(root, member)
            return pixel_hashes(decode(content, str(root / member.path), source)[None])[0], content_hash(content)
        except AssayError as error:
            return error

    faults = []
    for chunk in read_in_chunks(members, hashed, f"read {root}"):
        faults += [each for each in chunk if isinstance(each, AssayError)]
        yield from (each for each in chunk if not isinstance(each, AssayError))
    if faults:
        more = [f"{root}: {len(faults) - SHOWN} more like these"] if len(faults) > SHOWN else []
        raise AssayError("\n".join([*map(str, faults[:SHOWN]), *more]))


def _images(root: Path, members: Sequence[Member], source: FilesSource) -> Iterator[np.ndarray]:
    """The images of the files, in chunks (k, size, size, 3)."""

    def read(member: Member) -> np.ndarray:
        return decode(read_member(root, member), str(root / member.path), source)

    return map(np.stack, read_in_chunks(members, read, f"read {root}"))
