"""The prepare_images stage: one split of a data set as a stack."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from assay.data.scratch import scratch_beside
from assay.files import AssayError, artifact
from assay.inputs import Inputs
from assay.modules import load
from assay.program import provenance
from assay.stacks import pixel_hashes, write_images, write_masks, write_table
from assay.study.images import ImagesSpec


def prepare_images(spec: ImagesSpec, code: str, inputs: Inputs, out: Path, folder: Path | None = None) -> None:
    """Write the images of a split to the stack `out`.

    A source with files has them in `folder`, and an input `index` that says where each image stands. The table's
    column `pixels` is what identical images share. A source whose images are masked opens their masks too.
    """
    source = load(spec.images.implementation)
    index = inputs.folder("index") if "index" in inputs else None
    with scratch_beside(out) as scratch:
        table, chunks = source.open_split(spec, index, folder, scratch)
        hashes: list[str] = []
        made_by = provenance(("numpy", *source.LIBRARIES))
        with artifact(out, "stack", spec.model_dump(mode="json"), code, inputs.manifests(), made_by) as draft:
            write_images(draft, _hashed(chunks, hashes), len(table))
            if spec.images.masked:
                write_masks(draft, source.open_masks(spec), len(table))
            if "pixels" in table and (changed := table["id"][table["pixels"] != hashes]).any():
                raise AssayError(
                    f"{folder}: {changed.iloc[0]} is not the image that it was when {index} was made; "
                    f"restore it, or delete {out.parent} and run again"
                )
            draft.facts |= {"classes": list(spec.images.classes), "images": len(table), "counts": _counts(table, spec)}
            write_table(draft, table.assign(pixels=hashes))


def _counts(table: pd.DataFrame, spec: ImagesSpec) -> dict[str, int]:
    """How many images each class has, by name."""
    labels = table["label"].value_counts()
    return {name: int(labels.get(label, 0)) for label, name in enumerate(spec.images.classes)}


def _hashed(chunks: Iterable[np.ndarray], hashes: list[str]) -> Iterator[np.ndarray]:
    """The chunks, their images' hashes noted on the way."""
    for chunk in chunks:
        hashes += pixel_hashes(chunk)
        yield chunk
