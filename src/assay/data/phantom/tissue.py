"""Nine kinds of colorectal tissue, as in NCT-CRC-HE (Kather et al. 2018): what kind is a patch of?

Stains, light and colour balance vary from image to image by more than the kinds differ, so that a kind is known by its
structure and not by its colours.
"""

from __future__ import annotations

import numpy as np

from assay.data.phantom.camera import expose
from assay.data.phantom.canvas import canvas_of
from assay.data.phantom.chance import dealt, generator
from assay.data.phantom.kinds import (
    adipose,
    background,
    debris,
    epithelium,
    lymphocytes,
    mucosa,
    mucus,
    muscle,
    stroma,
)
from assay.data.phantom.task import LIBRARIES, Task

__all__ = ["LIBRARIES", "generate", "open_split"]

MIN_SIZE = 32
KINDS = (adipose, background, debris, lymphocytes, mucus, muscle, mucosa, stroma, epithelium)
SECTION = {background: 0.15, adipose: 0.45, mucus: 0.7}  # share of a patch that is tissue, where that is not all of it


def label_of(seed: int, split: str, image_id: int) -> int:
    """The number of the image's kind: each kind has one of nine ids in a row."""
    return dealt("tissue label", seed, split, image_id, len(KINDS))


def draw(seed: int, split: str, image_id: int, size: int) -> np.ndarray:
    """The image, uint8 (size, size, 3)."""
    rng = generator("tissue", seed, split, image_id)
    kind = KINDS[label_of(seed, split, image_id)]
    canvas = canvas_of(size)
    return expose(rng, canvas, *kind.draw(rng, canvas), SECTION.get(kind, 1.0))


TASK = Task(label_of, draw, MIN_SIZE)
generate, open_split = TASK.generate, TASK.open_split
