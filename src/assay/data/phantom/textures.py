"""Smooth random textures, defined by knots that do not depend on the size at which they are sampled."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from assay.data.phantom.field import FIELD

# How many knots a smooth random texture has across the field; 96 / knots is its grain in µm.
COARSE, MEDIUM, FINE = 6, 14, 40


def draw_knots(rng: np.random.Generator, count: int) -> np.ndarray:
    """The random numbers behind a smooth texture with `count` grains across the field."""
    return rng.standard_normal((count + 3, count + 3))


def texture(knots: np.ndarray, size: int) -> np.ndarray:
    """Smooth random field (size, size) of mean 0 and, before averaging over pixels, of variance 1."""
    basis = _spline_basis(size, len(knots) - 3)
    return basis @ knots @ basis.T


def value_at(field: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The values (n,) of a square map (size, size) at points in µm, or at the edge next to them."""
    size = len(field)
    column, row = (np.clip(v * (size / FIELD), 0, size - 1).astype(int) for v in (x, y))
    return field[row, column]


@lru_cache(maxsize=32)
def _spline_basis(size: int, count: int) -> np.ndarray:
    """(size, count + 3): cubic B-spline weights of each knot, averaged over each pixel's width."""
    samples = 8
    position = (np.arange(size * samples) + 0.5) * (count / (size * samples))
    distance = np.abs(position[:, None] - (np.arange(count + 3) - 1))
    weights = np.where(distance < 1, 2 / 3 - distance**2 + distance**3 / 2, np.clip(2 - distance, 0, None) ** 3 / 6)
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    return weights.reshape(size, samples, count + 3).mean(axis=1)
