"""Which image of a data set's files plays which role: train, validation, selection or test, and no image two.

Roles are frozen. Each image has a place on a circle, a hash of the study's seed and its pixels; a split takes the
images nearest to its own point, in its own direction. So a split that grows keeps what it had, and disturbs no other,
but for those that are drawn from what the others leave.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from assay.files import AssayError
from assay.manifests import check
from assay.stacks import TABLE, read_table
from assay.study.images import AnySource, ImagesSpec
from assay.study.sources import KEYS, Split

# Where a split begins on the circle of circumference 1, and in which direction it goes.
POINTS: dict[Split, tuple[float, int]] = {
    "test": (0.0, 1),
    "selection": (0.5, 1),
    "validation": (0.5, -1),
    "train": (0.0, -1),
}
COLUMNS = ("id", "label", "file", "row", "pixels")
# What became of an image in the index. Only kept ones are drawn.
KEPT, DUPLICATE, ELSEWHERE, TWO_LABELS = "kept", "duplicate", "elsewhere", "two labels"


def sort_out(images: pd.DataFrame, classes: Sequence[str]) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Add to a table of all images (`COLUMNS`) the `status` of each, and count what was found of which class.

    The table has the files one after the other. An image belongs to the first file that it stands in, so what may be
    tested on is never trained on, drawn or not; within a file it counts once. One that stands there with two labels
    is left out altogether.
    """
    same = images.groupby("pixels", sort=False)
    two_labels = same["label"].transform("nunique") > 1
    elsewhere = images["file"] != same["file"].transform("first")
    reasons = {TWO_LABELS: two_labels, ELSEWHERE: elsewhere, DUPLICATE: same.cumcount() > 0}
    table = images.assign(status=np.select(list(reasons.values()), list(reasons), KEPT))
    files = dict(list(table.groupby("file", sort=False)))
    distinct = {file: set(rows["pixels"]) for file, rows in files.items()}
    shared = {f"{one} and {other}": len(distinct[one] & distinct[other]) for one, other in combinations(files, 2)}
    found = {file: _count(rows, classes) for file, rows in files.items()}
    return table, {"classes": list(classes), "files": found, "in_two_files": shared}


def _count(rows: pd.DataFrame, classes: Sequence[str]) -> dict[str, Any]:
    """What was found in one file: its images, those that stand there before, and what is left to draw from."""
    return {
        "images": len(rows),
        "classes": count_classes(rows, classes),
        "duplicates": int(rows["pixels"].duplicated().sum()),
        "elsewhere": int((rows["status"] == ELSEWHERE).sum()),
        "two_labels": int((rows["status"] == TWO_LABELS).sum()),
        "kept": int((rows["status"] == KEPT).sum()),
    }


def count_classes(images: pd.DataFrame, classes: Sequence[str]) -> dict[str, int]:
    """How many images of a table each class has, by name."""
    counts = np.bincount(images["label"], minlength=len(classes))
    return dict(zip(classes, counts.tolist(), strict=True))


@dataclass(frozen=True)
class Index:
    """What the files of a data set hold: the classes' names, and one row of the table (`COLUMNS`) per image."""

    classes: list[str]
    table: pd.DataFrame


def read_index(folder: Path | None, source: AnySource) -> Index:
    """The index that was made of this very source."""
    if folder is None:
        raise AssayError(f"--inputs: no index; images of {source.source} are drawn from one")
    manifest = check(folder, "index")
    if manifest["spec"].get("images") != source.model_dump(mode="json"):
        raise AssayError(f"{folder}: is an index of other images; delete it and run again")
    return Index(manifest["facts"]["classes"], read_table(folder / TABLE, (*COLUMNS, "status")))


def draw(index: Index, spec: ImagesSpec, files: Mapping[Split, str]) -> pd.DataFrame:
    """The rows of an index that play the role `spec.split`, in the order of the file that they are drawn from.

    All but training images are balanced over the classes: their numbers differ by one at most. Which classes get one
    more (or, with fewer images than classes, any) follows from the seed.
    """
    rest = index.table[(index.table["status"] == KEPT) & (index.table["file"] == files[spec.split])]
    for other in POINTS:
        if other in spec.beside:
            rest = rest.drop(_take(rest, index.classes, other, spec.beside[other], spec.seed).index)
    if rest.empty:
        raise AssayError(f"{KEYS[spec.split]}: the other splits leave no image; lower their counts")
    return rest if spec.count is None else _take(rest, index.classes, spec.split, spec.count, spec.seed)


def _take(pool: pd.DataFrame, classes: Sequence[str], split: Split, count: int, seed: int) -> pd.DataFrame:
    point, direction = POINTS[split]
    distance = (direction * (_places(seed, pool["pixels"]) - point)) % 1
    nearest = pool.iloc[np.argsort(distance, kind="stable")]
    if split == "train":
        _require(count, len(nearest), split, "")
        return nearest[:count].sort_values("row")
    share = np.full(len(classes), count // len(classes))
    share[np.argsort(_places(seed, classes), kind="stable")[: count % len(classes)]] += 1
    for name, wanted, found in zip(classes, share, count_classes(pool, classes).values(), strict=True):
        _require(wanted, found, split, f" of class {name}")
    place_in_class = nearest.groupby("label").cumcount()
    return nearest[place_in_class < share[nearest["label"]]].sort_values("row")


def _places(seed: int, texts: Iterable[str]) -> np.ndarray:
    """The places (n,) of images, by their pixels' hashes, or of classes, by their names, on the circle [0,1)."""
    digests = [hashlib.sha256(f"{seed}/{text}".encode()).digest()[:8] for text in texts]
    return np.array([int.from_bytes(digest, "big") for digest in digests], np.uint64) / 2.0**64


def _require(wanted: int, found: int, split: Split, kind: str) -> None:
    if found < wanted:
        raise AssayError(
            f"{KEYS[split]}: needs {wanted} different images{kind}, but there are {found} to draw from; lower it"
        )
