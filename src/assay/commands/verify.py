"""Recompute every hash of studies, artifacts or a report, and name what is damaged, missing, foreign or swapped."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from assay.commands.studies import results_of
from assay.reporting.audit import audit, quarantine

RESULTS = Path("results")


def main(words: list[str] | None = None, name: str | None = None) -> None:
    """Verify what the words name; the exit status is 1 where something is damaged."""
    parser = argparse.ArgumentParser(prog=name, description=__doc__)
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        help="a study (folder or name), an artifact's folder, or a report (default: all of results/)",
    )
    parser.add_argument(
        "--quarantine", action="store_true", help="move damaged artifacts aside, so that the next run makes them anew"
    )
    arguments = parser.parse_args(words)
    paths = [Path(word) if Path(word).exists() else results_of(word) for word in arguments.paths]
    found = audit(paths or [RESULTS])
    for note in found.notes:
        print(f"note: {note}")
    for fault in found.faults:
        print(f"fault: {fault}")
    for moved in quarantine(found.damaged) if arguments.quarantine else ():
        print(f"note: {moved}")
    print(found)
    sys.exit(1 if found.faults else 0)
