"""The worst case: what a defence keeps of one draw, of the vote, of repeated asking, and of all attacks together."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pandas as pd

from assay.files import AssayError
from assay.reporting.read import pick
from assay.reporting.trust import Checked, Verdict
from assay.reporting.words import defence_name, eps_label

BALL = ["classifier", "norm", "eps"]
GROUP = [*BALL, "defence", "sigma"]
SINGLE = {"accuracy": "one draw", "majority_accuracy": "majority"}  # then worst_of_2 and so on
REPEATED = "worst_of_"


@dataclass(frozen=True)
class Pair:
    """A measure under attack, and the same on clean images."""

    attacked: float
    clean: float

    @property
    def measured(self) -> bool:
        return not math.isnan(self.attacked)


@dataclass(frozen=True)
class Row:
    """One defence in one ball: what its strongest attack leaves by each measure, and what all attacks leave.

    The strongest is the one that leaves least in one draw, of those that are judged on all draws.
    """

    name: str
    strongest: str
    single: list[Pair]
    majority: Pair
    every: Pair
    low: float
    high: float
    kept: float
    verdict: Verdict


@dataclass(frozen=True)
class Ball:
    """The defences of one classifier in one ball. `measures` are the heads of `single`."""

    classifier: str
    eps: float
    title: str
    attacks: list[str]
    measures: list[str]
    rows: list[Row]


def balls(worst_cases: pd.DataFrame, summary: pd.DataFrame, checked: Checked) -> list[Ball]:
    """One table each classifier and ball, in the order of the study."""
    keys = worst_cases[BALL].drop_duplicates().to_dict("records")
    return [_ball(key, pick(worst_cases, **key), pick(summary, **key), summary, checked) for key in keys]


def worst(
    worst_cases: pd.DataFrame, summary: pd.DataFrame, checked: Checked, speaks_of: list[tuple[str, float]]
) -> dict[str, list[Ball]]:
    """The tables that are open, `first`, and the `others`.

    Open is of each classifier the ball of the eps that the answer speaks of, or else its largest.
    """
    found = balls(worst_cases, summary, checked)
    spoken = {eps for _, eps in speaks_of if eps}
    first = []
    for classifier in dict.fromkeys(ball.classifier for ball in found):
        own = [ball for ball in found if ball.classifier == classifier]
        first.append(max(own, key=lambda ball: (ball.eps in spoken, ball.eps)))
    return {"first": first, "others": [ball for ball in found if not any(ball is other for other in first)]}


def _ball(
    key: dict[str, Any], worst_cases: pd.DataFrame, cells: pd.DataFrame, summary: pd.DataFrame, checked: Checked
) -> Ball:
    repeats = [column for column in summary if column.startswith(REPEATED) and column != f"{REPEATED}1"]
    measures = [column for column in [*SINGLE, *repeats] if cells[column].notna().any()]
    clean = pick(summary, classifier=key["classifier"], attack="none")
    rows = [_row(row, measures, cells, clean, checked) for row in worst_cases.itertuples()]
    return Ball(
        classifier=key["classifier"],
        eps=float(key["eps"]),
        title=f"{key['classifier']}, {key['norm']}, eps {eps_label(key['eps'])}",
        attacks=list(cells["attack"].unique()),
        measures=[SINGLE.get(column, f"worst of {column.removeprefix(REPEATED)}") for column in measures],
        rows=rows,
    )


def _row(row: Any, measures: list[str], cells: pd.DataFrame, clean: pd.DataFrame, checked: Checked) -> Row:
    own = pick(cells, defence=row.defence, sigma=row.sigma)
    control = pick(clean, defence=row.defence, sigma=row.sigma)
    if own.empty:
        raise AssayError(f"worst_case.csv: has {row.defence} under attack, summary.csv has not; run summarise again")
    fresh = own[own["draws"] == own["draws"].max()]  # one who knows the noise meets one draw: there is no worst of two
    strongest = fresh.loc[fresh["accuracy"].idxmin()]
    control_of = control.iloc[0] if len(control) else dict.fromkeys(measures, math.nan)
    return Row(
        name=defence_name(row.defence, row.sigma),
        strongest=strongest["attack"],
        single=[Pair(strongest[column], control_of[column]) for column in measures],
        majority=Pair(row.majority, row.majority_clean),
        every=Pair(row.all_or_nothing, row.clean),
        low=row.ci_low,
        high=row.ci_high,
        kept=row.kept,
        verdict=checked([*own["scores"], *control["scores"]]),
    )
