"""JSON files with the fields of RobustBench's `model_info`, one for each classifier, eps and defence.

RobustBench takes AutoAttack's number, and in `external` that of a stronger, adaptive evaluation. Assay runs no
AutoAttack, so that `autoattack_acc` stays empty; what the strongest attacks leave is `external`. Its leaderboard admits
no stochastic defences: the files are for comparison.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from assay.entry.study import Study
from assay.files import AssayError, write_json
from assay.planning.cells import eps_token, sigma_token
from assay.reporting.words import bracket, defence_label, eps_label, number


def write(study: Study, out: Path) -> None:
    """Write `<out>/<norm>/<classifier>_<defence>_eps-<eps>.json` for each row of the strongest attacks."""
    if out.exists():
        raise AssayError(f"{out}: is there already; remove it, or name another with --out")
    for row in study.strongest.itertuples():
        defence = row.defence if row.defence == "none" else f"{row.defence}-{sigma_token(row.sigma)}"
        write_json(out / row.norm / f"{row.classifier}_{defence}_eps-{eps_token(row.eps)}.json", entry(study, row))


def entry(study: Study, row: Any) -> dict[str, Any]:
    """The fields of one entry; those that only its authors know are empty."""
    clean = study.cell(classifier=row.classifier, attack="none", defence=row.defence, sigma=row.sigma)
    described = study.config.classifiers[row.classifier]
    bound = "" if row.direct else "An upper bound: the defence was not attacked directly. "
    attacks = ", ".join(row.attacks.split())
    return {
        "link": "",
        "name": f"{row.classifier}, {defence_label(row.defence, row.sigma)}",
        "authors": "",
        "additional_data": None,
        "number_forward_passes": None,
        "dataset": study.config.images.source,
        "venue": "",
        "architecture": getattr(described, "network", None) or row.classifier,
        "eps": eps_label(row.eps),
        "clean_acc": f"{100 * clean['accuracy']:.2f}",
        "reported": None,
        "autoattack_acc": None,
        "external": f"{100 * row.accuracy:.2f}",
        "footnote": (
            f"{bound}Assay, {row.images} images, {row.draws} draws: the strongest of {attacks} on {row.chosen_for} "
            f"leaves {number(row.accuracy)} {bracket(row.ci_low, row.ci_high)}."
        ),
    }
