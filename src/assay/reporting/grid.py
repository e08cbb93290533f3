"""The grid as tables: one line a cell, and a heat map for each classifier and attack."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from assay.reporting.read import OPTIONAL, pick
from assay.reporting.words import defence_name, eps_label, sigma_label

HEADS = {
    "sensitivity": "sens.",
    "specificity": "spec.",
    "majority_accuracy": "majority",
    "worst_accuracy": "worst",
}


@dataclass(frozen=True)
class HeatMap:
    """Cells of one classifier under one attack: a row a defence, a column an eps; None where not measured."""

    title: str
    columns: list[str]
    rows: list[tuple[str, list[Any]]]


def heat_maps(summary: pd.DataFrame) -> list[HeatMap]:
    """One heat map for each classifier and attack, with the clean images as the first column."""
    attacked = summary[summary["attack"] != "none"]
    keys = attacked[["classifier", "attack", "norm", "threat"]].drop_duplicates()
    if attacked.empty:
        keys = summary[["classifier", "attack", "norm", "threat"]].drop_duplicates()
    return [_heat_map(summary, key) for key in keys.itertuples()]


def _heat_map(summary: pd.DataFrame, key: Any) -> HeatMap:
    own = pick(summary, classifier=key.classifier)
    attacked = pick(own, attack=key.attack)
    defences = attacked[["defence", "sigma"]].drop_duplicates().itertuples(index=False, name=None)
    table = pd.concat([pick(own, attack="none"), attacked]).drop_duplicates(["eps", "defence", "sigma"])
    known = {(row.defence, row.sigma, row.eps): row for row in table.itertuples()}
    epses = sorted({0.0, *attacked["eps"]})
    under = f"{key.attack} ({key.norm}, {key.threat})" if key.attack != "none" else "clean images"
    return HeatMap(
        title=f"{key.classifier}, {under}",
        columns=[eps_label(eps) if eps else "clean" for eps in epses],
        rows=[
            (defence_name(defence, sigma), [known.get((defence, sigma, eps)) for eps in epses])
            for defence, sigma in defences
        ],
    )


def lines(summary: pd.DataFrame) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """The optional columns that hold anything, with their heads, and every cell as the table shows it."""
    measured = {column: HEADS[column] for column in OPTIONAL if summary[column].notna().any()}
    rows = [
        {
            "words": [row.classifier, row.attack, row.threat, row.norm, row.defence],
            "eps": (row.eps, "–" if row.attack == "none" else eps_label(row.eps)),
            "sigma": (row.sigma, "–" if row.defence == "none" else sigma_label(row.sigma)),
            "cell": row,
            "others": [getattr(row, column) for column in measured],
        }
        for row in summary.itertuples()
    ]
    return measured, rows
