"""Space for what a stage needs while it runs, beside what it makes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from assay import files


@contextlib.contextmanager
def scratch_beside(out: Path) -> Iterator[Path]:
    """A path for a folder beside `out`; whatever stands there is deleted in the end, and what a kill left, before."""
    folder = out.parent / f".{out.name}.scratch"
    files.remove(folder)
    try:
        yield folder
    finally:
        files.remove(folder)
