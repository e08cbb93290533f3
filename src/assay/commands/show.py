"""Print what a study found: accuracy in percent with 95% intervals, by defence and eps, the strongest attacks first;
then which defences differ, and what is certified."""

from __future__ import annotations

import argparse

from assay.commands.studies import DEMO, results_of
from assay.reporting.terminal import text_by_class, text_of


def main(words: list[str] | None = None, name: str | None = None) -> None:
    """Print what the study found that the words name."""
    parser = argparse.ArgumentParser(prog=name, description=__doc__)
    parser.add_argument("study", nargs="?", default=DEMO, help="its folder, name or config file (default: the demo)")
    parser.add_argument("--classes", action="store_true", help="accuracy by class instead, where the study has it")
    arguments = parser.parse_args(words)
    results = results_of(arguments.study)
    print(text_by_class(results) if arguments.classes else text_of(results))
