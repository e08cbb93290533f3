"""From the scores of a study's cells to its summary, one row a cell."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from assay.evaluation.scores import Scores, clusters_of, read_scores, require_images_of, rows_among
from assay.evaluation.statistics.intervals import (
    Interval,
    accuracy_interval,
    auroc_interval,
    balanced_interval,
    mean_interval,
)
from assay.evaluation.statistics.measures import majority, variance_parts, worst_of
from assay.evaluation.statistics.ratios import kept_interval
from assay.files import AssayError, atomic
from assay.stacks import read_table
from assay.study.fields import SELECTED

KEYS = ["classifier", "attack", "threat", "norm", "eps", "defence", "sigma"]
MEASURES = [
    *["images", "draws", "accuracy", "ci_low", "ci_high"],
    *["sensitivity", "specificity", "majority_accuracy", "worst_accuracy"],
]
REPEATS = (1, 2, 5, 10, 20, 50, 100)  # how often one may ask who needs one wrong answer
WORST_OF = [f"worst_of_{k}" for k in REPEATS]
MORE_MEASURES = [
    *["majority_low", "majority_high", *WORST_OF],
    *["sensitivity_low", "sensitivity_high", "specificity_low", "specificity_high"],
    *["balanced_accuracy", "balanced_low", "balanced_high", "auroc", "auroc_low", "auroc_high"],
    *["image_variance", "draw_variance"],
]
COLUMNS = ["study", *KEYS, *MEASURES, "scores", *MORE_MEASURES, "kept", "kept_low", "kept_high"]
NAN = float("nan")


@dataclass(frozen=True)
class Judged:
    """A cell without its logits: its `row` (KEYS, and the place of its scores), its measures, the `ids` of its images,
    the classes `predicted` (images, draws), whether the majority is right (images,), the labels (images,), the names of
    the classes, and the slides (images,) where they are known."""

    row: Mapping[str, Any]
    measures: Mapping[str, float]
    ids: np.ndarray
    predicted: np.ndarray
    majority_correct: np.ndarray
    labels: np.ndarray
    classes: Sequence[str]
    clusters: np.ndarray | None

    @property
    def correct(self) -> np.ndarray:
        """Whether each draw is right: bool (images, draws)."""
        return self.predicted == self.labels[:, None]

    def key(self, *names: str) -> tuple[Any, ...]:
        """The values of some of its KEYS."""
        return tuple(self.row[name] for name in names)

    @property
    def clean(self) -> bool:
        return self.row["attack"] == "none"

    @property
    def accuracy(self) -> float:
        """The share of right answers over all draws."""
        return float(self.correct.mean())

    def at(self, rows: np.ndarray) -> Judged:
        """The cell on some of its images; its measures stay those of all of them."""
        clusters = None if self.clusters is None else self.clusters[rows]
        found = {"ids": self.ids[rows], "predicted": self.predicted[rows], "labels": self.labels[rows]}
        return replace(self, **found, majority_correct=self.majority_correct[rows], clusters=clusters)


def on_shared_images(cells: Sequence[Judged]) -> list[Judged]:
    """The cells on the images that all of them have, in one order: whatever is compared is compared image by image."""
    first, *others = cells
    if all(np.array_equal(first.ids, cell.ids) for cell in others):
        return list(cells)
    shared = functools.reduce(np.intersect1d, (cell.ids for cell in cells))
    return [cell.at(np.flatnonzero(np.isin(cell.ids, shared))) for cell in cells]


def judge(
    rows: Sequence[Mapping[str, Any]],
    scores: Path,
    selected: float | None = None,
    slides: dict[str, str] | None = None,
) -> list[Judged]:
    """The cells of a study, in the order of `rows`.

    A row holds the KEYS of a cell, and in `scores` the place of its scores below the folder `scores`, as the summary
    does; in place of a `selected` sigma a cell has the one that was. Where the config names that sigma too, the two
    are one defence, and the `selected` cell stands for both. `slides` are the slides of the images by id.
    """
    reference: Scores | None = None
    clusters: np.ndarray | None = None
    judged: dict[tuple[Any, ...], Judged] = {}
    for row in rows:
        cell = read_scores(Path(scores) / row["scores"])
        if reference is None:
            reference, clusters = cell, clusters_of(cell.ids, slides)
        rows_here = rows_among(reference, cell)
        require_images_of(reference, cell, rows_here)
        own = judge_cell(row, cell, selected, None if clusters is None else clusters[rows_here])
        if len(cell.ids) == len(reference.ids):  # one copy for all cells
            own = replace(own, ids=reference.ids, labels=reference.labels, clusters=clusters)
        if own.key(*KEYS) not in judged or row["sigma"] == SELECTED:
            judged[own.key(*KEYS)] = own
    return list(judged.values())


def judge_cell(row: Mapping[str, Any], cell: Scores, selected: float | None, clusters: np.ndarray | None) -> Judged:
    """One cell, from its scores."""
    named = {key: row[key] for key in [*KEYS, "scores"]}
    if named["sigma"] == SELECTED:
        named["sigma"] = selected
    right = majority(cell.logits) == cell.labels
    measures = measure(cell, clusters)
    return Judged(named, measures, cell.ids, cell.predicted, right, cell.labels, cell.classes, clusters)


def summarise(study: str, cells: Sequence[Judged]) -> pd.DataFrame:
    """The summary of a study, one row a cell.

    `kept` is the accuracy under attack as a share of the same defence's clean accuracy, with its interval. It says
    nothing where the clean accuracy is no better than chance.
    """
    clean = {cell.key("classifier", "defence", "sigma"): cell for cell in cells if cell.clean}
    lines = []
    for cell in cells:
        control = None if cell.clean else clean.get(cell.key("classifier", "defence", "sigma"))
        share = kept_by_draw(cell, control) if control else (NAN,) * 3
        shares = dict(zip(["kept", "kept_low", "kept_high"], share, strict=True))
        lines.append({"study": study, **cell.row, **cell.measures, **shares})
    return pd.DataFrame(lines, columns=COLUMNS)


def kept_by_draw(cell: Judged, control: Judged) -> Interval:
    """The accuracy of one draw under attack as a share of that on the same clean images, and its interval."""
    cell, control = on_shared_images([cell, control])
    right = [of.correct.mean(axis=1) for of in (cell, control)]
    return kept_interval(*right, (cell.predicted.shape[1], control.predicted.shape[1]), clusters=cell.clusters)


def measure(cell: Scores, clusters: np.ndarray | None = None) -> dict[str, float]:
    """What the summary says of one cell's scores.

    `worst_accuracy` counts an image that is right in every draw, `worst_of_k` the chance that k draws are all right; it
    is not a number where there are fewer than k draws, which do not tell.
    Sensitivity and specificity are of two classes, of which the second is the positive one; AUROC is one against the
    rest, the mean over the classes, for more than two.
    """
    correct = cell.correct
    images, draws = correct.shape
    accuracy, low, high = accuracy_interval(correct, clusters=clusters)
    votes, votes_low, votes_high = mean_interval((majority(cell.logits) == cell.labels).astype(float), 0.95, clusters)
    balanced = balanced_interval(correct, cell.labels, clusters=clusters)
    area = auroc_interval(cell.logits, cell.labels, clusters=clusters)
    sensitivity, specificity = (NAN,) * 3, (NAN,) * 3
    if len(cell.classes) == 2:
        sensitivity, specificity = (interval_among(correct, cell.labels == label, clusters) for label in (1, 0))
    of_images, of_draws = variance_parts(correct)
    return {
        "images": images,
        "draws": draws,
        "accuracy": accuracy,
        "ci_low": low,
        "ci_high": high,
        "sensitivity": sensitivity[0],
        "specificity": specificity[0],
        "majority_accuracy": votes,
        "worst_accuracy": float(correct.all(axis=1).mean()),
        "majority_low": votes_low,
        "majority_high": votes_high,
        **{f"worst_of_{k}": float(worst_of(correct, k).mean()) if k <= draws else NAN for k in REPEATS},
        "sensitivity_low": sensitivity[1],
        "sensitivity_high": sensitivity[2],
        "specificity_low": specificity[1],
        "specificity_high": specificity[2],
        "balanced_accuracy": balanced[0],
        "balanced_low": balanced[1],
        "balanced_high": balanced[2],
        "auroc": area[0],
        "auroc_low": area[1],
        "auroc_high": area[2],
        "image_variance": of_images,
        "draw_variance": of_draws,
    }


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV, atomically; equal tables give equal bytes."""
    with atomic(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.10g", lineterminator="\n")


def read_whole(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """A table that `write_table` wrote, which must have these columns and its last line whole."""
    table = read_table(path, tuple(columns))
    if not Path(path).read_bytes().endswith(b"\n"):
        raise AssayError(f"{path}: ends too early (truncated?); delete it and run again")
    return table


def interval_among(correct: np.ndarray, members: np.ndarray, clusters: np.ndarray | None) -> Interval:
    """Accuracy over all draws of some of the images, and its interval; not a number if there are none."""
    if not members.any():
        return (NAN,) * 3
    return accuracy_interval(correct[members], clusters=None if clusters is None else clusters[members])
