"""The check stage: every family of checks on a study's evidence, as one table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pandas as pd

from assay.artifacts import Wanted
from assay.evaluation.checks import certified, controls, order, probed, stored
from assay.evaluation.checks.evidence import Evidence, read_evidence
from assay.evaluation.checks.finding import Finding
from assay.evaluation.summary import KEYS, write_table
from assay.inputs import SELECTED, Inputs
from assay.manifests import check, manifest_path
from assay.planning.cells import attacked_stacks, cells, fine_tuned, probed_stacks, smoothed
from assay.program import provenance
from assay.study.model import Study

FAMILIES: dict[str, Callable[[Evidence], Iterator[Finding]]] = {
    "stored": stored.find,
    "order": order.find,
    "controls": controls.find,
    "attacks": probed.find,
    "certificates": certified.find,
}
COLUMNS = ["study", "family", "check", "status", "number", "threshold", "meaning", "subject", *KEYS]


def make_checks(study: Study, code: str, inputs: Inputs, out: Path) -> None:
    """Write the checks of a study to the artifact `out`, which lies in the study's folder."""
    inputs = inputs.each("scores", [cell.path for cell in cells(study)])
    inputs = inputs.each("adversarial", [attacked.path for attacked in attacked_stacks(study)])
    if probed := probed_stacks(study):
        inputs = inputs.each("probes", [attacked.path for attacked in probed])
    if tuned := fine_tuned(study):
        inputs = inputs.each("diffusions", list(tuned))
    certified = [one.path for one in smoothed(study)]
    for role in ("certificates", "attacked_certificates"):
        if role in inputs:
            inputs = inputs.each(role, certified)
    wanted = Wanted(out, "checks", study.model_dump(mode="json"), code, inputs.manifests())
    if wanted.is_there():
        return
    check(inputs.folder("tables"), "tables")
    selected = inputs.sigma() if SELECTED in inputs else None
    table = run_checks(read_evidence(study, manifest_path(out).parent, selected))
    with wanted.write(provenance(("numpy", "pandas", "scipy"))) as draft:
        write_table(table, draft.path("checks.csv"))


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
