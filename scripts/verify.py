"""Recompute every hash of studies or single artifacts and name what is corrupt, truncated or missing."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from assay.program import run
from assay.reporting.audit import audit

RESULTS = Path("results")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "paths",
        nargs="*",
        type=Path,
        metavar="PATH",
        help="folder of a study or an artifact (default: all of results/)",
    )
    arguments = parser.parse_args()
    found = audit(arguments.paths or [RESULTS])
    for leftover in found.leftovers:
        print(f"note: {leftover}")
    for fault in found.faults:
        print(f"fault: {fault}")
    print(found)
    sys.exit(1 if found.faults else 0)


if __name__ == "__main__":
    run(main)
