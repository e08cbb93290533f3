"""The ball on the storage grid: what is on disk is what is evaluated, so the projection is in stored integers."""

from __future__ import annotations

import numpy as np

from assay.stacks import to_stored
from assay.study.attacks import storage_bits
from assay.study.fields import Norm


def project(pixels: np.ndarray, clean: np.ndarray, norm: Norm, eps: float) -> np.ndarray:
    """Perturbed images (n, 3, h, w) in [0,1] as stored integers (n, h, w, 3) inside the ball around `clean`.

    `clean` is stored too (n, h, w, 3); 8-bit values v are 257 v on the 16-bit grid.
    """
    bits = storage_bits(norm, eps)
    top = 2**bits - 1
    centre = on_grid(clean, bits).astype(np.int64)
    if norm == "Linf":
        reach = int(np.floor(top * eps + 1e-6))
        moved = to_stored(pixels, bits).astype(np.int64).clip(centre - reach, centre + reach)
    else:
        delta = pixels.astype(np.float64).transpose(0, 2, 3, 1) * top - centre
        length = np.sqrt((delta**2).sum(axis=(1, 2, 3), keepdims=True))
        delta *= np.minimum(1, top * eps / np.maximum(length, 1e-12))
        moved = centre + np.trunc(delta).astype(np.int64)  # towards the centre: rounding cannot leave the ball
    return moved.clip(0, top).astype(np.uint8 if bits == 8 else np.uint16)


def on_grid(stored: np.ndarray, bits: int) -> np.ndarray:
    """Stored integers on the 8 or 16 bit grid, exactly."""
    if stored.dtype == np.uint16 and bits == 8:
        raise ValueError("16-bit images have no exact place on the 8-bit grid")
    return stored.astype(np.uint16) * 257 if stored.dtype == np.uint8 and bits == 16 else stored


def sizes(stored: np.ndarray, clean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """L-infinity and L2 norms (n) of stored perturbations, in pixel units."""
    bits = 8 if stored.dtype == np.uint8 else 16
    delta = stored.astype(np.int64) - on_grid(clean, bits).astype(np.int64)
    top = 2**bits - 1
    return np.abs(delta).max(axis=(1, 2, 3)) / top, np.sqrt((delta**2).sum(axis=(1, 2, 3))) / top


def boundary(stored: np.ndarray, clean: np.ndarray, eps: float) -> np.ndarray:
    """Share (n) of each stored image's values that lie on the wall of the L-infinity ball, or at 0 or 1."""
    bits = 8 if stored.dtype == np.uint8 else 16
    top = 2**bits - 1
    reach = int(np.floor(top * eps + 1e-6))
    distance = np.abs(stored.astype(np.int64) - on_grid(clean, bits).astype(np.int64))
    return ((distance == reach) | (stored == 0) | (stored == top)).mean(axis=(1, 2, 3))
