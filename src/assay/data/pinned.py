"""Files of a data set that are known by their hashes."""

from __future__ import annotations

from pathlib import Path

from assay.files import AssayError, checksum, checksum_name


def verify(path: Path, expected: str) -> None:
    """Refuse a file that is not there, or has another hash (SHA-256 or MD5)."""
    if not path.is_file():
        raise AssayError(f"{path}: not found; let the workflow fetch it, or put it there")
    if (found := checksum(path, expected)) != expected:
        raise AssayError(
            f"{path}: {checksum_name(expected)} {found}, expected {expected}; delete it and run again to fetch it "
            "anew, or put the right one there (images.sha256 holds the hashes of data of your own)"
        )


def one_line(error: Exception) -> str:
    """What a library says of a file that it cannot read, on one line."""
    return " ".join(str(error).split())
