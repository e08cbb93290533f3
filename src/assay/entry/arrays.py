"""Images and classes as people hold them in memory, as what a stack holds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from assay.files import AssayError
from assay.stacks import to_stored

COLOURS = 3
SMALLEST, LARGEST = 16, 1024  # sides that a study may have
BITS = 8


def as_stored(images: Tensor | np.ndarray) -> np.ndarray:
    """Images (n, 3, h, w) or (n, h, w, 3), in [0,1] or uint8, as uint8 (n, h, w, 3)."""
    found = images.detach().cpu().numpy() if isinstance(images, Tensor) else np.asarray(images)
    if found.ndim != 4 or COLOURS not in (found.shape[1], found.shape[3]):
        raise AssayError(f"images: are {found.shape}; give (n, 3, height, width) or (n, height, width, 3)")
    first = found.shape[1] == COLOURS
    height, width = found.shape[2:] if first else found.shape[1:3]
    if height != width or not SMALLEST <= height <= LARGEST or len(found) < 2:
        raise AssayError(
            f"images: {len(found)} of {height} x {width} pixels; give two or more, square, of {SMALLEST} to {LARGEST}"
        )
    if found.dtype == np.uint8:
        return np.ascontiguousarray(found.transpose(0, 2, 3, 1) if first else found)
    if not np.issubdtype(found.dtype, np.floating) or not 0 <= found.min() <= found.max() <= 1:
        raise AssayError(
            f"images: are {found.dtype} from {found.min():.4g} to {found.max():.4g}; give floats in [0, 1] or uint8"
        )
    return to_stored(found if first else found.transpose(0, 3, 1, 2), BITS)


def class_names(classes: Sequence[str] | None, outputs: int, labels: np.ndarray, images: int) -> list[str]:
    """The classes' names, as many as the classifier has outputs; their numbers if none are given."""
    if labels.shape != (images,) or labels.min() < 0 or labels.max() >= outputs:
        raise AssayError(f"labels: give {images}, one per image, from 0 to {outputs - 1}, the classifier's classes")
    if classes is not None and len(classes) != outputs:
        raise AssayError(f"classes: {len(classes)} names, but the classifier has {outputs} outputs; name each")
    return [str(name) for name in (range(outputs) if classes is None else classes)]
