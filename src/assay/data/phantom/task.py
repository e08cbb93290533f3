"""What every task of the phantom has in common: images of any ids, and a split of them as a source of a stack."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from assay.progress import track
from assay.study.images import ImagesSpec

LIBRARIES = ("pandas", "tifffile")
CHUNK = 256  # images drawn at a time
SPLITS = ("train", "validation", "selection", "test")


@dataclass(frozen=True)
class Task:
    """A law of images: `label` gives the class of (seed, split, id), `draw` the image of (seed, split, id, size)."""

    label: Callable[[int, str, int], int]
    draw: Callable[[int, str, int, int], np.ndarray]
    min_size: int

    def generate(self, seed: int, split: str, ids: Sequence[int], size: int) -> tuple[np.ndarray, np.ndarray]:
        """Return images, uint8 (n, size, size, 3), and labels, uint8 (n,), of the given image ids.

        A pure function of (seed, split, id, size) image by image: neither the order nor the company of the ids
        matters.
        """
        self._check(split, ids, size)
        images = np.empty((len(ids), size, size, 3), np.uint8)
        for image, image_id in zip(images, map(int, ids), strict=True):
            image[:] = self.draw(seed, split, image_id, size)
        return images, np.array([self.label(seed, split, int(image_id)) for image_id in ids], np.uint8)

    def open_split(
        self, spec: ImagesSpec, index: None, folder: None, scratch: Path
    ) -> tuple[pd.DataFrame, Iterator[np.ndarray]]:
        """Images 0..count-1 of a split: a table of ids, which name the split, and labels; and the images in chunks."""
        numbers = range(spec.count)
        ids = [f"{spec.split}-{number:06d}" for number in numbers]
        labels = np.array([self.label(spec.seed, spec.split, number) for number in numbers], np.uint8)
        images = (
            self.generate(spec.seed, spec.split, chunk, spec.images.size)[0]
            for chunk in track(chunks(spec.count), f"images {spec.split}", len(chunks(spec.count)), unit="chunks")
        )
        return pd.DataFrame({"id": ids, "label": labels}), images

    def _check(self, split: str, ids: Sequence[int], size: int) -> None:
        if size < self.min_size:
            raise ValueError(f"size must be at least {self.min_size} pixels, got {size}")
        if split not in SPLITS:
            raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
        if min(ids, default=0) < 0:
            raise ValueError(f"image ids must not be negative, got {min(ids)}")


def chunks(count: int) -> list[range]:
    """The ids 0..count-1, as many at a time as are drawn at once."""
    return [range(count)[start : start + CHUNK] for start in range(0, count, CHUNK)]
