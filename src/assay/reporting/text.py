"""The grid of a summary as text, for a terminal."""

from __future__ import annotations

import pandas as pd

from assay.reporting.words import defence_label, eps_label


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
        table = pd.DataFrame(
            {
                "defence": [defence_label(row.defence, row.sigma) for row in cells.itertuples()],
                "eps": ["clean" if row.attack == "none" else eps_label(row.eps) for row in cells.itertuples()],
                "text": [_cell(row) for row in cells.itertuples()],
            }
        )
        grid = table.pivot(index="defence", columns="eps", values="text")
        grid = grid.reindex(index=table["defence"].unique(), columns=table["eps"].unique()).fillna("–")
        grid.index.name = grid.columns.name = None
        blocks.append(f"{classifier}, {attack} ({threat})\n{grid.to_string()}")
    return "\n\n".join(blocks)


def _cell(row: tuple) -> str:
    return f"{100 * row.accuracy:.1f} [{100 * row.ci_low:.0f}, {100 * row.ci_high:.0f}]"
