"""Print a study's grid: accuracy in percent, with 95% intervals, by defence and eps; then which defences differ."""

from __future__ import annotations

import argparse
from pathlib import Path

from assay.program import run
from assay.reporting.read import read_comparisons, read_per_class, read_summary, read_untrained
from assay.reporting.text import text_classes, text_differences, text_grid
from assay.words import count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path, nargs="?", default=Path("results/demo"), help="the study's folder")
    parser.add_argument("--classes", action="store_true", help="accuracy by class instead, where the study has it")
    arguments = parser.parse_args()
    if not arguments.classes:
        print(text_grid(read_summary(arguments.study / "summary.csv")))
        if (comparisons := arguments.study / "comparisons.csv").is_file():
            print(f"\n{text_differences(read_comparisons(comparisons))}".rstrip())
        for why, cells in read_untrained(arguments.study / "untrained.csv"):
            print(f"\n{count(cells, 'cell')} not measured: {why}")
        return
    print(text_classes(read_per_class(arguments.study / "per_class.csv")))


if __name__ == "__main__":
    run(main)
