"""One NumPy archive: `numpy.load("demo.npz")["logits/resnet/clean/none/sigma-0"]`."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from assay.entry.study import Study
from assay.evaluation.scores import read_scores
from assay.files import atomic


def write(study: Study, out: Path) -> None:
    """Write `images`, `labels`, `ids` and `classes`; below `adversarial/` and `logits/` an array for each stack and
    cell, by its place in the study. One array is held at a time."""
    with atomic(out) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays(study):
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.ascontiguousarray(array), allow_pickle=False)


def arrays(study: Study) -> Iterator[tuple[str, np.ndarray]]:
    """The arrays with their names."""
    clean = study.images
    yield "images", clean.images
    yield "labels", clean.labels
    yield "ids", np.array(clean.ids, dtype=str)
    yield "classes", np.array(clean.classes, dtype=str)
    for place, stack in study.stacks():
        yield f"adversarial/{place}", stack.images
    for place in study.summary["scores"]:
        yield f"logits/{place}", read_scores(study.folder / "scores" / place).logits
