"""The classify stage: scores, which keep every logit of every image and draw."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from assay import device as devices
from assay.artifacts import Wanted
from assay.batches import batch_count, folder_name, load_batch
from assay.evaluation.scores import write_scores
from assay.files import AssayError
from assay.inputs import Inputs
from assay.logits import majority
from assay.manifests import read_manifest
from assay.program import provenance
from assay.progress import track
from assay.study.evaluation import ClassifySpec


def classify_stack(spec: ClassifySpec, code: str, inputs: Inputs, out: Path, threads: int) -> None:
    """Write the scores of the input `images` by the input `classifier`, one batch in memory at a time."""
    wanted = Wanted(out, "scores", spec.model_dump(mode="json"), code, inputs.manifests())
    if wanted.is_there():
        return
    device = devices.prepare(threads)
    inputs = inputs.on(device)
    stack, model = inputs.images(), inputs.classifier()
    require_same_classes(inputs.folder("classifier"), inputs.folder("images"))

    def logits() -> Iterator[np.ndarray]:
        count = batch_count(stack, spec.batch_size)
        with torch.inference_mode():
            for index in track(range(count), f"classify {folder_name(out, 3)}", count, unit="batches"):
                batch = load_batch(stack, index, spec.batch_size, device)
                yield model(batch.images)[: batch.size].float().cpu().numpy()

    made_by = provenance(("torch", "numpy", "pandas"), devices.name(device))
    with wanted.write(made_by) as draft:
        write_scores(draft, answered(stack.table, spec.votes), stack.classes, voted(logits(), spec.votes))


def voted(chunks: Iterable[np.ndarray], votes: int) -> Iterator[np.ndarray]:
    """Chunks of logits (k, classes), the votes of each draw one after the other, as the draws' answers."""
    if votes == 1:
        yield from chunks
        return
    left = None
    for chunk in chunks:
        found = chunk if left is None else np.concatenate([left, chunk])
        whole = len(found) // votes * votes
        yield majority(torch.from_numpy(found[:whole]).unflatten(0, (-1, votes))).numpy()
        left = found[whole:]


def answered(rows: pd.DataFrame, votes: int) -> pd.DataFrame:
    """The table of a stack of purified images with a row for each answer, in place of one for each vote."""
    return rows if votes == 1 else rows.iloc[::votes].assign(draw=rows["draw"].iloc[::votes] // votes)


def require_same_classes(classifier: Path, images: Path) -> None:
    """Refuse a classifier whose classes are not the images' own, by name and in their order."""
    ours, theirs = (read_manifest(folder)["facts"]["classes"] for folder in (classifier, images))
    if ours == theirs:
        return
    if len(ours) != len(theirs):
        what = f"{len(ours)} classes, but {images} has {len(theirs)}"
    else:
        place = next(place for place, names in enumerate(zip(ours, theirs, strict=True)) if len(set(names)) > 1)
        what = f"'{ours[place]}' as class {place}, but {images} has '{theirs[place]}'"
    raise AssayError(f"{classifier}: has {what}; use a classifier of the images' classes")
