"""The Python that runs the stages: the one that runs Snakemake, or a container's own with the checkout's code."""

from __future__ import annotations

import os
import sys
from pathlib import Path

SOURCE = Path(__file__).parents[2]


def provide_python(in_containers: bool) -> None:
    """Have `python` in the rules' commands mean the right one, whether or not an environment was activated.

    An image holds dependencies only; the environment that it is given names the checkout's code.
    """
    if in_containers:
        os.environ["PYTHONPATH"] = str(SOURCE)
    else:
        here = str(Path(sys.executable).parent)
        os.environ["PATH"] = os.pathsep.join([here, os.environ.get("PATH", os.defpath)])
