"""The grid of a summary as text, for a terminal."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from assay.reporting.words import TOO_FEW, bracket, defence_label, eps_label, number
from assay.words import count


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


def text_differences(comparisons: pd.DataFrame) -> str:
    """A line for each attack and eps: how many pairs of defences differ significantly, and what the others hide."""
    lines = []
    for (classifier, attack, eps), pairs in comparisons.groupby(["classifier", "attack", "eps"], sort=False):
        under = "clean images" if attack == "none" else f"{attack} at eps {eps_label(eps)}"
        differ = f"{(pairs['winner'] != 'none').sum()} of {count(len(pairs), 'pair')} differ significantly"
        lines.append(f"{classifier}, {under}: {differ}{_unseen(pairs)}")
    return "\n".join(lines)


def _unseen(pairs: pd.DataFrame) -> str:
    """What the pairs that do not differ significantly could have shown."""
    undecided = pairs.loc[pairs["winner"] == "none"]
    if undecided.empty:
        return ""
    if undecided["detectable"].isna().any():
        return f"; {TOO_FEW} to see any difference" if undecided["p_holm"].isna().any() else ""
    least, most = (f"{100 * found:.1f}" for found in (undecided["detectable"].min(), undecided["detectable"].max()))
    return (
        f"; the rest could have seen {least} points"
        if least == most
        else f"; the rest could have seen {least} to {most} points"
    )


def _text(row: Any) -> str:
    """An accuracy and its interval; a dash where nothing was measured."""
    return (
        number(row.accuracy)
        if math.isnan(row.accuracy)
        else f"{number(row.accuracy)} {bracket(row.ci_low, row.ci_high)}"
    )


def _block(title: str, cells: pd.DataFrame, columns: list[str]) -> str:
    table = pd.DataFrame(
        {
            "defence": [defence_label(row.defence, row.sigma) for row in cells.itertuples()],
            "column": columns,
            "text": [_text(row) for row in cells.itertuples()],
        }
    )
    grid = table.pivot(index="defence", columns="column", values="text")
    grid = grid.reindex(index=table["defence"].unique(), columns=table["column"].unique()).fillna("–")
    grid.index.name = grid.columns.name = None
    return f"{title}\n{grid.to_string()}"
