"""The risk of resubmission as a figure: what is left against how often an image may be handed in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
from markupsafe import Markup

from assay.files import AssayError
from assay.reporting.charts.legend import Key, legend
from assay.reporting.charts.plot import Line, Point, numbers, plot, shares
from assay.reporting.read import pick
from assay.reporting.strongest import CELL
from assay.reporting.trust import Checked
from assay.reporting.words import bounded, bracket, defence_label, eps_label, percent
from assay.words import count

COLOURS = 6  # of kinds, c1 … c6
CLEAN_STYLE = 1  # dashed, with a mark of its own


@dataclass(frozen=True)
class Resubmission:
    """The figure of one classifier in one ball."""

    title: str
    legend: Markup
    panel: Markup
    notes: list[str]


def resubmissions(
    table: pd.DataFrame, summary: pd.DataFrame, checked: Checked, speaks_of: list[tuple[str, float]]
) -> list[Resubmission]:
    """One figure for each classifier, at the eps that the answer speaks of, or else at the largest."""
    known = summary[[*CELL, "scores", "upper_bound"]]
    table = table.merge(known, on=CELL, how="left", validate="many_to_one", indicator=True)
    if len(missing := table[table["_merge"] != "both"]):
        first = missing.iloc[0]
        raise AssayError(
            f"resubmission.csv: has {first['attack']} on {first['defence']}, summary.csv has not; run summarise again"
        )
    spoken = {eps for _, eps in speaks_of if eps}
    found = []
    for classifier in table["classifier"].unique():
        rows = pick(table, classifier=classifier)
        balls = rows[["eps", "norm"]].drop_duplicates().itertuples(index=False, name=None)
        eps, norm = max(balls, key=lambda ball: (ball[0] in spoken, ball[0]))
        found.append(_figure(f"{classifier}, {norm}, eps {eps_label(eps)}", pick(rows, eps=eps, norm=norm), checked))
    return found


def _figure(title: str, rows: pd.DataFrame, checked: Checked) -> Resubmission:
    defences = list(rows[["defence", "sigma"]].drop_duplicates().itertuples(index=False, name=None))
    lines, keys, names = [], [], []
    for place, (defence, sigma) in enumerate(defences[:COLOURS], start=1):
        own, colour = _strongest(pick(rows, defence=defence, sigma=sigma)), f"c{place}"
        lines.append(Line([_attacked(row, checked) for row in own], colour, dense=True))
        lines.append(Line([_clean(row) for row in own if row.clean == row.clean], colour, CLEAN_STYLE, dense=True))
        keys.append(Key(defence_label(defence, sigma), colour))
        names.append(f"{defence_label(defence, sigma)}: {own[0].attack}")
    keys += [Key("under attack", "ink", 0, True), Key("clean images", "ink", CLEAN_STYLE, True)]
    axis = numbers("submissions of one image", [1, int(rows["submissions"].max())], log=True)
    notes = [f"Under the attack that leaves least after the most submissions ({'; '.join(names)})."]
    if len(defences) > COLOURS:
        notes.append(f"{COLOURS} of {count(len(defences), 'defence')} are drawn; resubmission.csv has them all.")
    if any(point.doubted for line in lines for point in line.points):
        notes.append("Hollow grey points failed a check.")
    figure = plot(f"{title}: accuracy against submissions of one image", lines, axis, shares())
    return Resubmission(title, legend(keys), figure, notes)


def _strongest(rows: pd.DataFrame) -> list[Any]:
    """The rows of the attack that leaves least after the most submissions, by submissions."""
    last = rows[rows["submissions"] == rows["submissions"].max()]
    attack = last.loc[last["accuracy"].idxmin(), "attack"]
    return list(pick(rows, attack=attack).sort_values("submissions").itertuples())


def _attacked(row: Any, checked: Checked) -> Point:
    verdict = checked([row.scores])
    doubt = f"\n{verdict.mark} {verdict.why}" if verdict.why else ""
    left = bounded(f"{percent(row.accuracy)} {bracket(row.ci_low, row.ci_high)}", row)
    label = f"{_name(row)}, {row.attack}: {left}{doubt}"
    return Point(row.submissions, row.accuracy, label, row.ci_low, row.ci_high, verdict.failed)


def _clean(row: Any) -> Point:
    label = f"{_name(row)}, clean images: {percent(row.clean)} {bracket(row.clean_low, row.clean_high)}"
    return Point(row.submissions, row.clean, label, row.clean_low, row.clean_high)


def _name(row: Any) -> str:
    return f"{defence_label(row.defence, row.sigma)}, {count(row.submissions, 'submission')}"
