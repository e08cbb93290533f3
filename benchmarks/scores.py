"""What scores cost on disk and to write and read, as they are stored and as the CSV file that they might be.

    python benchmarks/scores.py

One cell of so many images and draws, at 2 and at 1,000 classes, all in one process. Writing and reading both include
the manifest and its hashes, and a look at every logit. The last column is all that the summary says of the cell.
Seconds are CPU time.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from assay.artifacts import Wanted
from assay.evaluation.scores import read_scores, write_scores
from assay.evaluation.summary import measure
from assay.manifests import check
from assay.stacks import read_table

BATCH = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--classes", type=int, nargs="+", default=[2, 1000])
    arguments = parser.parse_args()
    print(f"{arguments.images} images, {arguments.draws} draws")
    print(f"{'classes':>7} {'as':>6} {'MB':>8} {'write s':>8} {'read s':>8} {'measure s':>10}")
    for classes in arguments.classes:
        logits, rows = made_up(arguments.images, arguments.draws, classes)
        for name, write, read in (("array", write_array, read_scores), ("CSV", write_csv, read_csv)):
            with tempfile.TemporaryDirectory() as folder:
                written, _ = seconds(write, Path(folder), rows, logits)
                taken, found = seconds(read, Path(folder))
                size = sum(path.stat().st_size for path in Path(folder).iterdir()) / 1e6
                measured = f"{seconds(measure, found)[0]:10.2f}" if name == "array" else ""
            print(f"{classes:7} {name:>6} {size:8.2f} {written:8.2f} {taken:8.2f} {measured}", flush=True)


def made_up(images: int, draws: int, classes: int) -> tuple[np.ndarray, pd.DataFrame]:
    """Logits (images x draws, classes) that are right more often than not, and the rows of their stack's table."""
    labels = np.arange(images) % classes
    logits = np.random.default_rng(0).normal(size=(images, draws, classes)).astype(np.float32)
    logits[np.arange(images), :, labels] += 4
    rows = pd.DataFrame({"id": [f"test-{image}" for image in range(images)], "label": labels})
    rows = rows.loc[rows.index.repeat(draws)].assign(draw=np.tile(np.arange(draws), images))
    return logits.reshape(-1, classes), rows.reset_index(drop=True)


def write_array(folder: Path, rows: pd.DataFrame, logits: np.ndarray) -> None:
    """Write scores as the classify stage does, batch by batch."""
    batches = (logits[start : start + BATCH] for start in range(0, len(logits), BATCH))
    with Wanted(folder, "scores", {}, "", {}).write({}) as draft:
        write_scores(draft, rows, [f"class {k}" for k in range(logits.shape[1])], batches)


def write_csv(folder: Path, rows: pd.DataFrame, logits: np.ndarray) -> None:
    """Write one row a draw and one column a class, with the digits that keep a float32."""
    columns = pd.DataFrame(logits, columns=[f"logit_{k}" for k in range(logits.shape[1])])
    with Wanted(folder, "scores", {}, "", {}).write({}) as draft:
        table = pd.concat([rows, columns], axis=1)
        table.to_csv(draft.path("scores.csv"), index=False, lineterminator="\n", float_format="%.9g")


def read_csv(folder: Path) -> np.ndarray:
    """The logits of that file."""
    check(folder, "scores")
    logits = read_table(folder / "scores.csv", ("id", "label", "draw")).filter(like="logit_").to_numpy()
    if not np.isfinite(logits).all():
        raise ValueError("logits are not finite")
    return logits


def seconds(action: Callable[..., Any], *arguments: Any) -> tuple[float, Any]:
    """The CPU time that an action takes, and what it gives."""
    start = time.process_time()
    found = action(*arguments)
    return time.process_time() - start, found


if __name__ == "__main__":
    main()
