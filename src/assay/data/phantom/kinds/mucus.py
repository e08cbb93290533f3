"""Mucus: pale streaks that flow and swirl, with few cells afloat in them."""

from __future__ import annotations

import numpy as np

from assay.data.phantom.canvas import Canvas, Stains, shaped, spread
from assay.data.phantom.textures import COARSE, FINE, MEDIUM, draw_knots


def draw(rng: np.random.Generator, canvas: Canvas) -> Stains:
    """Haematoxylin and eosin of a pool of mucus."""
    swirl, medium, fine = (canvas.texture(draw_knots(rng, grain)) for grain in (COARSE - 2, MEDIUM, FINE))
    turn = rng.uniform(0, np.pi)
    across = canvas.x * np.cos(turn) + canvas.y * np.sin(turn) + rng.uniform(6, 12) * swirl
    streaks = np.zeros_like(across)
    for wavelength, phase in zip(rng.uniform([6, 9, 16], [9, 14, 28]), rng.uniform(0, 2 * np.pi, 3), strict=True):
        streaks += np.sin(2 * np.pi / wavelength * across + phase + 0.5 * medium)
    level, contrast = rng.uniform(0.1, 0.4), rng.uniform(0.25, 0.5)
    mucin = np.maximum(level * (1 + contrast * streaks + 0.1 * fine), 0.01)
    share = rng.uniform(0.3, 0.7)  # of the streaks that is bluish
    cells = canvas.nuclei(shaped(rng, spread(rng, rng.poisson(5)), (2.6, 4.0), (1, 1.5), (0.5, 1.3)))
    return share * 0.7 * mucin + cells, (1 - share) * 1.4 * mucin
