"""The prepare_images stage: one split of a data set as a stack."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from assay.data.scratch import scratch_beside
from assay.files import MANIFEST, AssayError, artifact
from assay.program import provenance
from assay.stacks import pixel_hashes, write_images, write_table
from assay.study.images import ImagesSpec


def prepare_images(
    spec: ImagesSpec, code: str, out: Path, index: Path | None = None, folder: Path | None = None
) -> None:
    """Write the images of a split to the stack `out`.

    A source with files has them in `folder`, and an artifact `index` that says where each image stands. The table's
    column `pixels` is what identical images share.
    """
    source = importlib.import_module(f"assay.data.{spec.images.source}")
    inputs = {"index": index / MANIFEST} if index else {}
    with scratch_beside(out) as scratch:
        table, chunks = source.open_split(spec, index, folder, scratch)
        hashes: list[str] = []
        with artifact(
            out, "stack", spec.model_dump(mode="json"), code, inputs, provenance(("numpy", *source.LIBRARIES))
        ) as draft:
            write_images(draft, _hashed(chunks, hashes), len(table))
            if "pixels" in table and (changed := table["id"][table["pixels"] != hashes]).any():
                raise AssayError(
                    f"{folder}: {changed.iloc[0]} is not the image that it was when {index} was made; "
                    f"restore it, or delete {out.parent} and run again"
                )
            draft.facts |= {"classes": 2, "images": len(table), "positives": int(table["label"].sum())}
            write_table(draft, table.assign(pixels=hashes))


def _hashed(chunks: Iterable[np.ndarray], hashes: list[str]) -> Iterator[np.ndarray]:
    """The chunks, their images' hashes noted on the way."""
    for chunk in chunks:
        hashes += pixel_hashes(chunk)
        yield chunk
