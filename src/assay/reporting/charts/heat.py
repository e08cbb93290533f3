"""Shares as a table of colours: defences by eps, sigma by eps, confusion of classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from assay.reporting.charts.drawing import draw

MANY_ROWS = 30  # a longer table scrolls by itself


@dataclass(frozen=True)
class Cell:
    """One share, the text in its place, and all that is to be said of it; `doubted` where a check failed."""

    share: float
    text: str
    label: str
    doubted: bool = False


def heat(title: str, corner: str, columns: Sequence[str], found: Sequence[tuple[str, Sequence[Cell | None]]]) -> Markup:
    """Named rows of cells; a dot where nothing was measured."""
    return draw("heat.html.j2", title=title, corner=corner, columns=columns, rows=found, many=len(found) > MANY_ROWS)
