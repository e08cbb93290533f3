"""The grid: a heat map for each classifier and attack, and a table with a line for each cell."""

from __future__ import annotations

from typing import Any

import pandas as pd
from markupsafe import Markup

from assay.planning.cells import sigma_token
from assay.reporting.charts.heat import Cell, heat
from assay.reporting.read import OPTIONAL, pick
from assay.reporting.trust import Checked
from assay.reporting.words import defence_name, eps_label

KEY = ["classifier", "attack", "norm", "threat"]


def heat_maps(summary: pd.DataFrame, checked: Checked) -> list[tuple[str, Markup]]:
    """For each classifier and attack a title and a map: a row a defence, a column an eps, clean images first."""
    attacked = summary[summary["attack"] != "none"]
    keys = (summary if attacked.empty else attacked)[KEY].drop_duplicates()
    return [_heat_map(summary, key, checked) for key in keys.itertuples()]


def _heat_map(summary: pd.DataFrame, key: Any, checked: Checked) -> tuple[str, Markup]:
    own = pick(summary, classifier=key.classifier)
    attacked = pick(own, attack=key.attack)
    defences = attacked[["defence", "sigma"]].drop_duplicates().itertuples(index=False, name=None)
    table = pd.concat([pick(own, attack="none"), attacked]).drop_duplicates(["eps", "defence", "sigma"])
    known = {(row.defence, row.sigma, row.eps): row for row in table.itertuples()}
    epses = sorted({0.0, *attacked["eps"]})
    under = f"{key.attack} ({key.norm}, {key.threat})" if key.attack != "none" else "clean images"
    title = f"{key.classifier}, {under}"
    columns = [eps_label(eps) if eps else "clean" for eps in epses]
    lines = [
        (defence_name(*defence), [cell_of(known.get((*defence, eps)), checked) for eps in epses])
        for defence in defences
    ]  # fmt: skip
    return title, heat(title, "eps", columns, lines)


def cell_of(row: Any, checked: Checked) -> Cell | None:
    """A row of the summary as a cell of a heat map."""
    if row is None:
        return None
    return Cell(row.accuracy, f"{100 * row.accuracy:.0f}", checked.label(row), checked([row.scores]).failed)


def lines(summary: pd.DataFrame) -> tuple[list[str], list[dict[str, Any]]]:
    """The optional columns that hold anything, and every cell as the table shows it."""
    measured = [column for column in OPTIONAL if summary[column].notna().any()]
    rows = [
        {
            "words": [row.classifier, row.attack, row.threat, row.norm, row.defence],
            "eps": (row.eps, "–" if row.attack == "none" else eps_label(row.eps)),
            "sigma": (row.sigma, "–" if row.defence == "none" else sigma_token(row.sigma)),
            "cell": row,
            "others": [getattr(row, column) for column in measured],
        }
        for row in summary.itertuples()
    ]
    return [column.removesuffix("_accuracy") for column in measured], rows
