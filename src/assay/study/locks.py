"""Snakemake's locks after a crash: a run that was killed outright leaves its lock, and the next would refuse to start.

Each run notes its process here; a lock whose process no longer lives on this machine is stale and removed.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

from assay import files

OWNER = "assay-owner.json"


def clear_stale_locks(folder: Path) -> None:
    """Remove the locks under `folder` (.snakemake) if the run that took them is dead, and note this run."""
    if "--mode" in sys.argv:
        return  # a job's own Snakemake, started by the run that holds the lock
    locks = [path for path in (folder / "locks").glob("*") if path.is_file()]
    owner = files.read_json(folder / OWNER) if (folder / OWNER).is_file() else None
    if locks and owner and owner["host"] == socket.gethostname():
        if _alive(owner["process"], owner["started"]):
            return
        for path in locks:
            path.unlink(missing_ok=True)
        print(f"{folder}/locks: the run that took them (process {owner['process']}) is dead; removed", file=sys.stderr)
    if not locks or owner:
        process = os.getpid()
        note = {"host": socket.gethostname(), "process": process, "started": _started(process)}
        files.write_json(folder / OWNER, note)


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
