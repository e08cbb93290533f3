"""Background: nearly blank glass with dust, at times with a smear or a fibre."""

from __future__ import annotations

import numpy as np

from assay.data.phantom.canvas import Canvas, Stains, shaped, spread
from assay.data.phantom.field import FIELD
from assay.data.phantom.textures import COARSE, FINE, MEDIUM, draw_knots


def draw(rng: np.random.Generator, canvas: Canvas) -> Stains:
    """Haematoxylin and eosin of bare glass."""
    coarse, medium, fine = (canvas.texture(draw_knots(rng, grain)) for grain in (COARSE, MEDIUM, FINE))
    level, unevenness = 0.35 * rng.uniform() ** 1.5, rng.uniform(0.02, 0.15)
    haze = level * (1 + unevenness * (coarse + 0.3 * medium)) + 0.012 * fine
    dust = canvas.nuclei(shaped(rng, spread(rng, rng.poisson(5)), (0.7, 2.2), (1, 2.5), (0.2, 1.0), wobble=0.15))
    dust = np.maximum(dust, rng.uniform(0, 1) * (rng.random() < 0.3) * _fibre(rng, canvas))
    share = rng.uniform(0.1, 0.9)  # of the haze that is bluish
    return np.maximum(share * 0.6 * haze, 0) + dust, np.maximum((1 - share) * haze, 0) + 0.5 * dust


def _fibre(rng: np.random.Generator, canvas: Canvas) -> np.ndarray:
    """A bent thread (size, size)."""
    turn, bend, wave = rng.uniform(0, np.pi), rng.uniform(-15, 15), rng.uniform(0.02, 0.06)
    x, y = canvas.x - FIELD / 2, canvas.y - FIELD / 2
    u, v = np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x
    return canvas.line(v - rng.uniform(-35, 35) - bend * np.sin(wave * u), rng.uniform(0.5, 1.2))
