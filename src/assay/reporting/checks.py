"""The checks of a study as the report shows them: totals, and each check with what it found."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from assay.evaluation.checks.finding import FAIL, NOT_APPLICABLE, NOT_RUN, PASS, SEVERITY, WARN
from assay.reporting.trust import EVERY_CELL, worst

# What each family asks, in the order in which the checks run.
FAMILIES = {
    "stored": "Is what is on disk what should be evaluated?",
    "order": "Does an attack leave no more where it may do more, or knows more?",
    "controls": "What would we see if the defence did nothing, or only added noise?",
    "attacks": "Did the attacks work as attacks should?",
    "certificates": "Do the certificates hold against attacks, and agree with what was measured?",
}


class Told(NamedTuple):
    """Findings of one status that mean the same: the sentence, and where it was found."""

    status: str
    meaning: str
    places: list[str]


class Check(NamedTuple):
    """One check of a study: its worst status, how many findings of each status, and the range of its number; `why_not`
    is why it was not run, or does not apply, each with that status."""

    name: str
    status: str
    counts: dict[str, int]
    number: str
    threshold: str
    told: list[Told]
    why_not: list[tuple[str, str]]


class Family(NamedTuple):
    """Checks that ask the same: the worst first."""

    name: str
    asks: str
    status: str
    counts: dict[str, int]
    checks: list[Check]


def families_of(checks: pd.DataFrame) -> list[Family]:
    """The families of checks, as they ran."""
    return [_family(name, findings) for name, findings in checks.groupby("family", sort=False)]


def totals(checks: pd.DataFrame) -> dict[str, int]:
    """How many findings have each status, the good news first; what does not apply is none."""
    counts = checks["status"].value_counts()
    return {status: int(counts.get(status, 0)) for status in (PASS, WARN, FAIL, NOT_RUN)}


def _family(name: str, findings: pd.DataFrame) -> Family:
    found = [_check(check, own) for check, own in findings.groupby("check", sort=False)]
    found.sort(key=lambda check: SEVERITY.index(check.status))
    return Family(name, FAMILIES.get(name, ""), worst(findings["status"]), totals(findings), found)


def _check(name: str, findings: pd.DataFrame) -> Check:
    told: dict[tuple[str, str], list[str]] = {}
    for status in (FAIL, WARN):
        for row in findings[findings["status"] == status].itertuples():
            places = ["every cell" if place == EVERY_CELL else place for place in row.subject.split()]
            told.setdefault((status, row.meaning), []).extend(places)
    number, threshold = _range(findings["number"]), _range(findings["threshold"])
    without = findings[findings["status"].isin([NOT_RUN, NOT_APPLICABLE])]
    why_not = list(dict.fromkeys(without[["status", "meaning"]].itertuples(index=False, name=None)))
    status, found = worst(findings["status"]), [Told(*key, places) for key, places in told.items()]
    return Check(name, status, totals(findings), number, threshold, found, why_not)


def _range(numbers: pd.Series) -> str:
    """The least and the greatest of some numbers; a dash where there are none."""
    known = numbers[np.isfinite(numbers)]
    if known.empty:
        return "–"
    least, greatest = (f"{value:.3g}" for value in (known.min(), known.max()))
    return least if least == greatest else f"{least} … {greatest}"
