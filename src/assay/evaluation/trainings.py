"""Classifiers that were trained several times: how far their trainings differ, and which are as good as each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from assay.evaluation.statistics.equivalence import LEVEL, Spread, equivalence, spread_of
from assay.evaluation.statistics.multiple import holm
from assay.evaluation.summary import Judged
from assay.files import canonical_json
from assay.study.model import Study

CELL = ["attack", "threat", "norm", "eps", "defence", "sigma"]
SPREAD = ["study", "classifier", "trainings", *CELL, "images", "accuracy", "spread", "lowest", "highest"]
EQUIVALENCE = [
    *["study", "reference", "classifier", *CELL, "reference_trainings", "trainings"],
    *["difference", "low", "high", "margin", "p", "p_holm", "equivalent"],
]

Cells = Mapping[tuple, Mapping[str, list[Judged]]]  # by the values of CELL, then by the family's name


def families(study: Study) -> dict[str, list[str]]:
    """The classifiers of a study by the first of those that differ in nothing but the seed of their training."""
    found: dict[str, list[str]] = {}
    for name, classifier in study.classifiers.items():
        alike = canonical_json(classifier.model_dump(mode="json", exclude={"seed"}))
        found.setdefault(alike if classifier.kind == "trained" else name, []).append(name)
    return {members[0]: members for members in found.values()}


def spreads(study: Study, cells: Sequence[Judged]) -> pd.DataFrame:
    """One row for each cell of each classifier that was trained several times.

    `accuracy` is the mean over its trainings, `spread` the standard deviation between them.
    """
    rows = [
        {
            "study": study.study,
            "classifier": name,
            "trainings": len(members),
            **dict(zip(CELL, key, strict=True)),
            "images": len(members[0].correct),
            "accuracy": float(accuracies.mean()),
            "spread": float(accuracies.std(ddof=1)),
            "lowest": float(accuracies.min()),
            "highest": float(accuracies.max()),
        }
        for key, of_families in _by_cell(study, cells).items()
        for name, members in of_families.items()
        if len(members) > 1
        for accuracies in [_accuracies(members)]
    ]
    return pd.DataFrame(rows, columns=SPREAD)


def equivalences(study: Study, cells: Sequence[Judged]) -> pd.DataFrame:
    """One row for each cell of each classifier beside the study's reference, if its `equivalence` names one.

    `difference` is the classifier's mean accuracy less the reference's, with its 90% interval; `equivalent` is 1 where
    it is less than the margin either way: p_holm, Holm's over the table, is at most LEVEL.
    """
    asked = study.evaluation.equivalence
    rows = list(_against(study, asked.reference, asked.margin, _by_cell(study, cells))) if asked else []
    table = pd.DataFrame(rows, columns=EQUIVALENCE)
    table["p_holm"] = holm(table["p"].to_numpy())
    table["equivalent"] = (table["p_holm"] <= LEVEL).astype(int)
    return table


def _against(study: Study, reference: str, margin: float, by_cell: Cells) -> Iterator[dict]:
    (first,) = (name for name, members in families(study).items() if reference in members)
    for key, of_families in by_cell.items():
        if first not in of_families:
            continue
        pooled = spread_of([_accuracies(members) for members in of_families.values()])
        for name, members in of_families.items():
            if name != first:
                yield {
                    "study": study.study,
                    "reference": first,
                    "classifier": name,
                    **dict(zip(CELL, key, strict=True)),
                    "reference_trainings": len(of_families[first]),
                    "trainings": len(members),
                    "margin": margin,
                    **_compared(of_families[first], members, margin, pooled),
                }


def _compared(reference: Sequence[Judged], members: Sequence[Judged], margin: float, pooled: Spread) -> dict:
    a, b = (np.stack([cell.correct.mean(axis=1) for cell in group]) for group in (reference, members))
    return equivalence(a, b, margin, pooled, members[0].clusters)._asdict()


def _by_cell(study: Study, cells: Sequence[Judged]) -> Cells:
    first = {member: name for name, members in families(study).items() for member in members}
    found: dict[tuple, dict[str, list[Judged]]] = {}
    for cell in cells:
        found.setdefault(cell.key(*CELL), {}).setdefault(first[cell.row["classifier"]], []).append(cell)
    return found


def _accuracies(members: Sequence[Judged]) -> np.ndarray:
    return np.array([cell.correct.mean() for cell in members])
