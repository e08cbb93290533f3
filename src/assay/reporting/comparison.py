"""Two studies, or two runs of one: which cells differ, and by how much."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from assay.evaluation.scores import Scores, clusters_of, read_scores
from assay.evaluation.statistics.paired import paired_difference, unpaired_difference
from assay.evaluation.summary import KEYS, MEASURES
from assay.manifests import MANIFEST
from assay.reporting.read import read_artifacts, read_known_slides, read_summary
from assay.reporting.stages import makers
from assay.reporting.words import defence_label, eps_label, number, points

COLUMNS = [
    *[*KEYS, "state", "accuracy_a", "accuracy_b", "difference", "low", "high", "interval"],
    *["images_a", "draws_a", "images_b", "draws_b"],
]
INTERVAL = ["accuracy", "ci_low", "ci_high"]


@dataclass(frozen=True)
class Side:
    """One of the two: its summary by cell, the folder of its scores, which need not be there, what made it (the
    versions of libraries, and the devices), and the slides of its images by id where they are known."""

    cells: dict[tuple[str, ...], pd.Series]
    scores: Path
    made_by: dict[str, set[str]]
    slides: dict[str, str] | None


def read_side(path: Path) -> Side:
    """A study's folder, or its summary.csv with or without the scores beside it."""
    summary = path / "summary.csv" if path.is_dir() else path
    cells = {_key(row): row for _, row in read_summary(summary).iterrows()}
    made_by: dict[str, set[str]] = {}
    for what, value, _ in makers(read_artifacts(summary.parent)):
        made_by.setdefault(what, set()).add(value)
    return Side(cells, summary.parent / "scores", made_by, read_known_slides(summary.parent))


def other_makers(a: Side, b: Side) -> list[str]:
    """A line for each library and for the device where the two sides were not made by the same."""
    names = sorted(a.made_by.keys() & b.made_by.keys())
    return [
        f"{name}: A by {', '.join(sorted(a.made_by[name]))}; B by {', '.join(sorted(b.made_by[name]))}"
        for name in names
        if a.made_by[name] != b.made_by[name]
    ]


def compare(a: Side, b: Side) -> pd.DataFrame:
    """The cells that differ, one row each (COLUMNS), the largest difference first, then those of one side only.

    `difference` is accuracy in b less accuracy in a, with its 95% interval; `interval` says whether it is paired
    (both have scores of the same images) or unpaired (from the two summaries).
    """
    rows = [_only(cell, "only in A", "a") for key, cell in a.cells.items() if key not in b.cells]
    rows += [_only(cell, "only in B", "b") for key, cell in b.cells.items() if key not in a.cells]
    changed = (_changed(a, b, key) for key in a.cells if key in b.cells)
    table = pd.DataFrame([row for row in changed if row] + rows, columns=COLUMNS)
    return table.sort_values("difference", key=lambda values: -values.abs(), kind="stable", ignore_index=True)


def render(table: pd.DataFrame) -> str:
    """The comparison as text, accuracies in percent and differences in percentage points."""
    shown = pd.DataFrame(
        {
            "classifier": table["classifier"],
            "attack": [_attack(row) for row in table.itertuples()],
            "defence": [defence_label(row.defence, row.sigma) for row in table.itertuples()],
            "A %": table["accuracy_a"].map(number),
            "B %": table["accuracy_b"].map(number),
            "B-A": [
                points(row.difference, row.low, row.high) if row.state == "changed" else "–"
                for row in table.itertuples()
            ],
            "interval": [row.interval if row.state == "changed" else row.state for row in table.itertuples()],
            "images x draws": [_size(row) for row in table.itertuples()],
        }
    )
    return shown.to_string(index=False)


def _changed(a: Side, b: Side, key: tuple[str, ...]) -> dict | None:
    """The row of a cell that both have; None if it does not differ."""
    cell_a, cell_b = a.cells[key], b.cells[key]
    scores_a, scores_b = (_scores(side.scores, cell_a) for side in (a, b))
    paired = scores_a is not None and scores_b is not None and np.array_equal(scores_a.ids, scores_b.ids)
    row = {**_of_cell(cell_a, "a"), **_of_cell(cell_b, "b"), "state": "changed"}
    if paired:
        if np.array_equal(scores_a.correct, scores_b.correct):
            return None
        row |= {"accuracy_a": scores_a.correct.mean(), "accuracy_b": scores_b.correct.mean()}
        clusters = clusters_of(scores_a.ids, a.slides)
        difference, low, high = paired_difference(scores_a.correct, scores_b.correct, clusters=clusters)
    else:
        if np.allclose(cell_a[MEASURES].astype(float), cell_b[MEASURES].astype(float), atol=1e-9, equal_nan=True):
            return None
        difference, low, high = unpaired_difference(tuple(cell_a[INTERVAL]), tuple(cell_b[INTERVAL]))
    return row | {"difference": difference, "low": low, "high": high, "interval": "paired" if paired else "unpaired"}


def _only(cell: pd.Series, state: str, side: str) -> dict:
    return _of_cell(cell, side) | {"state": state}


def _of_cell(cell: pd.Series, side: str) -> dict:
    return {key: cell[key] for key in KEYS} | {f"{name}_{side}": cell[name] for name in ("accuracy", "images", "draws")}


def _key(row: pd.Series) -> tuple[str, ...]:
    return tuple(f"{row[key]:.10g}" if key in ("eps", "sigma") else str(row[key]) for key in KEYS)


def _scores(folder: Path, row: pd.Series) -> Scores | None:
    """A cell's scores where they are."""
    place = folder / row["scores"]
    return read_scores(place) if (place / MANIFEST).is_file() else None


def _attack(row: Any) -> str:
    return "clean" if row.attack == "none" else f"{row.attack} {eps_label(row.eps)} ({row.norm}, {row.threat})"


def _size(row: Any) -> str:
    sides = ((row.images_a, row.draws_a), (row.images_b, row.draws_b))
    return " -> ".join(dict.fromkeys(f"{images:.0f} x {draws:.0f}" for images, draws in sides if images == images))
