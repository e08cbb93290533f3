"""Recompute every hash of studies, artifacts or a report, and name what is damaged, missing, foreign or swapped."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from assay.program import run
from assay.reporting.audit import audit, quarantine

RESULTS = Path("results")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "paths",
        nargs="*",
        type=Path,
        metavar="PATH",
        help="folder of a study or an artifact, or a report (default: all of results/)",
    )
    parser.add_argument(
        "--quarantine", action="store_true", help="move damaged artifacts aside, so that the next run makes them anew"
    )
    arguments = parser.parse_args()
    found = audit(arguments.paths or [RESULTS])
    for note in found.notes:
        print(f"note: {note}")
    for fault in found.faults:
        print(f"fault: {fault}")
    for moved in quarantine(found.damaged) if arguments.quarantine else ():
        print(f"note: {moved}")
    print(found)
    sys.exit(1 if found.faults else 0)


if __name__ == "__main__":
    run(main)
