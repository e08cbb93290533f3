"""Rows of the summary as marks of the charts: what is said of each, and whether a check failed it."""

from __future__ import annotations

from typing import Any

from assay.reporting.charts.heat import Cell
from assay.reporting.charts.plot import Point
from assay.reporting.charts.rows import Value
from assay.reporting.trust import Checked, scores_of
from assay.reporting.words import attack_name, bounded, defence_label, eps_label, percent, with_interval


def label_of(row: Any, checked: Checked) -> str:
    """All that is to be said of a row: what was measured, the number, whether that is an upper bound, and why it is in
    doubt."""
    under = "clean images" if row.attack == "none" else f"{attack_name(row)} at eps {eps_label(row.eps)}"
    verdict = checked(scores_of(row))
    doubt = f"\n{verdict.mark} {verdict.why}" if verdict.why else ""
    return f"{defence_label(row.defence, row.sigma)}, {under}: {bounded(with_interval(row), row)}{doubt}"


def value_of(row: Any, checked: Checked, text: str, colour: str, beside: float | None = None, **more: Any) -> Value:
    """The row as a bar or mark along a line; `beside` is what was published for the same."""
    label = label_of(row, checked) + ("" if beside is None else f"; published: {percent(beside)}")
    doubted = checked(scores_of(row)).failed
    text = bounded(text, row)
    return Value(row.accuracy, label, text, row.ci_low, row.ci_high, colour, beside=beside, doubted=doubted, **more)


def cell_of(row: Any, checked: Checked) -> Cell:
    """The row as a cell of a heat map."""
    text = bounded(f"{100 * row.accuracy:.0f}", row)
    return Cell(row.accuracy, text, label_of(row, checked), checked(scores_of(row)).failed)


def point_of(row: Any, x: float, checked: Checked) -> Point:
    """The row as a point of a curve."""
    doubted = checked(scores_of(row)).failed
    return Point(x, row.accuracy, label_of(row, checked), row.ci_low, row.ci_high, doubted)
