"""Cells by class: the accuracy of each class, and what its images are taken for."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np
import pandas as pd

from assay.evaluation.summary import KEYS, Judged, interval_among

PER_CLASS = ["study", *KEYS, "class", "images", "accuracy", "ci_low", "ci_high"]
CONFUSION = ["study", *KEYS, "label", "predicted", "images", "share"]


def accuracy_by_class(study: str, cells: Sequence[Judged]) -> pd.DataFrame:
    """One row a cell and class: how many images it has, and the accuracy of one draw with its interval."""
    return pd.DataFrame(chain.from_iterable(_by_class(study, cell) for cell in cells), columns=PER_CLASS)


def confusion(study: str, cells: Sequence[Judged]) -> pd.DataFrame:
    """What the images of each class are taken for: one row for each pair of `label` and `predicted` that occurs.

    `images` is how many images have the label, `share` how much of all their draws has the prediction.
    """
    return pd.DataFrame(chain.from_iterable(_confusion(study, cell) for cell in cells), columns=CONFUSION)


def _by_class(study: str, cell: Judged) -> list[tuple]:
    key, rows = (study, *cell.key(*KEYS)), []
    for label, name in enumerate(cell.classes):
        members = cell.labels == label
        rows.append((*key, name, int(members.sum()), *interval_among(cell.correct, members, cell.clusters)))
    return rows


def _confusion(study: str, cell: Judged) -> list[tuple]:
    draws, classes = cell.predicted.shape[1], len(cell.classes)
    pairs, counts = np.unique(cell.labels[:, None] * classes + cell.predicted, return_counts=True)
    images = np.bincount(cell.labels, minlength=classes)
    key, rows = (study, *cell.key(*KEYS)), []
    for label, predicted, count in zip(*np.divmod(pairs, classes), counts, strict=True):
        share = count / draws / images[label]
        rows.append((*key, cell.classes[label], cell.classes[predicted], int(images[label]), float(share)))
    return rows
