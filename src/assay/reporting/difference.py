"""The amplified difference of two images, the one way in which small changes are shown."""

from __future__ import annotations

import numpy as np

MOST = 7  # powers of two


def amplification(change: np.ndarray) -> int:
    """The largest power of two, up to 128, that keeps all but the largest 1% of changes within the grey scale."""
    size = np.quantile(np.abs(change), 0.99)
    return int(2 ** np.clip(np.floor(np.log2(0.5 / size) + 1e-9), 0, MOST)) if size > 0 else 1


def amplified(change: np.ndarray) -> tuple[int, np.ndarray]:
    """The factor, and the changes times it around grey, in [0,1]."""
    factor = amplification(change)
    return factor, np.clip(0.5 + factor * change, 0, 1)
