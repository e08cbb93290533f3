"""What a stored perturbation is: its size, and the share of it that lies at the bound of the ball. Without torch."""

from __future__ import annotations

import numpy as np


def on_grid(stored: np.ndarray, bits: int) -> np.ndarray:
    """Stored integers on the 8 or 16 bit grid, exactly: 8-bit values v are 257 v on the 16-bit grid."""
    if stored.dtype == np.uint16 and bits == 8:
        raise ValueError("16-bit images have no exact place on the 8-bit grid")
    return stored.astype(np.uint16) * 257 if stored.dtype == np.uint8 and bits == 16 else stored


def perturbation(stored: np.ndarray, clean: np.ndarray) -> np.ndarray:
    """Stored images minus clean ones (n, h, w, 3), int64, on the grid of the former."""
    return stored.astype(np.int64) - on_grid(clean, 8 * stored.itemsize).astype(np.int64)


def sizes(stored: np.ndarray, clean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """L-infinity and L2 norms (n) of stored perturbations, in pixel units."""
    delta, top = perturbation(stored, clean), np.iinfo(stored.dtype).max
    return np.abs(delta).max(axis=(1, 2, 3)) / top, np.sqrt((delta**2).sum(axis=(1, 2, 3))) / top


def boundary(stored: np.ndarray, clean: np.ndarray, eps: float) -> np.ndarray:
    """Share (n) of each stored image's values that lie at the bound of the L-infinity ball, or at 0 or 1."""
    top = np.iinfo(stored.dtype).max
    reach = int(np.floor(top * eps + 1e-6))
    distance = np.abs(perturbation(stored, clean))
    return ((distance == reach) | (stored == 0) | (stored == top)).mean(axis=(1, 2, 3))
