"""The tables that stand beside a study's summary, for the tests of what reads them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from assay.evaluation.checks.run import COLUMNS as CHECKS
from assay.evaluation.comparisons import COLUMNS as COMPARISONS
from assay.evaluation.summary import write_table
from assay.evaluation.worst_case import COLUMNS as WORST_CASE


def finding(subject: str, status: str = "PASS", check: str = "budget used", family: str = "stored", **more) -> dict:
    """One line of checks.csv, on the places of `subject`."""
    row = {"family": family, "check": check, "status": status, "subject": subject, "number": 0.5, "threshold": 0.9}
    return {"study": "made up", "meaning": f"{check} of {subject.split('/')[0]}.", **row, **more}


def write_tables(
    folder: Path,
    summary: pd.DataFrame | None = None,
    findings: list[dict] | None = None,
    comparisons: pd.DataFrame | None = None,
    worst_cases: pd.DataFrame | None = None,
) -> None:
    """Write checks.csv, comparisons.csv and worst_case.csv, without a row where nothing is given, and the summary.

    Without `findings` one check passes on all images.
    """
    findings = [finding("images/test")] if findings is None else findings
    tables = {
        "checks.csv": pd.DataFrame(findings).reindex(columns=CHECKS),
        "comparisons.csv": pd.DataFrame(columns=COMPARISONS) if comparisons is None else comparisons,
        "worst_case.csv": pd.DataFrame(columns=WORST_CASE) if worst_cases is None else worst_cases,
    }
    for name, table in tables.items():
        write_table(table, folder / name)
    if summary is not None:
        write_table(summary, folder / "summary.csv")
