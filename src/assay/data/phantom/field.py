"""The field of view, in micrometres, and the pixels that sample it."""

from __future__ import annotations

import numpy as np

FIELD = 96.0  # side of an image, µm
EDGE = 2.0  # width of a soft edge, µm, where pixels are smaller than that


def pixel_centres(size: int) -> np.ndarray:
    """The middles (size,) of an image's rows or columns, µm."""
    return (np.arange(size) + 0.5) * (FIELD / size)


def edge_width(size: int) -> float:
    """Width of a soft edge at a size in pixels, µm: antialiased, and the same tissue at every size."""
    return max(FIELD / size, EDGE)
