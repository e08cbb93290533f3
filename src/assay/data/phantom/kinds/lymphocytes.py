"""Lymphocytes: small, round, dark nuclei, packed, with hardly any cell around them."""

from __future__ import annotations

import numpy as np

from assay.data.phantom.canvas import Canvas, Stains, lattice, shaped
from assay.data.phantom.textures import COARSE, FINE, MEDIUM, draw_knots


def draw(rng: np.random.Generator, canvas: Canvas) -> Stains:
    """Haematoxylin and eosin of a crowd of lymphocytes."""
    coarse, medium, fine = (canvas.texture(draw_knots(rng, grain)) for grain in (COARSE, MEDIUM, FINE))
    spacing = rng.uniform(7.4, 9.8)
    points = lattice(rng, spacing, 0.16 * spacing, 4)
    points = points[:, rng.random(points.shape[1]) > rng.uniform(0.03, 0.25)]
    nuclei = canvas.nuclei(shaped(rng, points, (2.8, 3.7), (1, 1.35), (0.7, 1.3), hollow=0.15)) * (1 + 0.12 * fine)
    ground = rng.uniform(0.1, 0.4) * (1 + 0.25 * coarse + 0.2 * medium + 0.1 * fine)
    return np.maximum(nuclei, 0.1 + 0.04 * medium), np.maximum(ground, 0.02)
