"""A study on the terminal: how its run ends, and all that it found as text."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from assay.evaluation.checks.finding import FAIL, NOT_RUN, PASS, WARN
from assay.manifests import MANIFEST, read_manifest
from assay.reporting import read
from assay.reporting.answer import answer
from assay.reporting.certificates import read_certified
from assay.reporting.checks import totals
from assay.reporting.choice import choices
from assay.reporting.ladder import with_knowledge
from assay.reporting.page import PAGE
from assay.reporting.strongest import as_rows, with_bounds
from assay.reporting.text import text_certificates, text_classes, text_differences, text_grid, text_strongest
from assay.reporting.trust import Checked, Judge
from assay.study.model import Study
from assay.words import count

STATUSES = {PASS: "passed", WARN: "in doubt", FAIL: "failed", NOT_RUN: "not run"}


def ending(results: Path) -> str:
    """The last lines of a run of the study in the folder `results`."""
    checks = read.read_checks(results / "checks.csv")
    return "\n".join([*leads(results, checks), checks_line(checks), f"Report: {results / PAGE}"])


def leads(results: Path, checks: pd.DataFrame) -> list[str]:
    """The report's first sentence of each classifier, as plain text."""
    study = Study.model_validate(read_manifest(results / f"summary.{MANIFEST}")["spec"])
    strongest = read.read_strongest(results / "strongest.csv")
    summary = with_bounds(with_knowledge(read.read_summary(results / "summary.csv"), study), strongest)
    worth, judge = as_rows(strongest, summary), Judge(Checked(checks))
    found = [answer(choice, summary, worth, study, judge) for choice in choices(summary, worth, study)]
    return [each.lead[0].text.striptags() for each in found]


def checks_line(checks: pd.DataFrame) -> str:
    """How many checks ended how, and which ones failed."""
    counts = ", ".join(f"{number} {STATUSES[status]}" for status, number in totals(checks).items() if number)
    failed = ", ".join(checks.loc[checks["status"] == FAIL, "check"].unique())
    return f"Checks: {counts}{f' ({failed})' if failed else ''}"


def text_of(results: Path) -> str:
    """The tables of the strongest attacks and of each attack, the pairs that differ, certificates, and what was not
    measured."""
    strongest = read.read_strongest(results / "strongest.csv")
    summary = with_bounds(read.read_summary(results / "summary.csv"), strongest)
    differences = text_differences(read.read_comparisons(results / "comparisons.csv"))
    blocks = [text_strongest(as_rows(strongest, summary), summary), text_grid(summary), differences]
    if (results / "certified_accuracy.csv").is_file():
        blocks.append(text_certificates(*read_certified(results)))
    untrained = read.read_untrained(results / "untrained.csv")
    blocks += [f"{count(cells, 'cell')} not measured: {why}" for why, cells in untrained]
    return "\n\n".join(filter(None, blocks))


def text_by_class(results: Path) -> str:
    """The accuracies by class."""
    strongest = read.read_strongest(results / "strongest.csv")
    return text_classes(with_bounds(read.read_per_class(results / "per_class.csv"), strongest))
