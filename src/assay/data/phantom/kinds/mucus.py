"""Mucus: pale streaks that flow and swirl, with few cells afloat in them."""

from __future__ import annotations

import numpy as np

from assay.data.phantom.canvas import KNOTS, Canvas, Stains, shaped, spread
from assay.data.phantom.textures import COARSE, FINE, MEDIUM, draw_knots


def draw(rng: np.random.Generator, canvas: Canvas) -> Stains:
    """Haematoxylin and eosin of a pool of mucus."""
    swirl, medium, fine = (canvas.texture(draw_knots(rng, grain)) for grain in (COARSE - 2, MEDIUM, FINE))
    turn = rng.uniform(0, np.pi)
    across = canvas.x * np.cos(turn) + canvas.y * np.sin(turn) + rng.uniform(5, 11) * swirl + 0.7 * medium
    streaks = canvas.strands(across, rng.standard_normal(KNOTS), rng.uniform(2.5, 4))
    streaks = streaks + canvas.strands(across, rng.standard_normal(KNOTS), rng.uniform(7, 12))
    level, contrast = rng.uniform(0.1, 0.4), rng.uniform(0.22, 0.42)
    mucin = np.maximum(level * (1 + contrast * streaks * (1 + 0.3 * medium) + 0.08 * fine), 0.01)
    share = rng.uniform(0.3, 0.7)  # of the streaks that is bluish
    cells = canvas.nuclei(shaped(rng, spread(rng, rng.poisson(4)), (2.4, 3.8), (1, 1.6), (0.5, 1.3)))
    return share * 0.7 * mucin + cells, (1 - share) * 1.4 * mucin
