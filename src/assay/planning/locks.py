"""Snakemake's locks after a crash: a run that was killed outright leaves its lock, and the next would refuse to start.

Each run notes its process here; locks are stale, and removed, when no process that was noted lives any more.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path

from assay import files
from assay.planning.process import is_a_job

NOTES = "assay-runs"
LONGEST_PLANNING = 3600.0  # seconds between a run's note and its lock


def clear_stale_locks(folder: Path) -> None:
    """Remove the locks under `folder` (.snakemake) if every run that may have taken them is dead; note this run."""
    if is_a_job():
        return
    locks = [path for path in (folder / "locks").glob("*") if path.is_file()]
    notes = list((folder / NOTES).glob("*.json"))
    if locks and not notes:
        return  # taken by a run that noted nothing
    living = [note for note in notes if _may_live(note, bool(locks))]
    if locks and not living:
        for path in locks:
            path.unlink(missing_ok=True)
        print(f"{folder}/locks: the run that took them is dead; removed", file=sys.stderr)
    for note in set(notes) - set(living):
        note.unlink(missing_ok=True)
    host, process = socket.gethostname(), os.getpid()
    files.write_json(
        folder / NOTES / f"{host}-{process}.json", {"host": host, "process": process, "started": _started(process)}
    )


def _may_live(note: Path, locked: bool) -> bool:
    """Whether the run of a note may live; on another machine, only where nothing is locked can its age tell."""
    run = files.read_json(note)
    if run["host"] != socket.gethostname():
        return locked or time.time() - note.stat().st_mtime < LONGEST_PLANNING
    return _alive(run["process"], run["started"])


def _alive(process: int, started: str | None) -> bool:
    """Whether the very process lives: numbers are used again, so its start counts too."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return _started(process) == started


def _started(process: int) -> str | None:
    """When a process started, as Linux counts it; None where there is no /proc."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except OSError:
        return None
