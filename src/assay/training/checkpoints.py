"""Checkpoints of a training, and when to save them.

What is random in a training is a function of (seed, step), and a checkpoint holds everything else: a training that was
stopped and resumed gives the bytes of one that was not.
"""

from __future__ import annotations

import math
import os
import time
from pathlib import Path
from typing import Any

import torch

from assay import kept
from assay.files import AssayError

LEAST_SECONDS_BETWEEN_CHECKPOINTS = 15.0
LARGEST_SHARE_OF_TIME = 0.02
END_OF_JOB = "SLURM_JOB_END_TIME"  # set by Slurm (from 23.02) in a job's environment: seconds since 1970
STEP = "SLURM_STEP_ID"  # set by Slurm where a job runs this one stage; not in an allocation that runs many
MINUTES = "ASSAY_MINUTES"  # set by the rules: the time that they ask for
STARTED = time.time()
SECONDS_TO_STOP_IN = 60.0


class Checkpoints:
    """Periodic checkpoints in one kept file: every 15 s, less often if saving would take over 2 % of the time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._saved = time.monotonic()
        self._cost = 0.0

    def load(self, instead: str = "training begins anew") -> dict[str, Any] | None:
        """The state that was saved last, or None; a damaged file is reported, with what is done `instead`."""
        return kept.read(self.path, _load, instead)

    def due(self) -> bool:
        """Whether it is time to save."""
        wait = max(LEAST_SECONDS_BETWEEN_CHECKPOINTS, self._cost / LARGEST_SHARE_OF_TIME)
        return self.last_call() or time.monotonic() - self._saved >= wait

    def last_call(self) -> bool:
        """Whether the job's time limit is so near that training must stop, with a checkpoint, and go on in another."""
        return time.time() > _end_of_job() - SECONDS_TO_STOP_IN - 2 * self._cost

    def save(self, state: dict[str, Any]) -> None:
        """Save a state."""
        start = time.monotonic()
        kept.write(self.path, lambda file: torch.save(state, file))
        self._saved = time.monotonic()
        self._cost = self._saved - start

    def out_of_time(self) -> AssayError:
        """What to raise at the last call, after saving."""
        return AssayError(
            f"{self.path}: the job's time limit is near; stopped with this checkpoint, run again to go on"
        )


def _load(path: Path) -> dict[str, Any]:
    return torch.load(path, weights_only=True, map_location="cpu")


def _end_of_job() -> float:
    """When the job is killed for its time limit, in seconds since 1970; never where there is none."""
    if END_OF_JOB in os.environ:
        return float(os.environ[END_OF_JOB])
    if STEP in os.environ and MINUTES in os.environ:
        return STARTED + 60 * float(os.environ[MINUTES])
    return math.inf
