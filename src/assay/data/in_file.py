"""Images of a data set that is one large file with several parts: their index, and the stacks drawn from it.

A source says what the file holds: `labels(source, part, folder)` gives the labels (n,) of a part, and
`images(source, part, folder)` its images in their order, in chunks uint8 (k, size, size, 3).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from assay.data.pinned import verify
from assay.data.roles import draw, read_index
from assay.files import AssayError
from assay.stacks import pixel_hashes
from assay.study.images import ImagesSpec
from assay.study.sources import ROLES, Pinned

Labels = Callable[[Pinned, str, Path], np.ndarray]
Chunks = Callable[[Pinned, str, Path], Iterable[np.ndarray]]


def index_of(source: Pinned, folder: Path, labels: Labels, images: Chunks) -> tuple[list[str], pd.DataFrame]:
    """The classes' names, and all images: id, label, part, row in the part, hash of the pixels; test images first."""
    _verify(source, folder)
    parts = dict.fromkeys(map(source.part, ROLES))
    return list(source.classes), pd.concat([_part(source, part, folder, labels, images) for part in parts])


def drawn(spec: ImagesSpec, index: Path, folder: Path, images: Chunks) -> tuple[pd.DataFrame, Iterator[np.ndarray]]:
    """The drawn rows of the index (id, label, pixels), and their images in chunks: one pass over the part."""
    _verify(spec.images, folder)
    rows = draw(read_index(index, spec.images), spec, {split: spec.images.part(split) for split in ROLES})
    chunks = _picked(images(spec.images, spec.images.part(spec.split), folder), rows["row"].to_numpy())
    return rows[["id", "label", "pixels"]].reset_index(drop=True), chunks


def _verify(source: Pinned, folder: Path) -> None:
    for name, expected in source.hashes.items():
        verify(folder / name, expected)


def _part(source: Pinned, part: str, folder: Path, labels: Labels, images: Chunks) -> pd.DataFrame:
    found = labels(source, part, folder)
    hashes = [each for chunk in images(source, part, folder) for each in pixel_hashes(chunk)]
    if len(hashes) != len(found):
        file = folder / next(iter(source.published))
        raise AssayError(f"{file}: has {len(hashes)} images in its part '{part}', but {len(found)} labels; get it anew")
    rows = np.arange(len(found))
    ids = [f"{part}-{row:06d}" for row in rows]
    return pd.DataFrame({"id": ids, "label": found, "file": part, "row": rows, "pixels": hashes})


def _picked(chunks: Iterable[np.ndarray], rows: np.ndarray) -> Iterator[np.ndarray]:
    """Of the images of a part those at ascending rows."""
    start = 0
    for chunk in chunks:
        wanted = rows[(rows >= start) & (rows < start + len(chunk))]
        if len(wanted):
            yield chunk[wanted - start]
        start += len(chunk)
