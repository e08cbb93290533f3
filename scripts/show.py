"""Print a study's grid: accuracy in percent, with 95 % intervals, by defence and eps."""

from __future__ import annotations

import argparse
from pathlib import Path

from assay.program import run
from assay.reporting.read import read_summary
from assay.reporting.text import text_grid


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path, nargs="?", default=Path("results/demo"), help="the study's folder")
    arguments = parser.parse_args()
    print(text_grid(read_summary(arguments.study / "summary.csv")))


if __name__ == "__main__":
    run(main)
