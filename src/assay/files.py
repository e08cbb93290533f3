"""Files that are whole or absent: atomic writes, hashes, JSON, a full disk."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

MD5_DIGITS = 32
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

HEADER_BYTES = 16
# How a file of each kind begins.
HEADERS: dict[str, Callable[[bytes], bool]] = {
    ".tif": lambda head: head[:4] in (b"II*\0", b"II+\0", b"MM\0*", b"MM\0+"),  # TIFF and BigTIFF
    ".safetensors": lambda head: head[8:9] == b"{",  # after the length of its JSON
    ".npz": lambda head: head[:2] == b"PK",
    ".png": lambda head: head[:4] == b"\x89PNG",
    ".csv": lambda head: bool(head.strip(b"\0")),
}


class AssayError(Exception):
    """A fault that the user can mend: one line that names the file or key, what is wrong and what to do."""


def sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checksum(path: Path, like: str) -> str:
    """The hash of a file's bytes of the kind that `like` is, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "md5" if len(like) == MD5_DIGITS else "sha256").hexdigest()


def checksum_name(like: str) -> str:
    """What people call that kind."""
    return "MD5" if len(like) == MD5_DIGITS else "SHA-256"


def canonical_json(value: Any) -> str:
    """The one JSON text of a value: sorted keys, no spaces. Equal values have equal texts."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest(value: Any, length: int = 16) -> str:
    """A short hash of a JSON value."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:length]


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; move it there when the block ends well, delete it when it fails."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        with naming_a_full_disk(path):
            yield temporary
        flush(temporary)
        temporary.chmod(0o666 & ~_umask())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically: sorted, indented, ending in a newline."""
    write_text(path, json.dumps(value, sort_keys=True, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file; a missing or broken one is an `AssayError`."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise AssayError(f"{path}: not found; run the stage that makes it") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise AssayError(f"{path}: not valid JSON ({error}); delete it and run again") from None


def header_fault(path: Path) -> str | None:
    """What a file's first bytes tell to be wrong, where we know how such a file begins."""
    begins = HEADERS.get(path.suffix)
    if begins is None:
        return None
    with open(path, "rb") as file:
        head = file.read(HEADER_BYTES)
    return None if begins(head) else f"no {path.suffix} header"


def remove(folder: Path) -> None:
    """Delete a folder if it is there."""
    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def naming_a_full_disk(path: Path) -> Iterator[None]:
    """Have a full disk name what was being written: libraries tell of it without a name, and not always as OSError."""
    try:
        yield
    except Exception as error:
        if found := _no_space(error):
            raise OSError(*found, str(path)) from None
        raise


def _no_space(error: BaseException | None) -> tuple[int, str] | None:
    """Number and text of the system's error behind an exception, if that was a full disk; libraries differ."""
    while error:
        by_rust = re.search(r"\(os error (\d+)\)", str(error))  # safetensors
        number = error.errno if isinstance(error, OSError) else int(by_rust[1]) if by_rust else None
        if number in NO_SPACE:
            return number, os.strerror(number)
        if isinstance(error, OSError) and re.fullmatch(r"\d+ requested and \d+ written", str(error)):  # numpy
            return errno.ENOSPC, f"not all was written ({error})"
        error = error.__cause__ or error.__context__
    return None


def flush(path: Path) -> None:
    """Have the file's bytes on disk before its name is, so that a crash cannot leave a named file without content."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
