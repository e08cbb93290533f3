"""Certificates: certified accuracy against radius, its meaning in L-infinity, and what the sequential test saves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from assay.evaluation.certificates.tables import (
    ABSTAINS,
    ALL,
    CERTIFICATES,
    CURVES,
    ENVELOPE,
    KEYS,
    ONE_CLASS,
    SEQUENTIAL,
    TWO_CLASSES,
)
from assay.evaluation.summary import read_whole
from assay.planning.cells import sigma_token
from assay.reporting.charts.drawing import ramp
from assay.reporting.charts.legend import Key, legend
from assay.reporting.charts.plot import Line, Point, numbers, plot, shares
from assay.reporting.read import pick
from assay.reporting.trust import EVERY_CELL, Checked, Verdict
from assay.reporting.words import bracket, defence_name, eps_label, number, percent
from assay.study.model import Study

MOST = 20  # classes that are shown; of more, those of the least certified accuracy
SHOWN = (0.0, 0.25, 0.5)  # of the largest radius: where the tables look at the curves


@dataclass(frozen=True)
class Row:
    """A smoothed classifier: shares of its images on which the vote is right and abstains, the mean radius of its right
    answers, and its certified accuracy (share, interval) at the radii of the table."""

    name: str
    right: float
    abstains: float
    mean_radius: float
    certified: list[tuple[float, str]]
    verdict: Verdict


@dataclass(frozen=True)
class Certified:
    """What is certified of one classifier: figures by defence; at a few radii a row for each smoothed classifier, also
    by bounds of all classes, and a row for each class under the best sigma of each defence; the sequential test."""

    classifier: str
    legend: Markup
    panels: list[tuple[str, Markup]]
    radii: list[float]
    rows: list[Row]
    two_classes: list[tuple[str, list[tuple[float, str]]]]
    by_class: list[tuple[str, list[tuple[str, int, list[tuple[float, str]]]]]]
    linf: str
    sequential: list[tuple[Any, Verdict]]


def read_certified(results: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Certified accuracy against radius, and the sequential test beside the fixed draws."""
    return read_whole(results / "certified_accuracy.csv", CURVES), read_whole(results / "sequential.csv", SEQUENTIAL)


def certificates(results: Path, study: Study, checked: Checked) -> list[Certified]:
    """The certificates of each classifier that has any."""
    if study.certificates is None:
        return []
    table = read_whole(results / "certificates.csv", CERTIFICATES)
    curves, tested = read_certified(results)
    return [
        _certified(study, *(pick(found, classifier=name) for found in (table, curves, tested)), checked)
        for name in curves["classifier"].unique()
    ]


def _certified(
    study: Study, table: pd.DataFrame, curves: pd.DataFrame, tested: pd.DataFrame, checked: Checked
) -> Certified:
    whole = pick(curves, bound=ONE_CLASS, **{"class": ALL})
    sigmas = sorted(whole["sigma"].unique())
    colours = {sigma: ramp(place, len(sigmas)) for place, sigma in enumerate(sigmas)}
    keys = [Key(f"sigma {sigma_token(sigma)}", colour) for sigma, colour in colours.items()]
    keys += [Key("best sigma at each radius", "ink")] if len(sigmas) > 1 else []
    radii = shown_radii(whole["radius"].unique(), study.certificates.radius)
    places = list(whole["certificates"].unique())
    return Certified(
        whole["classifier"].iloc[0],
        legend(keys),
        [(name, _panel(name, own, colours, checked)) for name, own in whole.groupby("defence", sort=False)],
        radii,
        [_row(own, pick(whole, curve="sigma"), radii, checked) for _, own in table.groupby(KEYS, sort=False)],
        [
            (defence_name(*key), _at(own, radii))
            for key, own in pick(curves, bound=TWO_CLASSES, curve="sigma", **{"class": ALL}).groupby(
                ["defence", "sigma"], sort=False
            )
        ],
        [
            (name, classes)
            for name, own in pick(curves, bound=ONE_CLASS, curve=ENVELOPE).groupby("defence", sort=False)
            if (classes := _by_class(own, radii))
        ],
        _linf(study, table, whole),
        [(row, _verdict(row.certificates, checked)) for row in tested.itertuples() if row.certificates in places],
    )


def shown_radii(radii: np.ndarray, named: float | None) -> list[float]:
    """A few of the radii of the curves, the one that is named among them."""
    near = {float(radii[np.abs(radii - share * radii.max()).argmin()]) for share in SHOWN}
    return sorted(near | {float(radii[np.abs(radii - named).argmin()])} if named else near)


def _verdict(certificates: str, checked: Checked) -> Verdict:
    """What the checks say of the numbers of a smoothed classifier."""
    return checked.at([f"certificates/{certificates}", EVERY_CELL])


def _panel(name: str, curves: pd.DataFrame, colours: dict[float, str], checked: Checked) -> Markup:
    """Certified accuracy of one defence against radius: a line for each sigma, and that of the best one."""
    lines = []
    if curves["sigma"].nunique() > 1:
        best = [Point(row.radius, row.accuracy, "") for row in pick(curves, curve=ENVELOPE).itertuples()]
        lines.append(Line(best, "ink", faint=True))
    for sigma, own in pick(curves, curve="sigma").groupby("sigma"):
        points = [_point(row, checked) for row in own.sort_values("radius").itertuples()]
        lines.append(Line(points, colours[sigma], dense=True))
    axis = numbers("radius (L2, pixel units)", list(curves["radius"]))
    return plot(f"certified accuracy with {name}", lines, axis, shares("certified accuracy (%)"))


def _point(row: Any, checked: Checked) -> Point:
    label = f"{defence_name(row.defence, row.sigma)}, radius {row.radius:.3g} (eps {eps_label(row.linf_radius)} in "
    label += f"L-infinity): {percent(row.accuracy)} {bracket(row.ci_low, row.ci_high)}"
    doubted = _verdict(row.certificates, checked).failed
    return Point(row.radius, row.accuracy, label, row.ci_low, row.ci_high, doubted)


def _row(table: pd.DataFrame, curves: pd.DataFrame, radii: list[float], checked: Checked) -> Row:
    """One smoothed classifier, from its certificates and the curves of all."""
    first = table.iloc[0]
    own = pick(curves, defence=first["defence"], sigma=first["sigma"])
    return Row(
        defence_name(first["defence"], first["sigma"]),
        float((table["predicted"] == table["label"]).mean()),
        float((table["predicted"] == ABSTAINS).mean()),
        float((table["radius"] * table["correct"]).mean()),
        _at(own, radii),
        _verdict(own["certificates"].iloc[0], checked),
    )


def _at(curves: pd.DataFrame, radii: list[float]) -> list[tuple[float, str]]:
    """The certified accuracy of a curve at some of its radii, with its interval."""
    found = curves.set_index("radius")
    return [
        (found.at[radius, "accuracy"], bracket(found.at[radius, "ci_low"], found.at[radius, "ci_high"]))
        for radius in radii
    ]


def _by_class(curves: pd.DataFrame, radii: list[float]) -> list[tuple[str, int, list[tuple[float, str]]]]:
    """Each class's name, images and certified accuracy at some radii."""
    named = [
        (name, int(own["images"].iloc[0]), _at(own, radii))
        for name, own in curves.groupby("class", sort=False)
        if name != ALL
    ]
    return named if len(named) <= MOST else sorted(named, key=lambda one: one[2][0][0])[:MOST]


def _linf(study: Study, table: pd.DataFrame, curves: pd.DataFrame) -> str:
    """What the radii say of the L-infinity attacks of the study."""
    row = curves[curves["radius"] > 0].iloc[0]
    values = round((row["radius"] / row["linf_radius"]) ** 2)
    top = curves["radius"].max()
    told = (
        f"In L-infinity an L2 radius r proves no more than eps r / √{values}: the largest radius here, {top:.3g}, is "
        f"eps {255 * top / math.sqrt(values):.2g}/255."
    )
    eps = [value for attack in study.attacks.values() if attack.ball == "Linf" for value in attack.eps]
    if eps:
        needed = min(eps) * math.sqrt(values)
        held = (table["correct"] == 1) & (table["radius"] >= needed)
        best = held.groupby([table["defence"], table["sigma"]]).mean().max()
        told += (
            f" To withstand every attack at eps {eps_label(min(eps))}, the study's smallest, takes a radius of "
            f"{needed:.3g}, which is proven for {number(best)}% of the images at most."
        )
    return told
