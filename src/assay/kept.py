"""Kept files: unfinished work on disk that carries its own SHA-256, and that counts only where it is found whole."""

from __future__ import annotations

import hashlib
import os
import pickle
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, TypeVar

from assay import files

Content = TypeVar("Content")

DIGEST_LENGTH = 64  # a SHA-256 in hexadecimal
CHUNK = 1 << 20
UNREADABLE = (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile)


def write(path: Path, save: Callable[[BinaryIO], None]) -> None:
    """Write a kept file atomically: what `save` writes, a zip archive, and behind it the digest of that and its place.

    Readers look for the end of a zip archive from the back, so the digest does not disturb them. It stands in the same
    file because no moment may exist at which a file and its digest are of different times.
    """
    with files.atomic(path) as temporary, open(temporary, "w+b") as file:
        save(file)
        length = file.seek(0, os.SEEK_END)
        digest = _digest(path, file, length)
        file.seek(0, os.SEEK_END)
        file.write(digest)


def read(path: Path, load: Callable[[Path], Content], instead: str) -> Content | None:
    """What `load` makes of a kept file; None where there is none.

    A file that was damaged, cut off or put in another one's place counts as absent too. One line on standard error
    reports it, with what is done `instead`.
    """
    fault = "damaged"
    try:
        if _is_whole(path):
            return load(path)
    except FileNotFoundError:
        return None
    except UNREADABLE as error:
        fault = f"unreadable ({type(error).__name__})"
    print(f"{path}: {fault}, {instead}", file=sys.stderr)
    return None


def _is_whole(path: Path) -> bool:
    """Whether a kept file is as it was written, where it was written."""
    with open(path, "rb") as file:
        length = os.fstat(file.fileno()).st_size - DIGEST_LENGTH
        return length >= 0 and _digest(path, file, length) == file.read()


def _digest(path: Path, file: BinaryIO, length: int) -> bytes:
    """The digest of the first bytes of a file together with its place: the names of its folder and itself."""
    found = hashlib.sha256(f"{path.parent.name}/{path.name}\n".encode())
    file.seek(0)
    while length and (chunk := file.read(min(length, CHUNK))):
        found.update(chunk)
        length -= len(chunk)
    return found.hexdigest().encode()
