"""The files of a folder, a `.zip` or an uncompressed `.tar`, listed once and then read one by one where they lie.

Reading opens, seeks and closes: it shares nothing, so any number of threads and processes may do it at once.
"""

from __future__ import annotations

import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from assay.files import AssayError

LOCAL_HEADER = struct.Struct("<26x2H")  # of a file in a zip: the lengths of its name and of its extra field
WHOLE_FILE = -1


@dataclass(frozen=True, slots=True)
class Member:
    """A file of a data set: its path within the folder or archive, and where its bytes lie in the archive."""

    path: str
    offset: int = 0
    length: int = WHOLE_FILE  # bytes in the archive
    deflated: bool = False


def list_members(root: Path) -> list[Member]:
    """All files below a folder, or in an archive, in the order of their paths; hidden ones are left out."""
    if root.is_dir():
        found = _in_folder(root)
    elif root.suffix == ".zip" and root.is_file():
        found = _in_zip(root)
    elif root.suffix == ".tar" and root.is_file():
        found = _in_tar(root)
    elif root.exists():
        raise AssayError(f"{root}: is neither a folder nor a .zip or .tar; unpack it")
    else:
        raise AssayError(f"{root}: not found; put the data set there, or correct images.folder")
    visible = (each for each in found if not any(part[0] == "." or part == "__MACOSX" for part in each.path.split("/")))
    return sorted(visible, key=lambda each: each.path)


def read_member(root: Path, member: Member) -> bytes:
    """The bytes of a file."""
    if member.length == WHOLE_FILE:
        try:
            return (root / member.path).read_bytes()
        except FileNotFoundError:
            raise AssayError(f"{root / member.path}: not found, but the index names it; put it back") from None
    try:
        with open(root, "rb", buffering=0) as archive:
            stored = os.pread(archive.fileno(), member.length, member.offset)
    except FileNotFoundError:
        raise AssayError(f"{root}: not found, but the index names it; put it back") from None
    if not member.deflated:
        return stored
    try:
        return zlib.decompress(stored, -zlib.MAX_WBITS)
    except zlib.error as error:
        raise AssayError(f"{root / member.path}: cannot be unpacked ({error}); get the archive anew") from None


def _in_folder(root: Path) -> Iterator[Member]:
    for folder, _, names in os.walk(root, followlinks=True):
        for name in names:
            yield Member((Path(folder) / name).relative_to(root).as_posix())


def _in_zip(root: Path) -> Iterator[Member]:
    try:
        with zipfile.ZipFile(root) as archive, open(root, "rb", buffering=0) as raw:
            for entry in archive.infolist():
                if entry.is_dir():
                    continue
                if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or entry.flag_bits & 1:
                    raise AssayError(f"{root}: {entry.filename} is encrypted or packed by another method; unpack it")
                lengths = LOCAL_HEADER.unpack(os.pread(raw.fileno(), LOCAL_HEADER.size, entry.header_offset))
                start = entry.header_offset + LOCAL_HEADER.size + sum(lengths)
                deflated = entry.compress_type == zipfile.ZIP_DEFLATED
                yield Member(_normal(entry.filename), start, entry.compress_size, deflated)
    except (zipfile.BadZipFile, struct.error) as error:
        raise AssayError(f"{root}: is no whole zip ({error}); get it anew") from None


def _in_tar(root: Path) -> Iterator[Member]:
    try:
        with tarfile.open(root, "r:") as archive:
            for entry in archive:
                if entry.isreg() and not entry.issparse():
                    yield Member(_normal(entry.name), entry.offset_data, entry.size)
    except tarfile.TarError as error:
        raise AssayError(f"{root}: is no whole uncompressed tar ({error}); decompress it, or get it anew") from None


def _normal(path: str) -> str:
    """A path in an archive without a leading `./`."""
    return path.removeprefix("./")
