"""Which large files were read whole and found right on this machine, so that the next job need not read them again.

A note is one small file below `$XDG_CACHE_HOME/assay/verified` (or `~/.cache/…`), in a folder of the machine's name. It
holds the file's path, size, time and inode, and its SHA-256; where any of these differs, it counts for nothing. Notes
are a convenience: where none can be written or read, as in a container without a home, files are read whole each time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import tempfile
import time
from pathlib import Path

LARGE = 16 << 20  # bytes; smaller files are read sooner than noted
SETTLED = 2 * 10**9  # nanoseconds after which a file that changes again surely has another time

Seen = dict[str, str | int]  # what tells a file from what it was: its path, size, time and inode


def look(path: Path) -> Seen | None:
    """What a file is now, to be called before its bytes are read; None if it is not worth a note or still changing."""
    found = os.stat(path)
    if found.st_size < LARGE or time.time_ns() - found.st_mtime_ns < SETTLED:
        return None
    return {
        "path": os.path.realpath(path),
        "bytes": found.st_size,
        "mtime_ns": found.st_mtime_ns,
        "inode": found.st_ino,
    }


def is_remembered(seen: Seen | None, sha256: str) -> bool:
    """Whether just this file was once found to have this hash, on this machine."""
    if seen is None:
        return False
    try:
        return json.loads(_note(seen).read_text(encoding="utf-8")) == {**seen, "sha256": sha256}
    except (OSError, RuntimeError, ValueError):
        return False


def remember(seen: Seen | None, sha256: str) -> None:
    """Note that this file was found to have this hash. Many jobs may do so at once; none fails for it."""
    if seen is None:
        return
    with contextlib.suppress(OSError, RuntimeError):
        note = _note(seen)
        note.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=note.parent)
        try:
            with open(handle, "w", encoding="utf-8") as file:
                json.dump({**seen, "sha256": sha256}, file)
            os.replace(name, note)
        except OSError:
            os.unlink(name)
            raise


def _note(seen: Seen) -> Path:
    """Where the note of a file lies; a RuntimeError where this user has no home."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    name = hashlib.sha256(str(seen["path"]).encode(errors="surrogateescape")).hexdigest()[:32]
    return Path(cache) / "assay" / "verified" / platform.node() / name
