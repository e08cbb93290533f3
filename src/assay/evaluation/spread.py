"""Which images of a stack stand for all, where not all can be looked at."""

from __future__ import annotations

import numpy as np


def spread(labels: np.ndarray, count: int) -> list[int]:
    """Rows of about `count` images, as many of each class, evenly spread, in order."""
    classes = np.unique(labels)
    each = max(1, count // len(classes))
    rows: list[int] = []
    for label in classes:
        members = np.flatnonzero(labels == label)
        places = np.unique(np.linspace(0, len(members) - 1, min(each, len(members))).round().astype(int))
        rows += members[places].tolist()
    return sorted(rows)
