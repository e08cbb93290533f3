"""The check stage: every family of checks on a study's evidence, as one table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import pandas as pd

from assay.evaluation.checks import controls, order, probed, stored
from assay.evaluation.checks.evidence import Evidence
from assay.evaluation.checks.finding import Finding
from assay.evaluation.summary import KEYS

FAMILIES: dict[str, Callable[[Evidence], Iterator[Finding]]] = {
    "stored": stored.find,
    "order": order.find,
    "controls": controls.find,
    "attacks": probed.find,
}
COLUMNS = ["study", "family", "check", "status", "number", "threshold", "meaning", "subject", *KEYS]


def run_checks(evidence: Evidence) -> pd.DataFrame:
    """One row for each check and what it is about.

    `subject` holds the places, below the study's folder, of what is in doubt if the check does not pass, with a space
    between them: scores, adversarial stacks, or `images/test` for all of them. The KEYS are those of the first.
    """
    keys = _keys(evidence)
    rows = [
        {
            "study": evidence.study.study,
            "family": family,
            "check": finding.check,
            "status": finding.status,
            "number": finding.number,
            "threshold": finding.threshold,
            "meaning": finding.meaning,
            "subject": " ".join(finding.subjects),
            **keys.get(next(iter(finding.subjects), ""), {}),
        }
        for family, findings in _findings(evidence)
        for finding in findings
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _findings(evidence: Evidence) -> Iterator[tuple[str, Iterable[Finding]]]:
    for family, find in FAMILIES.items():
        yield family, find(evidence)


def _keys(evidence: Evidence) -> dict[str, dict]:
    """The KEYS of each place that a finding can be about; a stack has no defence of its own, but its victim's."""
    found = {}
    for cell in evidence.measured:
        row = {key: cell.judged.row[key] for key in KEYS}
        found[cell.path] = row
        if cell.direct:
            found[f"adversarial/{cell.cell.attacked.path}"] = row
    return found
