"""The Python that runs the stages: the one that runs Snakemake, or a container's own with the checkout's code."""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import sys
from pathlib import Path

SOURCE = Path(__file__).parents[2]
CLIENT = SOURCE / "assay" / "warm" / "client.py"
STRICT = "set -euo pipefail; "  # what Snakemake's commands begin with
WARM = "ASSAY_WARM"  # 0: no warm process; the tests name one that runs already


def provide_python(in_containers: bool) -> None:
    """Have `python` in the rules' commands mean the right one, whether or not an environment was activated.

    An image holds dependencies only; the environment that it is given names the checkout's code.
    """
    if in_containers:
        os.environ["PYTHONPATH"] = str(SOURCE)
    else:
        here = str(Path(sys.executable).parent)
        os.environ["PATH"] = os.pathsep.join([here, os.environ.get("PATH", os.defpath)])


def warm_prefix() -> str | None:
    """What the commands of a local run begin with, so that `python` in them is the client of a warm process.

    None where each stage is to have an interpreter of its own: without Linux or bash, where the user wants it so, and
    in a job of Slurm, whose limits a process of another job would escape.
    """
    name = os.environ.get(WARM) or f"assay-warm-{secrets.token_hex(8)}"
    if name == "0" or sys.platform != "linux" or not shutil.which("bash") or "SLURM_JOB_ID" in os.environ:
        return None
    client = shlex.join([sys.executable, "-IS", str(CLIENT), name, str(os.getpid())])
    literal = client.replace("{", "{{").replace("}", "}}")  # Snakemake fills in what stands in braces
    return f'{STRICT}python() (exec {literal} "$@"); '
