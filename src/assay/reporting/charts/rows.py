"""Shares along rows: bars or marks with their intervals, a row a thing, as wide as the page is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

from assay.reporting.charts.drawing import draw

PITCH = 18  # between the values of one row, in pixels


@dataclass(frozen=True)
class Value:
    """One share with its interval, as a bar or a mark; `text` is printed beside it, `label` is all that is to be said.

    `beside` is what somebody else found for the same, drawn as a dark diamond. A value that a check failed is
    `doubted`, and drawn hatched and grey.
    """

    share: float
    label: str
    text: str
    low: float | None = None
    high: float | None = None
    colour: str = "c1"
    kind: Literal["bar", "mark"] = "bar"
    style: int = 0
    beside: float | None = None
    doubted: bool = False


@dataclass(frozen=True)
class Row:
    """A name and its values, one below the other."""

    name: str
    values: Sequence[Value]
    detail: str = ""


def rows(title: str, found: Sequence[Row], label: str = "accuracy (%)") -> Markup:
    """The rows above one axis from 0 to 100%."""
    width = max((len(value.text) + 2 * value.doubted for row in found for value in row.values), default=0)
    return draw("rows.html.j2", title=title, rows=found, label=label, pitch=PITCH, width=width)
