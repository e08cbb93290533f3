"""The defence class by class: accuracy of each on clean and attacked images, and what is taken for what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
from markupsafe import Markup

from assay.evaluation.summary import KEYS
from assay.reporting.charts.heat import Cell, heat
from assay.reporting.charts.legend import Key, legend
from assay.reporting.charts.rows import Row, Value, rows
from assay.reporting.choice import Choice
from assay.reporting.read import pick
from assay.reporting.trust import Checked
from assay.reporting.words import bounded, defence_label, number, percent, with_interval
from assay.words import count

MOST = 20  # classes that are shown; of more, the worst
WORST = 10


@dataclass(frozen=True)
class Classes:
    """Figures of one classifier: accuracy by class, and the confusion matrix of each of some cells, with titles."""

    classifier: str
    legend: Markup
    bars: Markup
    confusions: list[tuple[str, Markup]]
    note: str


def classes(per_class: pd.DataFrame, confusion: pd.DataFrame, choice: Choice, checked: Checked) -> Classes | None:
    """The classes of one classifier, on clean images without defence and with the defence as the page speaks of it.

    None where nothing is known of them.
    """
    shown = choice.alone
    named = [("no defence, clean images", choice.clean, "ink"), ("defence, clean images", choice.price, "c1")]
    attacked = choice.bare if shown is None else shown
    if attacked is not None:
        named.append((f"{'no defence' if shown is None else 'defence'}, {attacked.attack}", attacked, "c2"))
    cells = [(name, cell, colour) for name, cell, colour in named if cell is not None]
    if per_class.empty or not cells:
        return None
    tables = [(name, cell, _of(per_class, cell), colour) for name, cell, colour in cells]
    every = list(dict.fromkeys(tables[-1][2]["name"]))
    kept = every
    if len(every) > MOST:
        kept = tables[-1][2].sort_values("accuracy", kind="stable")["name"].head(WORST).tolist()
    bars = [
        Row(name, [_value(row, cell, colour, checked) for _, cell, table, colour in tables
                   for row in pick(table, name=name).itertuples()])
        for name in kept
    ]  # fmt: skip
    note = f"The {WORST} worst of {len(every)} classes are shown." if len(every) > MOST else ""
    found = [(name, _matrix(confusion, cell, kept, checked)) for name, cell, _ in cells]
    keys = legend([Key(name, colour) for name, _, colour in cells])
    title = f"accuracy of {choice.classifier} by class"
    return Classes(choice.classifier, keys, rows(title, bars), found, note)


def _of(table: pd.DataFrame, cell: Any) -> pd.DataFrame:
    own = pick(table, **{key: getattr(cell, key) for key in KEYS})
    return own[own["images"] > 0]


def _value(row: Any, cell: Any, colour: str, checked: Checked) -> Value:
    """One class (a row of the table of classes) of a cell."""
    images = count(row.images, "image")
    label = f"{row.name} ({images}), {defence_label(cell.defence, cell.sigma)}, {cell.attack}: "
    label += bounded(with_interval(row), cell)
    doubted = checked([cell.scores]).failed
    text = bounded(number(row.accuracy), cell)
    return Value(row.accuracy, label, text, row.ci_low, row.ci_high, colour, doubted=doubted)


def _matrix(confusion: pd.DataFrame, cell: Any, kept: list[str], checked: Checked) -> Markup:
    """Shares of each true class (rows) by the class that was answered (columns)."""
    own = _of(confusion, cell)
    shares = {(row.label, row.predicted): row.share for row in own.itertuples()}
    doubted = checked([cell.scores]).failed
    found = [
        (true, [_confused(shares.get((true, answer), 0.0), true, answer, doubted) for answer in kept])
        for true in kept
    ]  # fmt: skip
    return heat("confusion of classes", "true \\ answer", kept, found)


def _confused(share: float, true: str, answer: str, doubted: bool) -> Cell:
    text = "" if share == 0 else f"{100 * share:.0f}"
    return Cell(share, text, f"{true}, classified as {answer}: {percent(share)}", doubted)
