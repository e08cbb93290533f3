"""The scores of a cell as they lie on disk, whole and in order; and the slides of their images.

`logits.npy` holds every logit (images, draws, classes) as float32, so that it can be memory-mapped; `table.csv` has one
row an image, its id and label; the names of the classes stand in the manifest's facts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from assay.artifacts import Draft
from assay.files import AssayError
from assay.manifests import check
from assay.stacks import SLIDE, TABLE, read_table
from assay.study.evaluation import LOGITS, SCORED

FLOAT = np.dtype("<f4")


@dataclass(frozen=True)
class Scores:
    """A cell's scores: `ids` (images,) as text, `labels` (images,), `logits` (images, draws, classes) of float32,
    which may be a memory map, and the names of the `classes`; a label is a place among them."""

    folder: Path
    ids: np.ndarray
    labels: np.ndarray
    logits: np.ndarray
    classes: Sequence[str]

    @cached_property
    def predicted(self) -> np.ndarray:
        """The class that each draw has the highest logit for: (images, draws), in the smallest type that holds it."""
        return self.logits.argmax(axis=-1).astype(np.min_scalar_type(len(self.classes) - 1))

    @property
    def correct(self) -> np.ndarray:
        """Whether each draw is right: bool (images, draws)."""
        return self.predicted == self.labels[:, None]


def write_scores(draft: Draft, rows: pd.DataFrame, classes: Sequence[str], logits: Iterable[np.ndarray]) -> None:
    """Write the scores of a stack whose table is `rows`: as many rows for each image as it has draws, one after the
    other. `logits` are chunks (k, classes) of any k, in the order of the rows; one is held at a time."""
    draws = int(rows["draw"].max()) + 1 if "draw" in rows else 1
    table = rows[["id", "label"]].iloc[::draws]
    expected = (np.repeat(table["id"], draws), np.repeat(table["label"], draws), np.tile(np.arange(draws), len(table)))
    found = (rows["id"], rows["label"], rows.get("draw", np.zeros(len(rows))))
    if not all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True)):
        raise AssayError("the images' rows are not draws 0, 1, ... of one image after the other; purify them again")
    shape = (len(table), draws, len(classes))
    with open(draft.path(LOGITS), "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": FLOAT.str, "fortran_order": False, "shape": shape})
        written = sum(file.write(np.ascontiguousarray(chunk, FLOAT)) for chunk in logits)
    if written != FLOAT.itemsize * np.prod(shape):
        raise ValueError(f"{written} bytes of logits, but {shape} were announced")
    table.to_csv(draft.path(SCORED), index=False, lineterminator="\n")
    draft.facts["classes"] = list(classes)


def read_scores(folder: Path) -> Scores:
    """The scores in an artifact's folder, whole; logits are mapped, not loaded."""
    folder = Path(folder)
    classes = check(folder, "scores")["facts"]["classes"]
    table, path = read_table(folder / SCORED, ("id", "label")), folder / LOGITS
    try:
        logits = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise AssayError(f"{path}: not a readable array ({error}); delete {folder} and run again") from None
    if logits.dtype != FLOAT or logits.ndim != 3 or not logits.flags.c_contiguous or 0 in logits.shape:
        raise AssayError(
            f"{path}: is {logits.dtype} {logits.shape}, expected float32 (images, draws, classes) in C order; "
            f"delete {folder} and run again"
        )
    if (len(logits), logits.shape[2]) != (len(table), len(classes)):
        raise AssayError(
            f"{path}: has logits of {len(logits)} images and {logits.shape[2]} classes, but {SCORED} has {len(table)} "
            f"images and the manifest {len(classes)} classes; delete {folder} and run again"
        )
    if table["label"].dtype.kind not in "iu" or not table["label"].between(0, len(classes) - 1).all():
        raise AssayError(f"{folder / SCORED}: has a label that is no class; delete {folder} and run again")
    if table["id"].duplicated().any():
        raise AssayError(f"{folder / SCORED}: an image stands there twice; delete {folder} and run again")
    if not np.isfinite([logits.min(), logits.max()]).all():  # both are not a number if any logit is
        raise AssayError(f"{path}: has logits that are not finite; check the classifier and the purified images")
    return Scores(folder, table["id"].to_numpy(), table["label"].to_numpy(), logits, classes)


def require_same_images(a: Scores, b: Scores) -> None:
    """Refuse two cells that were not measured on the same images in the same order, of the same classes."""
    require_images_of(a, b, np.arange(len(a.ids)))


def rows_among(a: Scores, b: Scores) -> np.ndarray:
    """The rows of the images of b, which may be some of a's, among those of a."""
    return pd.Index(a.ids).get_indexer(pd.Index(b.ids))


def require_images_of(a: Scores, b: Scores, rows: np.ndarray) -> None:
    """Refuse a cell b that was not measured on the images at these rows of a, in a's order, of the same classes."""
    whole = len(rows) == len(b.ids) and (rows >= 0).all() and (np.diff(rows) > 0).all()
    same = {
        "ids": whole and np.array_equal(a.ids[rows], b.ids),
        "labels": whole and np.array_equal(a.labels[rows], b.labels),
        "classes": np.array_equal(a.classes, b.classes),
    }
    for what, equal in same.items():
        if not equal:
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
