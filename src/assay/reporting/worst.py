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
SINGLE = {"accuracy": "one draw", "majority_accuracy": "majority"}  # then worst_of_2 and so on
REPEATED = "worst_of_"


@dataclass(frozen=True)
class Row:
    """One defence in one ball: what its strongest attack leaves by each measure, and what all attacks leave.

    Pairs are (attacked, clean). The strongest leaves least in one draw, of the attacks that are judged on all draws.
    `whole` is the row of the worst cases, all of which are `upper_bound`s where the defence was not attacked directly.
    """

    name: str
    strongest: str
    single: list[tuple[float, float]]
    whole: Any
    upper_bound: bool
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
    ranked = sorted(found, key=lambda ball: (ball.eps in spoken, ball.eps))
    best = {ball.classifier: ball for ball in ranked}
    first = [ball for ball in found if best[ball.classifier] is ball]
    return {"first": first, "others": [ball for ball in found if best[ball.classifier] is not ball]}


def _ball(
    key: dict[str, Any], worst_cases: pd.DataFrame, cells: pd.DataFrame, summary: pd.DataFrame, checked: Checked
) -> Ball:
    repeats = [column for column in summary if column.startswith(REPEATED) and column != f"{REPEATED}1"]
    measures = [column for column in [*SINGLE, *repeats] if cells[column].notna().any()]
    clean = pick(summary, classifier=key["classifier"], attack="none")
    return Ball(
        key["classifier"],
        float(key["eps"]),
        f"{key['classifier']}, {key['norm']}, eps {eps_label(key['eps'])}",
        list(cells["attack"].unique()),
        [SINGLE.get(column, f"worst of {column.removeprefix(REPEATED)}") for column in measures],
        [_row(row, measures, cells, clean, checked) for row in worst_cases.itertuples()],
    )


def _row(row: Any, measures: list[str], cells: pd.DataFrame, clean: pd.DataFrame, checked: Checked) -> Row:
    own, control = (pick(table, defence=row.defence, sigma=row.sigma) for table in (cells, clean))
    if own.empty:
        raise AssayError(f"worst_case.csv: has {row.defence} under attack, summary.csv has not; run summarise again")
    fresh = own[own["draws"] == own["draws"].max()]  # an attacker who knows the noise meets one draw only
    strongest = fresh.loc[fresh["accuracy"].idxmin()]
    control_of = control.iloc[0] if len(control) else dict.fromkeys(measures, math.nan)
    single = [(strongest[column], control_of[column]) for column in measures]
    verdict = checked([*own["scores"], *control["scores"]])
    return Row(
        defence_name(row.defence, row.sigma), strongest["attack"], single, row, own["upper_bound"].any(), verdict
    )
