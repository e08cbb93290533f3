"""What a stage that was a copy of a warm process took, from its log: Snakemake's benchmark measures the client only."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from assay.warm.client import USAGE

LINE = re.compile(f"^{USAGE.format(cpu='(?P<cpu>[0-9.]+)', memory='(?P<memory>[0-9.]+)')}$", re.MULTILINE)
TAIL = 4096  # bytes at the end of a log, where the line is


@dataclass(frozen=True)
class Usage:
    """Seconds of CPU, and the most memory in MB."""

    cpu: float
    memory: float


def read_usage(log: Path) -> Usage | None:
    """What the job of a log took; None where it had an interpreter of its own, or the log is gone."""
    try:
        with open(log, "rb") as file:
            file.seek(max(log.stat().st_size - TAIL, 0))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return None
    found = list(LINE.finditer(text))
    return Usage(float(found[-1]["cpu"]), float(found[-1]["memory"])) if found else None
