"""Print what a study found: accuracy in percent with 95% intervals, by defence and eps, the strongest attacks first;
then which defences differ, and what is certified."""

from __future__ import annotations

import argparse
from pathlib import Path

from assay.program import run
from assay.reporting.certificates import read_certified
from assay.reporting.read import read_comparisons, read_per_class, read_strongest, read_summary, read_untrained
from assay.reporting.strongest import as_rows, with_bounds
from assay.reporting.text import text_certificates, text_classes, text_differences, text_grid, text_strongest
from assay.words import count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path, nargs="?", default=Path("results/demo"), help="the study's folder")
    parser.add_argument("--classes", action="store_true", help="accuracy by class instead, where the study has it")
    arguments = parser.parse_args()
    summary = read_summary(arguments.study / "summary.csv")
    strongest = read_strongest(arguments.study / "strongest.csv")
    if arguments.classes:
        print(text_classes(with_bounds(read_per_class(arguments.study / "per_class.csv"), strongest)))
        return
    summary = with_bounds(summary, strongest)
    differences = text_differences(read_comparisons(arguments.study / "comparisons.csv"))
    blocks = [text_strongest(as_rows(strongest, summary), summary), text_grid(summary), differences]
    if (arguments.study / "certified_accuracy.csv").is_file():
        blocks.append(text_certificates(*read_certified(arguments.study)))
    print("\n\n".join(filter(None, blocks)))
    for why, cells in read_untrained(arguments.study / "untrained.csv"):
        print(f"\n{count(cells, 'cell')} not measured: {why}")


if __name__ == "__main__":
    run(main)
