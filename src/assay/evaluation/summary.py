"""From the scores of a study's cells to its summary, one row a cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from assay.evaluation.statistics import accuracy_interval, majority
from assay.files import AssayError, atomic, check
from assay.stacks import read_table
from assay.study.fields import SELECTED

SCORES = "scores.csv"
KEYS = ["classifier", "attack", "threat", "norm", "eps", "defence", "sigma"]
MEASURES = [
    *["images", "draws", "accuracy", "ci_low", "ci_high"],
    *["sensitivity", "specificity", "majority_accuracy", "worst_accuracy"],
]
COLUMNS = ["study", *KEYS, *MEASURES, "scores"]


@dataclass(frozen=True)
class Scores:
    """A cell's scores: `ids` (images,) as text, `labels` (images,), `logits` (images, draws, classes)."""

    folder: Path
    ids: np.ndarray
    labels: np.ndarray
    logits: np.ndarray

    @property
    def correct(self) -> np.ndarray:
        """Whether each draw is right: bool (images, draws)."""
        return self.logits.argmax(axis=-1) == self.labels[:, None]


def read_scores(folder: Path) -> Scores:
    """The scores in an artifact's folder, whole and in order of image, then draw."""
    folder = Path(folder)
    check(folder, "scores")
    path = folder / SCORES
    table = read_table(path, ("id", "label", "draw", "logit_0", "logit_1"))
    logits = [column for column in table if column.startswith("logit_")]
    draws = int(table["draw"].max()) + 1 if len(table) else 0
    images = len(table) // max(draws, 1)
    first = table.iloc[:: max(draws, 1)]
    expected = (np.repeat(first["id"], draws), np.repeat(first["label"], draws), np.tile(np.arange(draws), images))
    found = (table["id"], table["label"], table["draw"])
    if not images or not all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True)):
        raise AssayError(f"{path}: rows are not draws 0, 1, ... of one image after the other; delete it and run again")
    values = table[logits].to_numpy()
    if values.dtype.kind not in "if" or not np.isfinite(values).all():
        raise AssayError(f"{path}: has logits that are not finite; check the classifier and the purified images")
    return Scores(folder, first["id"].to_numpy(), first["label"].to_numpy(), values.reshape(images, draws, len(logits)))


def summarise(
    study: str, rows: Sequence[Mapping[str, Any]], scores: Path, selected: float | None = None
) -> pd.DataFrame:
    """The summary of a study, one row a cell, in the order of `rows`.

    A row holds the KEYS of a cell, and in `scores` the place of its scores below the folder `scores`, as the summary
    does; in place of a `selected` sigma it has the one that was.
    """
    reference: Scores | None = None
    lines = []
    for row in rows:
        cell = read_scores(Path(scores) / row["scores"])
        reference = reference or cell
        require_same_images(reference, cell)
        named = {key: row[key] for key in [*KEYS, "scores"]}
        if named["sigma"] == SELECTED:
            named["sigma"] = selected
        lines.append({"study": study, **named, **measure(cell)})
    return pd.DataFrame(lines, columns=COLUMNS)


def measure(cell: Scores) -> dict[str, float]:
    """What the summary says of one cell's scores; `worst_accuracy` counts an image that is right in every draw."""
    correct = cell.correct
    images, draws = correct.shape
    accuracy, low, high = accuracy_interval(correct)
    binary = cell.logits.shape[-1] == 2
    return {
        "images": images,
        "draws": draws,
        "accuracy": accuracy,
        "ci_low": low,
        "ci_high": high,
        "sensitivity": _accuracy_of_class(cell, 1) if binary else np.nan,
        "specificity": _accuracy_of_class(cell, 0) if binary else np.nan,
        "majority_accuracy": float((majority(cell.logits) == cell.labels).mean()),
        "worst_accuracy": float(correct.all(axis=1).mean()),
    }


def require_same_images(a: Scores, b: Scores) -> None:
    """Refuse two cells that were not measured on the same images in the same order."""
    for what in ("ids", "labels"):
        if not np.array_equal(getattr(a, what), getattr(b, what)):
            raise AssayError(
                f"{b.folder}: its {what} are not those of {a.folder}; cells of a study share their images: "
                "delete the older folder and run again"
            )


def write_summary(summary: pd.DataFrame, path: Path) -> None:
    """Write a summary as CSV, atomically; equal summaries give equal bytes."""
    with atomic(path) as temporary:
        summary.to_csv(temporary, index=False, float_format="%.10g", lineterminator="\n")


def _accuracy_of_class(cell: Scores, label: int) -> float:
    """Accuracy over all draws of the images that have the label; not a number if there are none."""
    members = cell.labels == label
    return float(cell.correct[members].mean()) if members.any() else np.nan
