"""Print what a study found: accuracy in percent with 95% intervals, by defence and eps, the strongest attacks first;
then which defences differ, and what is certified."""

from __future__ import annotations

import argparse
from pathlib import Path

from assay.commands.studies import DEMO, results_of
from assay.reporting.certificates import read_certified
from assay.reporting.read import read_comparisons, read_per_class, read_strongest, read_summary, read_untrained
from assay.reporting.strongest import as_rows, with_bounds
from assay.reporting.text import text_certificates, text_classes, text_differences, text_grid, text_strongest
from assay.words import count


def main(words: list[str] | None = None, name: str | None = None) -> None:
    """Print what the study found that the words name."""
    parser = argparse.ArgumentParser(prog=name, description=__doc__)
    parser.add_argument("study", nargs="?", default=DEMO, help="its folder, name or config file (default: the demo)")
    parser.add_argument("--classes", action="store_true", help="accuracy by class instead, where the study has it")
    arguments = parser.parse_args(words)
    results = results_of(arguments.study)
    print(text_by_class(results) if arguments.classes else text_of(results))


def text_of(results: Path) -> str:
    """The tables of the strongest attacks and of each attack, the pairs that differ, certificates, and what was not
    measured."""
    strongest = read_strongest(results / "strongest.csv")
    summary = with_bounds(read_summary(results / "summary.csv"), strongest)
    differences = text_differences(read_comparisons(results / "comparisons.csv"))
    blocks = [text_strongest(as_rows(strongest, summary), summary), text_grid(summary), differences]
    if (results / "certified_accuracy.csv").is_file():
        blocks.append(text_certificates(*read_certified(results)))
    untrained = read_untrained(results / "untrained.csv")
    blocks += [f"{count(cells, 'cell')} not measured: {why}" for why, cells in untrained]
    return "\n\n".join(filter(None, blocks))


def text_by_class(results: Path) -> str:
    """The accuracies by class."""
    strongest = read_strongest(results / "strongest.csv")
    return text_classes(with_bounds(read_per_class(results / "per_class.csv"), strongest))
