"""The scores of a cell as they lie on disk, whole and in order; and the slides of their images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from assay.files import AssayError, check
from assay.stacks import SLIDE, TABLE, read_table

SCORES = "scores.csv"


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


def require_same_images(a: Scores, b: Scores) -> None:
    """Refuse two cells that were not measured on the same images in the same order."""
    for what in ("ids", "labels"):
        if not np.array_equal(getattr(a, what), getattr(b, what)):
            raise AssayError(
                f"{b.folder}: its {what} are not those of {a.folder}; cells of a study share their images: "
                "delete the older folder and run again"
            )


def read_slides(images: Path) -> dict[str, str] | None:
    """The slide of each image of a stack, by id; None where its table has no column `slide`.

    Images of one slide are no independent witnesses: intervals and tests then go by slide.
    """
    table = read_table(Path(images) / TABLE, ("id", "label"))
    if SLIDE not in table:
        return None
    if table[SLIDE].isna().any():
        raise AssayError(f"{Path(images) / TABLE}: an image has no slide; name one for each or drop the column")
    return dict(zip(table["id"], table[SLIDE].astype(str), strict=True))


def clusters_of(ids: np.ndarray, slides: dict[str, str] | None) -> np.ndarray | None:
    """The slide of each of the images, in their order; None where slides are not known."""
    if slides is None:
        return None
    if missing := [image for image in ids if image not in slides]:
        raise AssayError(f"image {missing[0]} is not in the table of the test images; delete its scores and run again")
    return np.array([slides[image] for image in ids])
