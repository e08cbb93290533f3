"""Accuracy against eps and against sigma: one small figure for each purifier."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
from markupsafe import Markup

from assay.planning.cells import sigma_token
from assay.reporting.charts.drawing import RAMP, ramp
from assay.reporting.charts.legend import Key, legend
from assay.reporting.charts.plot import Axis, Line, Point, Rule, plot, shares, values
from assay.reporting.ladder import style_of
from assay.reporting.read import pick
from assay.reporting.trust import Checked
from assay.reporting.words import count, eps_label, percent
from assay.study.model import Study

MAX_PANELS = 12
MAX_FAMILIES = 6
SHIFT = 0.01  # of the axis, between neighbouring lines


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
    families = attacked[["family", "norm"]].drop_duplicates().itertuples(index=False, name=None)
    drawer = _Drawer(style_of(study), checked)
    found, notes = [], []
    for index, (family, norm) in enumerate(families):
        if index == MAX_FAMILIES:
            notes.append(f"Curves are drawn for {MAX_FAMILIES} attack methods; the grid has the others too.")
            break
        for classifier in summary["classifier"].unique():
            rows = pick(attacked, classifier=classifier, family=family, norm=norm)
            clean = pick(summary, classifier=classifier, attack="none")
            if not rows.empty:
                names = ", ".join(rows["attack"].unique())
                found += drawer.draw(f"{classifier}, {names} ({norm})", rows, clean)
    return [curve for curve in found if curve.panels], notes


@dataclass(frozen=True)
class _Drawer:
    styles: dict[str, int]
    checked: Checked

    def draw(self, title: str, attacked: pd.DataFrame, clean: pd.DataFrame) -> list[Curves]:
        return [self._against_eps(title, attacked, clean), self._against_sigma(title, attacked, clean)]

    def _against_eps(self, title: str, attacked: pd.DataFrame, clean: pd.DataFrame) -> Curves:
        defended = attacked[attacked["defence"] != "none"]
        sigmas, left_out = _levels(defended["sigma"], "sigma")
        bare = pd.concat([pick(clean, defence="none"), pick(attacked, defence="none", rank=0)])
        axis = values("eps (pixel units)", [(0.0, "0"), *((eps, eps_label(eps)) for eps in attacked["eps"])])

        def panel(name: str) -> Markup:
            lines = [self._line(bare, "eps", faint=True)]
            for place, sigma in enumerate(sigmas):
                own = pick(defended, defence=name, sigma=sigma)
                control = pick(clean, defence=name, sigma=sigma)
                for threat in own["threat"].unique():
                    rows = pd.concat([control, pick(own, threat=threat)])
                    shift = SHIFT * (place - (len(sigmas) - 1) / 2)
                    lines.append(self._line(rows, "eps", ramp(place, len(sigmas)), threat, shift, axis))
            return plot(f"{title}, {name}: accuracy against eps", lines, axis, shares())

        keys = [Key(f"sigma {sigma_token(sigma)}", ramp(i, len(sigmas))) for i, sigma in enumerate(sigmas)]
        panels, note = _panels(list(defended["defence"].unique()), panel)
        if defended.empty and len(bare) > 2:
            panels = [("no defence", plot(f"{title}: accuracy against eps", [self._line(bare, "eps")], axis, shares()))]
        keys += self._threat_keys(defended) + ([Key("no defence", "soft", 0, True)] if not defended.empty else [])
        return Curves(f"{title}: accuracy against eps", legend(keys), panels, self._notes(attacked, left_out, note))

    def _against_sigma(self, title: str, attacked: pd.DataFrame, clean: pd.DataFrame) -> Curves:
        defended = attacked[attacked["defence"] != "none"]
        epses, left_out = _levels(defended["eps"], "eps")
        several = defended.groupby("defence", sort=False)["sigma"].transform("nunique") > 1
        shown = defended[several.astype(bool)]
        if shown.empty:
            return Curves(title, Markup(), [], [])
        axis = values("sigma (pixel units)", [(sigma, sigma_token(sigma)) for sigma in shown["sigma"]])
        colours = {0.0: "ink"} | {eps: ramp(place, len(epses)) for place, eps in enumerate(epses)}
        bare = pd.concat([pick(clean, defence="none"), pick(attacked, defence="none", rank=0)])
        rules = [
            Rule(self.checked.label(row), y=row.accuracy, colour=colours[row.eps])
            for row in bare.itertuples()
            if row.eps in colours
        ]

        def panel(name: str) -> Markup:
            lines = [self._line(pick(clean, defence=name), "sigma", "ink", "none")]
            for place, eps in enumerate(epses):
                own = pick(shown, defence=name, eps=eps)
                for threat in own["threat"].unique():
                    shift = SHIFT * (place + 1 - len(epses) / 2)
                    rows = pick(own, threat=threat)
                    lines.append(self._line(rows, "sigma", colours[eps], threat, shift, axis))
            return plot(f"{title}, {name}: accuracy against sigma", lines, axis, shares(), rules)

        keys = [Key(f"eps {eps_label(eps)}" if eps else "clean images", colour) for eps, colour in colours.items()]
        panels, note = _panels(list(shown["defence"].unique()), panel)
        keys = legend(keys + self._threat_keys(shown))
        notes = ["Dotted lines: no defence.", *self._notes(shown, left_out, note)]
        return Curves(f"{title}: accuracy against sigma", keys, panels, notes)

    def _line(
        self, rows: pd.DataFrame, x: str, colour: str = "soft", threat: str = "none", shift: float = 0.0,
        axis: Axis | None = None, faint: bool = False,
    ) -> Line:  # fmt: skip
        """The rows along x; moved sideways by a share of the axis, so that intervals do not hide each other."""
        aside = shift * (axis.high - axis.low) if axis else 0.0
        points = [
            Point(getattr(row, x) + aside, row.accuracy, self.checked.label(row), row.ci_low, row.ci_high,
                  self.checked([row.scores]).failed)
            for row in rows.sort_values(x, kind="stable").itertuples()
        ]  # fmt: skip
        return Line(points, colour, self.styles.get(threat, 0), faint)

    def _threat_keys(self, rows: pd.DataFrame) -> list[Key]:
        return [Key(f"{threat} attack", "ink", self.styles[threat], True) for threat in rows["threat"].unique()]

    def _notes(self, rows: pd.DataFrame, *notes: str | None) -> list[str]:
        doubted = any(self.checked([scores]).failed for scores in rows["scores"])
        return [note for note in (*notes, "Hollow grey points failed a check." if doubted else None) if note]


def _levels(found: pd.Series, name: str) -> tuple[list[float], str | None]:
    """At most as many values as there are colours, evenly chosen, the outer ones among them."""
    every = sorted(found.unique())
    if len(every) <= RAMP:
        return every, None
    kept = [every[round(i * (len(every) - 1) / (RAMP - 1))] for i in range(RAMP)]
    return kept, f"{RAMP} of {len(every)} {name}s are drawn; the grid has them all."


def _panels(names: list[str], panel: Callable[[str], Markup]) -> tuple[list[tuple[str, Markup]], str | None]:
    note = f"{MAX_PANELS} of {count(len(names), 'purifier')} are drawn; the grid has them all."
    return [(name, panel(name)) for name in names[:MAX_PANELS]], note if len(names) > MAX_PANELS else None


def noise_levels(sweep: pd.DataFrame) -> Markup:
    """Accuracy against the sigmas that a study's selection tried, on its own images; the chosen one is marked."""
    axis = values("sigma (pixel units)", [(sigma, f"{sigma:.3g}") for sigma in sweep["sigma"]], log=True)
    lines = [
        Line([
            Point(row.sigma, getattr(row, f"{kind}_accuracy"),
                  f"sigma {row.sigma:.3g}, {name} images: {percent(getattr(row, f'{kind}_accuracy'))}",
                  getattr(row, f"{kind}_low"), getattr(row, f"{kind}_high"))
            for row in sweep.sort_values("sigma").itertuples()
        ], colour, style)
        for kind, name, colour, style in (("clean", "clean", "c1", 0), ("robust", "attacked", "c2", 1))
    ]  # fmt: skip
    (chosen,) = sweep.loc[sweep["chosen"] == 1, "sigma"]
    rule = Rule(f"chosen sigma: {chosen:.3g}", x=float(chosen), colour="ink")
    return plot("accuracy against sigma, on the selection images", lines, axis, shares(), [rule])
