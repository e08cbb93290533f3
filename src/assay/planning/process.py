"""What this process of Snakemake is: a run that a person started, or one job of such a run."""

from __future__ import annotations

import sys


def is_a_job() -> bool:
    """Whether this is a job's own Snakemake: it was started by a run that has checked and locked everything."""
    return "--mode" in sys.argv
