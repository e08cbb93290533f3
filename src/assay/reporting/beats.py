"""Who beats whom: the defences of each table in their order, and how each two of them differ."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pandas as pd

from assay.files import AssayError
from assay.reporting.read import TABLE, pick
from assay.reporting.strongest import ranked
from assay.reporting.trust import Checked, Verdict
from assay.reporting.words import TOO_FEW, defence_name, eps_label

SHOWN = 4  # tables that are open


@dataclass
class Place:
    """One defence of a table: how many others it beats and loses to, and the checks on it. An `upper_bound` was not
    attacked directly, and may keep less than this."""

    rank: int
    name: str
    accuracy: float
    upper_bound: bool
    verdict: Verdict
    beats: int = 0
    loses: int = 0


class Difference(NamedTuple):
    """How much better the defence of a row is than that of a column, in points, whether that is significant, whether
    the better one may be called so (an upper bound may not, over what was attacked directly), and the smallest
    difference that would have been significant with a chance of 80 %."""

    points: float
    low: float
    high: float
    p: float
    significant: bool
    claimed: bool
    detectable: float

    @property
    def told(self) -> str:
        """The difference with its interval and p-value, and what could have been seen where it is not significant."""
        if math.isnan(self.low):
            return f"{self.points:+.1f} points, {TOO_FEW}"
        text = f"{self.points:+.1f} points [{self.low:+.1f}, {self.high:+.1f}], p = {self.p:.2g}"
        unseen = "" if self.significant or math.isnan(self.detectable) else f"; could have seen {self.detectable:.1f}"
        return text + unseen


@dataclass
class Ranking:
    """The defences under one attack at one eps, the most accurate first, but upper bounds below all others;
    `differences[i, j]` is of i over j > i."""

    title: str
    attack: str
    eps: float
    places: list[Place]
    differences: dict[tuple[int, int], Difference] = field(default_factory=dict)

    @property
    def decided(self) -> bool:
        """Whether any defence may be called better than another."""
        return any(place.beats for place in self.places)

    @property
    def unseen(self) -> str:
        """What the differences that are not significant could have been, in words; empty where all are."""
        found = [difference.detectable for difference in self.differences.values() if not difference.significant]
        if not found:
            return ""
        if any(math.isnan(points) for points in found):
            return f"There are {TOO_FEW} to see a difference."
        return f"Pairs that do not differ significantly could have seen {max(found):.1f} points, four times in five."


def rankings(comparisons: pd.DataFrame, summary: pd.DataFrame, checked: Checked) -> list[Ranking]:
    """One ranking a table, in the order of the study."""
    keys = comparisons[TABLE].drop_duplicates().to_dict("records")
    return [_ranking(key, pick(comparisons, **key), pick(summary, **key), checked) for key in keys]


def beats(
    comparisons: pd.DataFrame, summary: pd.DataFrame, checked: Checked, speaks_of: list[tuple[str, float]]
) -> dict[str, list[Ranking]]:
    """The tables that are open, `first`, and the `others`.

    Open are those that the answer speaks of; where it speaks of none, the first attacks at their largest eps.
    """
    found = rankings(comparisons, summary, checked)
    largest = {table.attack: max(other.eps for other in found if other.attack == table.attack) for table in found}
    wanted = speaks_of or list(largest.items())
    first = [table for table in found if (table.attack, table.eps) in wanted][:SHOWN]
    return {"first": first, "others": [table for table in found if not any(table is other for other in first)]}


def _ranking(key: dict[str, Any], pairs: pd.DataFrame, cells: pd.DataFrame, checked: Checked) -> Ranking:
    cells = ranked(cells)
    ranks = {(row.defence, row.sigma): rank for rank, row in enumerate(cells.itertuples())}
    places = [
        Place(rank + 1, defence_name(row.defence, row.sigma), row.accuracy, row.upper_bound, checked([row.scores]))
        for rank, row in enumerate(cells.itertuples())
    ]
    table = Ranking(_title(key), key["attack"], float(key["eps"]), places)
    for row in pairs.itertuples():
        a, b = ranks.get((row.a, row.a_sigma)), ranks.get((row.b, row.b_sigma))
        if a is None or b is None:
            raise AssayError(f"comparisons.csv: has {row.a} and {row.b}, summary.csv has not; run summarise again")
        upper, lower, sign = (b, a, 100) if b < a else (a, b, -100)
        low, high = sorted((sign * row.low, sign * row.high))
        significant, claimed = row.winner != "none", row.claim in ("a", "b")
        table.differences[upper, lower] = Difference(
            sign * row.difference + 0.0, low, high, row.p_holm, significant, claimed, 100 * row.detectable
        )
        if claimed:
            winner, loser = (a, b) if row.claim == "a" else (b, a)
            places[winner].beats += 1
            places[loser].loses += 1
    return table


def _title(key: dict[str, Any]) -> str:
    if key["attack"] == "none":
        return f"{key['classifier']}, clean images"
    return f"{key['classifier']}, {key['attack']} ({key['norm']}, {key['threat']}) at eps {eps_label(key['eps'])}"
