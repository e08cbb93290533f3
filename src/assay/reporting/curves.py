"""Accuracy against eps and against sigma: one small panel a defence, so that any study can be read on a phone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd
from markupsafe import Markup

from assay.reporting.families import TRANSFER, Family, families
from assay.reporting.figures import (
    RAMP,
    Level,
    Line,
    Panel,
    accuracy_against_eps,
    accuracy_against_sigma,
    ramp,
    threat_key,
)
from assay.reporting.read import pick
from assay.reporting.trust import Checked
from assay.reporting.words import count, eps_label, sigma_label

MAX_PANELS = 12
MAX_FAMILIES = 6
SHIFT = 0.008  # of the axis, between neighbouring lines


@dataclass(frozen=True)
class Curves:
    """The panels of one classifier and family of attacks, against eps or against sigma."""

    title: str
    against: str
    legend: list[tuple[str, str]]
    threats: list[tuple[str, Markup]]
    panels: list[tuple[str, Markup]]
    notes: list[str]


def curves(summary: pd.DataFrame, config: dict[str, Any], checked: Checked) -> tuple[list[Curves], list[str]]:
    """All curves of a study, and what was left out of them."""
    found, notes = [], []
    summary = summary.assign(doubted=[checked([scores]).failed for scores in summary["scores"]])
    known = families(summary, config.get("attacks", {}))
    for classifier in summary["classifier"].unique():
        rows = pick(summary, classifier=classifier)
        for family in known[:MAX_FAMILIES]:
            if not family.rows(rows).empty:
                found += [_against_eps(classifier, family, rows), _against_sigma(classifier, family, rows)]
    if len(known) > MAX_FAMILIES:
        left = ", ".join(family.title for family in known[MAX_FAMILIES:])
        notes.append(f"Curves are drawn for {MAX_FAMILIES} attacks; the grid above has the others too ({left}).")
    return [curve for curve in found if curve.panels], notes


def _against_eps(classifier: str, family: Family, rows: pd.DataFrame) -> Curves:
    attacked, clean = family.rows(rows), pick(rows, attack="none")
    everything = pd.concat([clean, attacked])
    defended = attacked[attacked["defence"] != "none"]
    sigmas, sigma_note = _levels(defended["sigma"], "sigma")
    names, panel_note = _names(defended)
    bare = _with_clean(attacked, clean, threat=TRANSFER, defence="none")

    key = f"eps-{classifier}-{family.key}"

    def panel(name: str) -> Panel:
        lines = [_line(bare, "eps", reference=True)]
        for position, sigma in enumerate(sigmas):
            for threat in family.attacks:
                found = _with_clean(attacked, clean, threat=threat, defence=name, sigma=sigma)
                if not pick(attacked, threat=threat, defence=name, sigma=sigma).empty:
                    lines.append(_line(found, "eps", ramp(position, len(sigmas)), threat, position, len(sigmas)))
        return Panel(name, _shifted(lines, everything["eps"].max()))

    if not names and len(bare) > 2:
        panels = [Panel("no defence", [_line(bare, "eps", "s0", TRANSFER)])]
    else:
        panels = [panel(name) for name in names]
    return Curves(
        title=f"{classifier}, {family.title} ({family.norm}): accuracy against eps",
        against="eps",
        legend=[(f"sigma {sigma_label(sigma)}", ramp(i, len(sigmas))) for i, sigma in enumerate(sigmas)],
        threats=_threat_keys(family, key),
        panels=_drawn(panels, accuracy_against_eps, key),
        notes=[note for note in (sigma_note, panel_note, _doubt(panels)) if note],
    )


def _against_sigma(classifier: str, family: Family, rows: pd.DataFrame) -> Curves:
    attacked = family.rows(rows)
    everything = pd.concat([pick(rows, attack="none"), attacked])
    defended = attacked[attacked["defence"] != "none"]
    epses, eps_note = _levels(defended["eps"], "eps")
    colours = {0.0: "ink"} | {eps: ramp(i, len(epses)) for i, eps in enumerate(epses)}
    several = defended.groupby("defence", sort=False)["sigma"].transform("nunique") > 1
    names, panel_note = _names(defended[several])

    key = f"sigma-{classifier}-{family.key}"

    def panel(name: str) -> Panel:
        lines, levels = [], []
        for position, (eps, colour) in enumerate(colours.items()):
            bare = everything[everything["threat"].isin([TRANSFER, "none"])]
            levels += [Level(row.accuracy, colour) for row in pick(bare, defence="none", eps=eps).itertuples()]
            for threat in family.attacks:
                found = pick(everything, defence=name, eps=eps, threat=threat if eps else "none").sort_values("sigma")
                if not found.empty and (eps or threat == next(iter(family.attacks))):
                    shown = threat if eps else TRANSFER
                    lines.append(_line(found, "sigma", colour, shown, position, len(colours)))
        return Panel(name, _shifted(lines, defended["sigma"].max()), levels)

    panels = [panel(name) for name in names]
    return Curves(
        title=f"{classifier}, {family.title} ({family.norm}): accuracy against sigma",
        against="sigma",
        legend=[(f"eps {eps_label(eps)}" if eps else "clean", colour) for eps, colour in colours.items()],
        threats=_threat_keys(family, key),
        panels=_drawn(panels, accuracy_against_sigma, key),
        notes=[note for note in (eps_note, panel_note, _doubt(panels)) if note],
    )


def _with_clean(attacked: pd.DataFrame, clean: pd.DataFrame, threat: str, **where: Any) -> pd.DataFrame:
    """The rows along eps, from the clean images on."""
    return pd.concat([pick(clean, **where), pick(attacked, threat=threat, **where)]).sort_values("eps")


def _line(
    rows: pd.DataFrame,
    x: str,
    colour: str = "s0",
    threat: str = TRANSFER,
    position: int = 0,
    of: int = 1,
    reference: bool = False,
) -> Line:
    return Line(
        x=rows[x].tolist(),
        y=rows["accuracy"].tolist(),
        low=rows["ci_low"].tolist(),
        high=rows["ci_high"].tolist(),
        colour=colour,
        threat=threat,
        shift=position - (of - 1) / 2,
        reference=reference,
        doubted=rows["doubted"].tolist(),
    )


def _shifted(lines: list[Line], span: float) -> list[Line]:
    """Lines moved sideways a little, so that their intervals do not hide each other."""
    return [Line(**{**vars(line), "shift": line.shift * SHIFT * span}) for line in lines]


def _doubt(panels: list[Panel]) -> str | None:
    doubted = any(any(line.doubted) for panel in panels for line in panel.lines if not line.reference)
    return "Hollow grey points failed a check." if doubted else None


def _levels(values: pd.Series, name: str) -> tuple[list[float], str | None]:
    """At most as many values as there are colours, evenly chosen, the outer ones among them."""
    every = sorted(values.unique())
    if len(every) <= RAMP:
        return every, None
    kept = [every[round(i * (len(every) - 1) / (RAMP - 1))] for i in range(RAMP)]
    return kept, f"{RAMP} of {len(every)} {name}s are drawn; the grid above has them all."


def _names(defended: pd.DataFrame) -> tuple[list[str], str | None]:
    every = list(defended["defence"].unique())
    if len(every) <= MAX_PANELS:
        return every, None
    return every[
        :MAX_PANELS
    ], f"{MAX_PANELS} of {count(len(every), 'purifier')} are drawn; the grid above has them all."


def _threat_keys(family: Family, key: str) -> list[tuple[str, Markup]]:
    return [(threat, threat_key(threat, f"{key}-{threat}")) for threat in family.attacks]


def _drawn(panels: list[Panel], draw: Callable[[Panel, str], Markup], key: str) -> list[tuple[str, Markup]]:
    return [(panel.title, draw(panel, f"{key}-{i}")) for i, panel in enumerate(panels)]
