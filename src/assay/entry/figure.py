"""A study's accuracies as one figure, for a notebook or a paper."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from assay.reporting.words import defence_label, eps_label

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INCHES_PER_ROW, WIDTH, MARGIN = 0.32, 6.4, 0.9
COLOURS = {True: "0.6", False: "C0"}  # of an upper bound, and of what was attacked directly


def figure(table: pd.DataFrame) -> Figure:
    """Accuracy in percent of each cell with its 95% interval, a row each; upper bounds are grey."""
    from matplotlib.figure import Figure

    cells = table.iloc[::-1]
    drawn = Figure(figsize=(WIDTH, MARGIN + INCHES_PER_ROW * len(cells)), layout="constrained")
    axes = drawn.add_subplot()
    for place, cell in enumerate(cells.itertuples()):
        colour = COLOURS[bool(cell.upper_bound)]
        axes.plot([100 * cell.ci_low, 100 * cell.ci_high], [place, place], color=colour)
        axes.plot(100 * cell.accuracy, place, "o", color=colour)
    axes.set_yticks(range(len(cells)), [_label(cell, table["classifier"].nunique()) for cell in cells.itertuples()])
    axes.set_xlim(-2, 102)
    axes.set_xlabel("accuracy, % (95% interval)")
    axes.grid(axis="x", alpha=0.3)
    return drawn


def _label(cell: pd.Series, classifiers: int) -> str:
    attack = "clean" if cell.attack == "none" else f"{cell.attack} at {eps_label(cell.eps)}"
    parts = [defence_label(cell.defence, cell.sigma), attack]
    return ", ".join([cell.classifier, *parts] if classifiers > 1 else parts)
