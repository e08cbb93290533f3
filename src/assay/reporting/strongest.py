"""The table of the strongest attacks as the report speaks of it, and the cells of the summary that are upper bounds."""

from __future__ import annotations

from typing import Any

import pandas as pd

from assay.evaluation.bounds import upper_bounds
from assay.evaluation.strongest import EACH
from assay.files import AssayError
from assay.words import count

CELL = ["classifier", "attack", "norm", "eps", "defence", "sigma"]
SELECTED = "/sigma-selected"  # at the end of where a cell of the selected sigma has its scores


def with_bounds(summary: pd.DataFrame, strongest: pd.DataFrame) -> pd.DataFrame:
    """The summary with the column `upper_bound`: whether a cell's defence was not attacked directly at its eps."""
    bounds = upper_bounds(strongest)
    cells = summary[CELL].itertuples(index=False, name=None)
    return summary.assign(upper_bound=pd.Series([cell in bounds for cell in cells], summary.index, bool))


def as_rows(strongest: pd.DataFrame, summary: pd.DataFrame) -> pd.DataFrame:
    """The table of the strongest attacks with what rows of the summary have, so that it is shown as they are.

    `attack` and `threat` say which attacks it is over, all of which meet `fresh` noise; `scores` are the cells that it
    rests on, `upper_bound` is as in the summary, and `selected` whether the sigma was selected on other images.
    """
    places = dict(zip(summary[CELL].itertuples(index=False, name=None), summary["scores"], strict=True))
    bounds = upper_bounds(strongest)
    lines = []
    for row in strongest.itertuples():
        cells = [(row.classifier, name, row.norm, row.eps, row.defence, row.sigma) for name in row.attacks.split()]
        if missing := [cell[1] for cell in cells if cell not in places]:
            raise AssayError(
                f"strongest.csv: has {missing[0]} on {row.defence}, summary.csv has not; run summarise again"
            )
        scores = tuple(places[cell] for cell in cells)
        name = attackers(row)
        selected = any(place.endswith(SELECTED) for place in scores)
        more = {"attack": name, "threat": name, "fresh": True, "scores": scores, "selected": selected}
        lines.append({**row._asdict(), **more, "upper_bound": cells[0] in bounds})
    columns = [*strongest.columns, "attack", "threat", "fresh", "scores", "selected", "upper_bound"]
    return pd.DataFrame(lines, columns=columns).astype({"upper_bound": bool, "selected": bool})


def attackers(row: Any) -> str:
    """The attacks of a row of the table as a sentence names them: `pgd`, `the strongest of 3 attacks on each image`."""
    if row.attack_count == 1:
        return row.attacks
    of = f"the strongest of {count(row.attack_count, 'attack')}"
    return f"{of} on each image" if row.chosen_for == EACH else f"{row.alone}, {of}"


def ranked(strongest: pd.DataFrame) -> pd.DataFrame:
    """The rows from what keeps most to what keeps least; upper bounds stand below all that was attacked directly."""
    return strongest.sort_values(["upper_bound", "accuracy"], ascending=[True, False], kind="stable")
