"""The grid of a summary as text, for a terminal."""

from __future__ import annotations

import pandas as pd

from assay.reporting.words import bracket, defence_label, eps_label, number


def text_grid(summary: pd.DataFrame) -> str:
    """Accuracy in percent with its interval: a block for each classifier and attack, a row a defence, a column an eps.

    Each block has the clean accuracy of its defences as its first column.
    """
    blocks = []
    clean = summary[summary["attack"] == "none"]
    attacked = summary[summary["attack"] != "none"]
    for (classifier, attack, threat), cells in attacked.groupby(["classifier", "attack", "threat"], sort=False):
        defences = cells[["defence", "sigma"]].drop_duplicates()
        controls = clean[clean["classifier"] == classifier].merge(defences, on=["defence", "sigma"])
        cells = pd.concat([controls, cells])
        columns = ["clean" if row.attack == "none" else eps_label(row.eps) for row in cells.itertuples()]
        blocks.append(_block(f"{classifier}, {attack} ({threat})", cells, columns))
    return "\n\n".join(blocks)


def text_classes(per_class: pd.DataFrame) -> str:
    """The same by class: a block for each classifier, attack and eps, a column a class."""
    blocks = []
    for (classifier, attack, eps), cells in per_class.groupby(["classifier", "attack", "eps"], sort=False):
        under = "clean images" if attack == "none" else f"{attack} at eps {eps_label(eps)}"
        blocks.append(_block(f"{classifier}, {under}", cells, cells["name"].tolist()))
    return "\n\n".join(blocks)


def _block(title: str, cells: pd.DataFrame, columns: list[str]) -> str:
    table = pd.DataFrame(
        {
            "defence": [defence_label(row.defence, row.sigma) for row in cells.itertuples()],
            "column": columns,
            "text": [f"{number(row.accuracy)} {bracket(row.ci_low, row.ci_high)}" for row in cells.itertuples()],
        }
    )
    grid = table.pivot(index="defence", columns="column", values="text")
    grid = grid.reindex(index=table["defence"].unique(), columns=table["column"].unique()).fillna("–")
    grid.index.name = grid.columns.name = None
    return f"{title}\n{grid.to_string()}"
