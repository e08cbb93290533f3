"""The legend of a figure: its colours, marks and lines, each with its meaning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from assay.reporting.charts.drawing import draw


@dataclass(frozen=True)
class Key:
    """One entry: a patch of `colour`, or, where `style` is given, the mark of that kind (with its line if `line`)."""

    name: str
    colour: str = "ink"
    style: int | None = None
    line: bool = False


def legend(keys: Sequence[Key]) -> Markup:
    """The entries in a row."""
    return draw("legend.html.j2", keys=keys)
