"""Upper bounds: what a defence keeps where nobody attacked it directly, and what may be claimed of it.

Under an attack that does not know of it, any defence looks better than it is. So where one was attacked directly and
the other was not, the second one's higher accuracy is no sign that it is better.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from assay.evaluation.comparisons import COLUMNS as COMPARISONS

COLUMNS = [*COMPARISONS, "claim"]
NONE, BOUND = "none", "upper bound"  # claims beside a and b
Cell = tuple[Any, ...]  # classifier, attack, norm, eps, defence, sigma


def upper_bounds(strongest: pd.DataFrame) -> set[Cell]:
    """The cells that are only upper bounds, by classifier, attack, norm, eps, defence and sigma: those of attacks that
    count, on a defence that was not attacked directly at that eps. Without a defence, or at eps 0, there is no doubt.

    `strongest` is the table of the strongest attacks.
    """
    doubted = strongest[(strongest["direct"] == 0) & (strongest["defence"] != "none")]
    return {
        (row.classifier, attack, row.norm, row.eps, row.defence, row.sigma)
        for row in doubted[doubted["eps"] > 0].itertuples()
        for attack in row.attacks.split()
    }


def with_claims(comparisons: pd.DataFrame, strongest: pd.DataFrame) -> pd.DataFrame:
    """The comparisons with the column `claim`: the `winner`, but `upper bound` where that is only one, and the other
    was attacked directly."""
    bounds = upper_bounds(strongest)

    def claim(row: Any) -> str:
        if row.winner == NONE:
            return NONE
        known = {
            side: (row.classifier, row.attack, row.norm, row.eps, defence, sigma) in bounds
            for side, defence, sigma in (("a", row.a, row.a_sigma), ("b", row.b, row.b_sigma))
        }
        loser = "b" if row.winner == "a" else "a"
        return BOUND if known[row.winner] and not known[loser] else row.winner

    claims = [claim(row) for row in comparisons.itertuples()]
    return comparisons.assign(claim=claims)[[*comparisons.columns, "claim"]]
