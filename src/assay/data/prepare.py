"""The prepare_images stage: one split of a data set as a stack."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pandas as pd

from assay.files import artifact
from assay.program import provenance
from assay.progress import track
from assay.stacks import write_stack
from assay.study.images import ImagesSpec

CHUNK = 256


def prepare_images(spec: ImagesSpec, code: str, out: Path) -> None:
    """Write images 0..count-1 of a split to the stack `out`; ids name the split, so no id stands in two splits."""
    source = importlib.import_module(f"assay.data.{spec.images.source}")
    starts = range(0, spec.count, CHUNK)
    parts = [
        source.generate(spec.seed, spec.split, range(start, min(start + CHUNK, spec.count)), spec.images.size)
        for start in track(starts, f"images {spec.split}", len(starts), unit="chunks")
    ]
    labels = np.concatenate([labels for _, labels in parts])
    table = pd.DataFrame({"id": [f"{spec.split}-{index:06d}" for index in range(spec.count)], "label": labels})
    made_by = provenance(("numpy", "pandas", "tifffile"))
    with artifact(out, "stack", spec.model_dump(mode="json"), code, {}, made_by) as draft:
        draft.facts |= {"classes": 2, "positives": int(labels.sum())}
        write_stack(draft, np.concatenate([images for images, _ in parts]), table)
