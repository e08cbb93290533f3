"""Made-up studies, scores, and the tables beside a summary, for the tests of what reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from assay.artifacts import Wanted
from assay.evaluation.bounds import COLUMNS as COMPARISONS
from assay.evaluation.checks.run import COLUMNS as CHECKS
from assay.evaluation.classes import CONFUSION, PER_CLASS
from assay.evaluation.knowledge import counts, is_direct
from assay.evaluation.resubmission import COLUMNS as RESUBMISSION
from assay.evaluation.scores import write_scores as write_into
from assay.evaluation.strongest import ALL
from assay.evaluation.strongest import COLUMNS as STRONGEST
from assay.evaluation.summary import write_table
from assay.evaluation.worst_case import COLUMNS as WORST_CASE
from assay.evaluation.worst_case import GROUP
from assay.planning.cells import OTHER, attack_of
from assay.reporting.ladder import with_knowledge
from assay.reporting.strongest import as_rows, with_bounds
from assay.study.model import Study


def made_up(
    threats: dict[str, str],
    purifiers: tuple[str, ...] = ("noise", "ddpm"),
    more_attacks: Mapping[str, Any] | None = None,
    **parts: Any,
) -> Study:
    """A study of the phantom with PGD under some `threats`, by the name of the attack, against some purifiers.

    An attack of the threat `random` is the control. `more_attacks` stand beside these, by name, with their keys, and
    `parts` replace others.
    """
    diffusion = {"channels": [16], "norm_groups": 8, "objective": {"method": "denoising", "max_sigma": 0.5}, "steps": 1}
    attacks = {
        name: {"method": "random_sign", "eps": [0.1]} if threat == "random" else
        {"method": "pgd", "threat": threat, "eps": [0.1]}
        for name, threat in threats.items()
    }  # fmt: skip
    unet = {"diffusion": "unet"}
    whole = {
        "study": "made-up",
        "images": {"source": "phantom", "size": 32, "train": 64, "validation": 64},
        "classifiers": {"resnet": {"network": "timm/resnet18"}},
        "diffusions": {"unet": diffusion},
        "purifiers": {
            name: {"method": name, "sigmas": [0.1], **({} if name == "noise" else unet)} for name in purifiers
        },
        "attacks": attacks | dict(more_attacks or {}),
        "evaluation": {"images": 100},
    }
    return Study.model_validate(whole | parts)


def write_scores(
    folder: Path,
    logits: np.ndarray,
    labels: Sequence[int],
    ids: Sequence[Any] | None = None,
    classes: Sequence[str] | None = None,
    inputs: Mapping[str, Path] | None = None,
    made_by: Mapping[str, Any] | None = None,
) -> Path:
    """An artifact of scores: logits (images, draws, classes). Ids count from 0 and classes have letters."""
    images, draws, count = logits.shape
    rows = pd.DataFrame({"id": np.arange(images) if ids is None else ids, "label": labels})
    rows = rows.loc[rows.index.repeat(draws)].assign(draw=np.tile(np.arange(draws), images))
    names = [chr(ord("a") + place) for place in range(count)] if classes is None else classes
    with Wanted(folder, "scores", {}, "0" * 16, inputs or {}).write(made_by or {}) as draft:
        write_into(draft, rows, names, [logits.reshape(-1, count)])
    return folder


def logits_of(correct: np.ndarray, labels: Sequence[int], classes: int = 2) -> np.ndarray:
    """Logits (images, draws, classes) whose verdicts (images, draws) are `correct`: wrong means the next class."""
    labels = np.asarray(labels)[:, None]
    return np.eye(classes)[np.where(correct, labels, (labels + 1) % classes)]


def finding(subject: str, status: str = "PASS", check: str = "budget used", family: str = "stored", **more) -> dict:
    """One line of checks.csv, on the places of `subject`."""
    row = {"family": family, "check": check, "status": status, "subject": subject, "number": 0.5, "threshold": 0.9}
    return {"study": "made up", "meaning": f"{check} of {subject.split('/')[0]}.", **row, **more}


def strongest_of(summary: pd.DataFrame, study: Study) -> pd.DataFrame:
    """The table of the strongest attacks that goes with a summary whose scores nobody has: in each group the attack
    that leaves least is taken for all images."""
    counted = [name != "none" and counts(attack_of(study, name)) for name in summary["attack"]]
    lines = []
    for key, cells in summary[counted].groupby(GROUP, sort=False):
        group = dict(zip(GROUP, key, strict=True))
        least = cells.loc[cells["accuracy"].idxmin()]
        defended = group["defence"] != "none" and group["sigma"] != 0
        direct = any(is_direct(attack_of(study, name), defended, OTHER in name) for name in cells["attack"])
        lines.append(
            {
                "study": study.study,
                **group,
                **least[["images", "draws", "accuracy", "ci_low", "ci_high"]],
                "attack_count": len(cells),
                "attacks": " ".join(cells["attack"]),
                "chosen_for": ALL,
                "alone": least["attack"],
                "alone_accuracy": least["accuracy"],
                "direct": int(direct),
            }
        )
    return pd.DataFrame(lines, columns=STRONGEST)


def as_the_page_reads(summary: pd.DataFrame, study: Study) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A made-up summary and the strongest attacks that go with it, as the report has them."""
    strongest = strongest_of(summary, study)
    summary = with_bounds(with_knowledge(summary, study), strongest)
    return summary, as_rows(strongest, summary)


def write_tables(
    folder: Path,
    summary: pd.DataFrame | None = None,
    findings: list[dict] | None = None,
    comparisons: pd.DataFrame | None = None,
    worst_cases: pd.DataFrame | None = None,
    strongest: pd.DataFrame | None = None,
    resubmission: pd.DataFrame | None = None,
) -> None:
    """Write the tables beside the summary, without a row where nothing is given, and the summary.

    Without `findings` one check passes on all images.
    """
    findings = [finding("images/test")] if findings is None else findings
    tables = {
        "checks.csv": pd.DataFrame(findings).reindex(columns=CHECKS),
        "comparisons.csv": pd.DataFrame(columns=COMPARISONS) if comparisons is None else comparisons,
        "strongest.csv": pd.DataFrame(columns=STRONGEST) if strongest is None else strongest,
        "worst_case.csv": pd.DataFrame(columns=WORST_CASE) if worst_cases is None else worst_cases,
        "resubmission.csv": pd.DataFrame(columns=RESUBMISSION) if resubmission is None else resubmission,
        "per_class.csv": pd.DataFrame(columns=PER_CLASS),
        "confusion.csv": pd.DataFrame(columns=CONFUSION),
    }
    for name, table in tables.items():
        write_table(table, folder / name)
    if summary is not None:
        write_table(summary, folder / "summary.csv")
