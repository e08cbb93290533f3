"""The prepare_images stage: one split of a data set as a stack, or as a list of the files that its images lie in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from assay.artifacts import Wanted
from assay.data.roles import count_classes
from assay.data.scratch import scratch_beside
from assay.files import AssayError
from assay.inputs import Inputs
from assay.manifests import read_manifest
from assay.modules import load, own_model
from assay.program import provenance
from assay.stacks import IMAGES, MASKS, pixel_hashes, write_images, write_masks, write_table
from assay.study.images import ImagesSpec


def prepare_images(spec: ImagesSpec, code: str, inputs: Inputs, out: Path, folder: Path | None = None) -> None:
    """Write the images of a split to the stack `out`; or, where the source says so, a list of the files they lie in.

    A source with files has them in `folder`, and an input `index` that says where each image lies. The table's column
    `pixels` is what identical images share. A source whose images are masked opens their masks too.
    """
    is_stack = IMAGES in spec.images.stack_files(spec.split)
    kind = "stack" if is_stack else "file list"
    wanted = Wanted(out, kind, spec.model_dump(mode="json"), code, inputs.manifests())
    if wanted.is_there():
        return
    source = load(spec.images.implementation)
    index = inputs.folder("index") if "index" in inputs else None
    own = spec.model_copy(update={"images": own_model(spec.images)})
    made_by = provenance(("numpy", *getattr(source, "LIBRARIES", ("pandas", "tifffile"))))
    with scratch_beside(out) as scratch:
        table, chunks = source.open_split(own, index, folder, scratch)
        classes = spec.images.classes or read_manifest(index, "index")["facts"]["classes"]
        _check_table(table, spec, classes)
        with wanted.write(made_by) as draft:
            if is_stack:
                hashes: list[str] = []
                write_images(draft, _checked(chunks, spec, len(table), hashes), len(table))
                if MASKS in spec.images.stack_files(spec.split):
                    write_masks(draft, source.open_masks(spec), len(table))
                if "pixels" in table and (changed := table["id"][table["pixels"] != hashes]).any():
                    raise AssayError(
                        f"{folder}: {changed.iloc[0]} is not the image that it was when {index} was made; "
                        f"restore it, or delete {out.parent} and run again"
                    )
                table = table.assign(pixels=hashes)
            else:
                draft.facts["folder"] = str(folder)
            counts = count_classes(table, classes)
            draft.facts |= {"classes": list(classes), "images": len(table), "counts": counts}
            write_table(draft, table)


def _check_table(table: pd.DataFrame, spec: ImagesSpec, classes: Sequence[str]) -> None:
    """Refuse a table that is not one of as many images, with names of their own, of these classes."""
    module = spec.images.implementation
    if not {"id", "label"} <= set(table):
        raise AssayError(f"{module}: open_split must return a table with the columns id and label")
    if len(twice := table["id"][table["id"].duplicated()]):
        raise AssayError(f"{module}: open_split gives two images the id {twice.iloc[0]}")
    if len(wrong := table["label"][~table["label"].isin(range(len(classes)))]):
        raise AssayError(f"{module}: open_split gives the label {wrong.iloc[0]}; labels are 0 to {len(classes) - 1}")
    if spec.count not in (None, len(table)):
        raise AssayError(f"{module}: open_split gives {len(table)} images of the split {spec.split}, not {spec.count}")


def _checked(chunks: Iterable[np.ndarray], spec: ImagesSpec, count: int, hashes: list[str]) -> Iterator[np.ndarray]:
    """The chunks, which must hold `count` images of the right kind; their hashes are noted on the way."""
    module, size = spec.images.implementation, spec.images.size
    for chunk in chunks:
        if chunk.dtype != np.uint8 or chunk.shape[1:] != (size, size, 3):
            found, wanted = f"{chunk.dtype} {chunk.shape}", f"uint8 (n, {size}, {size}, 3)"
            raise AssayError(f"{module}: open_split gives images of {found}; they must be {wanted}")
        hashes += pixel_hashes(chunk)
        if len(hashes) > count:
            raise AssayError(f"{module}: open_split gives {len(hashes)} or more images, but its table has {count} rows")
        yield chunk
    if len(hashes) < count:
        raise AssayError(f"{module}: open_split gives {len(hashes)} images, but its table has {count} rows")
