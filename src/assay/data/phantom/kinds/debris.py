"""Debris: a granular necrotic smear with the dust of broken nuclei."""

from __future__ import annotations

import numpy as np

from assay.data.phantom.canvas import Canvas, Stains, shaped, spread
from assay.data.phantom.nuclei import Nuclei
from assay.data.phantom.textures import COARSE, FINE, MEDIUM, draw_knots

GRAINS = 64  # knots of the finest grain across the field


def draw(rng: np.random.Generator, canvas: Canvas) -> Stains:
    """Haematoxylin and eosin of dead tissue."""
    coarse, medium, fine = (canvas.texture(draw_knots(rng, grain)) for grain in (COARSE, MEDIUM, FINE))
    grain = canvas.texture(draw_knots(rng, GRAINS))
    granules = np.clip(0.7 * fine + 0.6 * grain + 0.5 * medium, -1.4, 2.2)
    smear = np.clip(rng.uniform(0.9, 1.8) - 0.7 * coarse, 0.15, 1)
    contrast = rng.uniform(0.3, 0.55)
    eosin = smear * rng.uniform(0.3, 0.5) * (1 + contrast * granules)
    haematoxylin = smear * rng.uniform(0.1, 0.3) * (1 + contrast * (0.8 * fine - 0.6 * grain + 0.6 * medium))
    return np.maximum(haematoxylin, 0) + canvas.nuclei(_fragments(rng)), np.maximum(eosin, 0)


def _fragments(rng: np.random.Generator) -> Nuclei:
    """Shreds of nuclei, in clouds."""
    clouds = spread(rng, 7)
    points = np.repeat(clouds, rng.integers(0, 12, 7), axis=1)
    points = np.concatenate([points, spread(rng, rng.integers(5, 40))], axis=1)
    points = points + 7 * rng.standard_normal(points.shape)
    return shaped(rng, points, (0.6, 2.6), (1, 2.2), (0.3, 1.3), wobble=0.15)
