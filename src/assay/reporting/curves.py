"""Accuracy against eps and against sigma: one small figure for each purifier."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from markupsafe import Markup

from assay.planning.cells import sigma_token
from assay.reporting.charts.drawing import RAMP, ramp
from assay.reporting.charts.legend import Key, legend
from assay.reporting.charts.plot import Axis, Line, Point, Rule, plot, shares, values
from assay.reporting.choice import strongest
from assay.reporting.ladder import style_of
from assay.reporting.marks import label_of, point_of
from assay.reporting.read import pick
from assay.reporting.trust import Checked
from assay.reporting.words import eps_label, percent
from assay.study.model import Study
from assay.words import count

MAX_PANELS = 12
MAX_FAMILIES = 6
SHIFT = 0.01  # of the axis, between neighbouring lines, so that intervals do not hide each other
NAMES = {"eps": eps_label, "sigma": sigma_token}


@dataclass(frozen=True)
class Curves:
    """The figures of one classifier and family of attacks (same method and norm), against eps or against sigma."""

    title: str
    legend: Markup
    panels: list[tuple[str, Markup]]
    notes: list[str]


def curves(summary: pd.DataFrame, study: Study, checked: Checked) -> tuple[list[Curves], list[str]]:
    """All curves of a study, and what was left out; `summary` as `with_knowledge` returns it."""
    attacked = summary[summary["attack"] != "none"]
    families = list(attacked[["family", "norm"]].drop_duplicates().itertuples(index=False, name=None))
    drawer = _Drawer(style_of(study), checked)
    found = []
    for family, norm in families[:MAX_FAMILIES]:
        for classifier in summary["classifier"].unique():
            rows = pick(attacked, classifier=classifier, family=family, norm=norm)
            clean = pick(summary, classifier=classifier, attack="none")
            title = f"{classifier}, {', '.join(rows['attack'].unique())} ({norm})"
            found += [drawer.against(x, title, rows, clean) for x in NAMES]
    left_out = f"Curves are drawn for {MAX_FAMILIES} of {len(families)} attack methods; the grid has the others too."
    return [curve for curve in found if curve.panels], [left_out] if len(families) > MAX_FAMILIES else []


@dataclass(frozen=True)
class _Drawer:
    styles: dict[str, int]
    checked: Checked

    def against(self, x: str, title: str, attacked: pd.DataFrame, clean: pd.DataFrame) -> Curves:
        """Accuracy against eps with a line for each sigma, or against sigma with a line for each eps."""
        other, title = "sigma" if x == "eps" else "eps", f"{title}: accuracy against {x}"
        bare = strongest(pd.concat([pick(clean, defence="none"), pick(attacked, defence="none", shared=True)]), "eps")
        shown = attacked[attacked["defence"] != "none"]
        if x == "sigma":
            shown = shown[shown.groupby("defence", sort=False)["sigma"].transform("nunique") > 1]
        if shown.empty and (x == "sigma" or len(bare) < 3):
            return Curves(title, Markup(), [], [])
        ticks = {0.0: "0"} if x == "eps" else {}
        ticks |= {value: NAMES[x](value) for value in (attacked if x == "eps" else shown)[x]}
        axis = values(f"{x} (pixel units)", list(ticks.items()))
        levels, left_out = _levels(shown[other], other)
        colours = {level: ramp(place, len(levels)) for place, level in enumerate(levels)}
        keys = [Key(f"{other} {NAMES[other](level)}", colour) for level, colour in colours.items()]
        keys += [Key(f"{threat} attack", "ink", self.styles[threat], True) for threat in shown["threat"].unique()]
        rules = []
        if x == "sigma":
            keys.append(Key("clean images", "ink"))
            bare = bare[bare["eps"].isin([0.0, *levels])]
            rules = [Rule(label_of(row, self.checked), y=row.accuracy, colour=colours.get(row.eps, "ink"))
                     for row in bare.itertuples()]  # fmt: skip
        panels = []
        for name in shown["defence"].unique()[:MAX_PANELS]:
            own, control = pick(shown, defence=name), pick(clean, defence=name)
            lines = [self._line(bare, x, axis, faint=True) if x == "eps" else self._line(control, x, axis, "ink")]
            for place, (level, colour) in enumerate(colours.items()):
                for attack, threat in own[["attack", "threat"]].drop_duplicates().itertuples(index=False, name=None):
                    rows = pick(own, attack=attack, **{other: level})
                    if rows.empty:
                        continue
                    rows = pd.concat([pick(control, sigma=level), rows]) if x == "eps" else rows
                    shift = SHIFT * (place - (len(levels) - 1) / 2)
                    lines.append(self._line(rows, x, axis, colour, self.styles[threat], shift))
            panels.append((name, plot(f"{name}, {title}", lines, axis, shares(), rules)))
        if not panels:
            panels = [("no defence", plot(title, [self._line(bare, x, axis)], axis, shares()))]
        return Curves(title, legend(keys), panels, self._notes(x, attacked, shown, left_out))

    def _line(
        self, rows: pd.DataFrame, x: str, axis: Axis, colour: str = "soft", style: int = 0, shift: float = 0.0,
        faint: bool = False,
    ) -> Line:  # fmt: skip
        aside = shift * (axis.high - axis.low)
        found = rows.sort_values(x, kind="stable").itertuples()
        return Line([point_of(row, getattr(row, x) + aside, self.checked) for row in found], colour, style, faint)

    def _notes(self, x: str, attacked: pd.DataFrame, shown: pd.DataFrame, left_out: str | None) -> list[str]:
        notes = ["Grey line: no defence." if x == "eps" else "Dotted lines: no defence.", left_out]
        purifiers = shown["defence"].nunique()
        if purifiers > MAX_PANELS:
            notes.append(f"{MAX_PANELS} of {count(purifiers, 'purifier')} are drawn; the grid has them all.")
        bounds = attacked.loc[attacked["upper_bound"], "defence"].unique()
        if len(bounds):
            notes.append(f"Not attacked directly at every eps, and an upper bound there: {', '.join(bounds)}.")
        if any(self.checked([scores]).failed for scores in attacked["scores"]):
            notes.append("Hollow grey points failed a check.")
        return [note for note in notes if note]


def _levels(found: pd.Series, name: str) -> tuple[list[float], str | None]:
    """At most as many values as there are colours, evenly chosen, the outer ones among them."""
    every = sorted(found.unique())
    if len(every) <= RAMP:
        return every, None
    kept = [every[round(i * (len(every) - 1) / (RAMP - 1))] for i in range(RAMP)]
    return kept, f"{RAMP} of {len(every)} {name}s are drawn; the grid has them all."


def noise_levels(sweep: pd.DataFrame) -> Markup:
    """Accuracy against the sigmas that a study's selection tried, on its own images; the chosen one is marked."""
    axis = values("sigma (pixel units)", [(sigma, f"{sigma:.3g}") for sigma in sweep["sigma"]], log=True)
    lines = []
    for style, (column, name) in enumerate((("clean", "clean"), ("robust", "attacked"))):
        columns = ["sigma", f"{column}_accuracy", f"{column}_low", f"{column}_high"]
        points = [
            Point(sigma, share, f"sigma {sigma:.3g}, {name} images: {percent(share)}", low, high)
            for sigma, share, low, high in sweep.sort_values("sigma")[columns].itertuples(index=False)
        ]
        lines.append(Line(points, f"c{style + 1}", style))
    (chosen,) = sweep.loc[sweep["chosen"] == 1, "sigma"]
    rule = Rule(f"chosen sigma: {chosen:.3g}", x=float(chosen), colour="ink")
    return plot("accuracy against sigma, on the selection images", lines, axis, shares(), [rule])
