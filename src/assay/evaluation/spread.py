"""Which images of a stack stand for all, where not all can be looked at."""

from __future__ import annotations

import numpy as np


def spread(labels: np.ndarray, count: int) -> list[int]:
    """Rows of about `count` images and no more, as many of each class, evenly spread, in order.

    Where there are more classes than that, so many of these, evenly spread, have one each.
    """
    classes = _evenly(np.unique(labels), count)
    each = max(1, count // len(classes))
    return sorted(row for label in classes for row in _evenly(np.flatnonzero(labels == label), each).tolist())


def _evenly(values: np.ndarray, count: int) -> np.ndarray:
    """So many of the values, or all if there are fewer, the first and the last among them."""
    return values[np.unique(np.linspace(0, len(values) - 1, min(count, len(values))).round().astype(int))]
