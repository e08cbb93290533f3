"""The Python that runs the stages: the one that runs Snakemake, unless a container brings its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def put_first_on_path() -> None:
    """Have `python` in the rules' commands mean this Python, whether or not its environment was activated."""
    here = str(Path(sys.executable).parent)
    os.environ["PATH"] = os.pathsep.join([here, os.environ.get("PATH", os.defpath)])
