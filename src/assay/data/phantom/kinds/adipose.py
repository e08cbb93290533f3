"""Adipose: large empty polygons, the fat cells, between thin walls with a few flattened nuclei."""

from __future__ import annotations

import numpy as np

from assay.data.phantom.canvas import Canvas, Stains, lattice, shaped
from assay.data.phantom.nuclei import Nuclei
from assay.data.phantom.textures import COARSE, FINE, MEDIUM, draw_knots


def draw(rng: np.random.Generator, canvas: Canvas) -> Stains:
    """Haematoxylin and eosin of a patch of fat."""
    spacing = rng.uniform(30, 52)
    seeds = lattice(rng, spacing, 0.17 * spacing, 0.8 * spacing)
    warp, thickness = canvas.texture(draw_knots(rng, COARSE)), canvas.texture(draw_knots(rng, MEDIUM))
    half = rng.uniform(0.5, 1.2)
    nearest, next_nearest = canvas.nearest(seeds)
    wall = canvas.line((next_nearest - nearest) / 2 + 0.5 * warp, half * np.clip(1 + 0.4 * thickness, 0.3, 2.5))
    haze = 0.2 * rng.uniform() ** 2
    eosin = 0.75 * wall + haze * (1 - wall) * (1 + 0.25 * warp + 0.1 * canvas.texture(draw_knots(rng, FINE)))
    nuclei = canvas.nuclei(_on_walls(rng, seeds, spacing))
    return np.maximum(0.25 * wall + 0.2 * haze, nuclei), np.maximum(eosin, 0)


def _on_walls(rng: np.random.Generator, seeds: np.ndarray, spacing: float) -> Nuclei:
    """Flattened nuclei half-way between neighbouring cells."""
    gap = seeds[:, :, None] - seeds[:, None]
    distance = np.hypot(*gap)
    one, other = np.nonzero(np.triu((distance < 1.25 * spacing) & (distance > 0)))
    chosen = rng.permutation(len(one))[: rng.integers(4, 15)]
    a, b = seeds[:, one[chosen]], seeds[:, other[chosen]]
    angle = np.arctan2(*(b - a)[::-1]) + np.pi / 2
    return shaped(rng, (a + b) / 2, (2.0, 3.0), (2.5, 6.0), (0.7, 1.5), angle)
