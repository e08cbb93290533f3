"""Accuracy against the number of attack steps: a figure for each attack and eps, a line for each classifier."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from markupsafe import Markup

from assay.reporting.charts.legend import Key, legend
from assay.reporting.charts.plot import Line, Point, plot, shares, values
from assay.reporting.read import pick
from assay.reporting.words import eps_label, percent
from assay.words import count

FIRST = 100  # steps that the paper (Xie et al. 2019, figure 6) shows once more by themselves
COLOURS = 6  # of the palette
FEWEST = 3  # points of a figure of its own
SHOWN = {"accuracy": ("accuracy", "ci_low", "ci_high"), "hit": ("classified as the target", "hit_low", "hit_high")}


@dataclass(frozen=True)
class BySteps:
    """The figures of one attack at one eps."""

    title: str
    legend: Markup
    panels: list[tuple[str, Markup]]


def by_steps(table: pd.DataFrame) -> list[BySteps]:
    """The figures of all attacks that have a trajectory; `table` is `trajectories.csv`."""
    attacks = table[["attack", "norm", "eps"]].drop_duplicates().itertuples(index=False, name=None)
    return [_figure(attack, norm, eps, pick(table, attack=attack, norm=norm, eps=eps)) for attack, norm, eps in attacks]


def _figure(attack: str, norm: str, eps: float, rows: pd.DataFrame) -> BySteps:
    title = f"{attack} at eps {eps_label(eps)} ({norm}): accuracy against steps"
    styles = {name: style for style, name in enumerate(rows["classifier"].unique())}
    panels = [("accuracy", _panel(title, rows, "accuracy", styles))]
    early = rows[rows["step"] <= FIRST]
    if FEWEST <= early["step"].nunique() < rows["step"].nunique():
        panel = _panel(f"{title}, first {FIRST}", early, "accuracy", styles, log=False)
        panels.append((f"accuracy, first {FIRST} steps", panel))
    if rows["hit"].notna().any():
        panels.append(("classified as the target", _panel(f"{title}: targets hit", rows, "hit", styles)))
    keys = [Key(name, _colour(style), style, True) for name, style in styles.items()]
    return BySteps(title, legend(keys), panels)


def _panel(title: str, rows: pd.DataFrame, measure: str, styles: dict[str, int], log: bool = True) -> Markup:
    what, low, high = SHOWN[measure]
    lines = []
    for name, style in styles.items():
        own = pick(rows, classifier=name).sort_values("step")
        points = [
            Point(step, share, f"{name}, {what} after {count(step, 'step')}: {percent(share)}", bottom, top)
            for step, share, bottom, top in own[["step", measure, low, high]].itertuples(index=False, name=None)
        ]
        lines.append(Line(points, _colour(style), style))
    axis = values("steps", [(step, f"{step:g}") for step in rows["step"].unique()], log=log)
    return plot(title, lines, axis, shares())


def _colour(style: int) -> str:
    return f"c{style % COLOURS + 1}"
