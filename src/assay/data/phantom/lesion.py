"""Normal tissue with or without one nest of tumour, and nothing that looks like it: where is what decides?

A nest covers what lies under it, so the pixels of its mask are all that the label changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from assay.data.phantom.camera import expose
from assay.data.phantom.canvas import Canvas, Stains, canvas_of, shaped
from assay.data.phantom.chance import dealt, generator
from assay.data.phantom.field import FIELD
from assay.data.phantom.kinds import epithelium, mucosa, muscle, stroma
from assay.data.phantom.nuclei import Nuclei, deepest
from assay.data.phantom.task import LIBRARIES, Task, chunks
from assay.stacks import AREA
from assay.study.images import ImagesSpec

__all__ = ["LIBRARIES", "generate", "masks", "open_masks", "open_split"]

NORMAL = (mucosa, muscle, stroma)
RADII = (9.0, 26.0)  # of the least and of the largest nest, µm
NUCLEI, STAIN = (4.8, 6.8), (0.9, 1.4)  # radii, µm, and haematoxylin of its nuclei: a single one must be seen
INSET = 12.0  # how far inside the field a nest has its centre, µm


def label_of(seed: int, split: str, image_id: int) -> int:
    """1 for a lesion: of ids 2k and 2k+1 one has a nest; which one, chance decides."""
    return dealt("lesion label", seed, split, image_id, 2)


def draw(seed: int, split: str, image_id: int, size: int) -> np.ndarray:
    """The image, uint8 (size, size, 3)."""
    return draw_labelled(seed, split, image_id, size, label_of(seed, split, image_id))


def draw_labelled(seed: int, split: str, image_id: int, size: int, label: int) -> np.ndarray:
    """The image that an id has with a nest (label 1), or has without (label 0)."""
    canvas, rng = canvas_of(size), generator("lesion", seed, split, image_id)
    haematoxylin, eosin = NORMAL[rng.integers(len(NORMAL))].draw(rng, canvas)
    if label:
        chance = _chance(seed, split, image_id)
        nest = _nest(chance)
        cover, (of_nest_h, of_nest_e) = _cover(nest, canvas), _tumour(chance, nest, canvas)
        haematoxylin = (1 - cover) * haematoxylin + cover * of_nest_h
        eosin = (1 - cover) * eosin + cover * of_nest_e
    return expose(rng, canvas, haematoxylin, eosin)


def masks(seed: int, split: str, ids: Sequence[int], size: int) -> np.ndarray:
    """Where the nests of the given image ids are: uint8 (n, size, size), 255 in every pixel that a nest touches."""
    found = np.zeros((len(ids), size, size), np.uint8)
    for mask, image_id in zip(found, map(int, ids), strict=True):
        if label_of(seed, split, image_id):
            mask[_cover(_nest(_chance(seed, split, image_id)), canvas_of(size)) > 0] = 255
    return found


def open_split(spec: ImagesSpec, index: None, folder: None, scratch: Path) -> tuple[pd.DataFrame, Iterator[np.ndarray]]:
    """As of every task; the table's column `area` is the share of an image's pixels that its mask has."""
    table, images = TASK.open_split(spec, index, folder, scratch)
    areas = [(part > 0).mean(axis=(1, 2)) for part in open_masks(spec)]
    return table.assign(**{AREA: np.concatenate(areas)}), images


def open_masks(spec: ImagesSpec) -> Iterator[np.ndarray]:
    """The masks of a split's images, in chunks."""
    return (masks(spec.seed, spec.split, chunk, spec.images.size) for chunk in chunks(spec.count))


TASK = Task(label_of, draw, min_size=32)
generate = TASK.generate


def _chance(seed: int, split: str, image_id: int) -> np.random.Generator:
    """The nest's own random numbers: its outline's first, so that a mask needs nothing else."""
    return generator("lesion nest", seed, split, image_id)


def _nest(chance: np.random.Generator) -> Nuclei:
    """The nest's outline."""
    centre = chance.uniform(INSET, FIELD - INSET, (2, 1))
    radius = np.exp(chance.uniform(*np.log(RADII)))
    return shaped(chance, centre, (radius, radius), (1, 1.8), (1, 1), wobble=0.1)


def _cover(nest: Nuclei, canvas: Canvas) -> np.ndarray:
    """How much of each pixel a nest covers (size, size)."""
    return canvas.covered(deepest(nest, canvas.x, canvas.y))


def _tumour(chance: np.random.Generator, nest: Nuclei, canvas: Canvas) -> Stains:
    """The stains of a sheet of tumour cells, one of which has its nucleus in the middle of the nest."""
    crowd = epithelium.crowded(chance, NUCLEI, STAIN)
    middle = np.argmin((crowd.x - nest.x) ** 2 + (crowd.y - nest.y) ** 2)
    crowd = replace(crowd, x=crowd.x + (nest.x - crowd.x[middle]), y=crowd.y + (nest.y - crowd.y[middle]))
    return epithelium.cells(chance, canvas, crowd[deepest(nest, crowd.x[None], crowd.y[None])[0] > 0])
