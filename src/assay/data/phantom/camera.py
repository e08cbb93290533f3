"""How a patch was cut, stained and photographed: this varies from image to image, whatever it shows."""

from __future__ import annotations

import numpy as np

from assay.data.phantom.canvas import Canvas
from assay.data.phantom.staining import EOSIN, HAEMATOXYLIN, optical_density, photograph
from assay.data.phantom.textures import COARSE, MEDIUM, draw_knots

GAINS = 0.45  # standard deviation of the logarithm of how strong each stain is
HUES = 0.06  # standard deviation of each stain's density in R, G, B
VEIL = 0.9  # most of a stain that lies over the whole patch
UNEVEN = (0.05, 0.25)  # least and most of how much the section's thickness varies over the patch
LIGHT = (165.0, 252.0)  # darkest and brightest lamp, in stored values
BALANCE = 0.05  # standard deviation of the camera's colour balance


def expose(
    rng: np.random.Generator, canvas: Canvas, haematoxylin: np.ndarray, eosin: np.ndarray, section: float = 1.0
) -> np.ndarray:
    """uint8 RGB (size, size, 3) of how much of the two stains lies where (size, size).

    `section` is the share of the patch that there is something to stain on: what the veil is in proportion to.
    """
    gain_h, gain_e = np.exp(GAINS * rng.standard_normal(2))
    hues = np.maximum(np.stack([HAEMATOXYLIN, EOSIN]) + HUES * rng.standard_normal((2, 3)), 0.02)
    lamp = rng.uniform(*LIGHT) * np.exp(BALANCE * rng.standard_normal(3))
    coarse, medium = canvas.texture(draw_knots(rng, COARSE)), canvas.texture(draw_knots(rng, MEDIUM))
    veil_h, veil_e = section * rng.uniform(0, 1, 2) ** 2 * [0.6 * VEIL, VEIL]
    cloud = np.maximum(1 + 0.3 * coarse - 0.15 * medium, 0)
    thickness = np.exp(rng.uniform(*UNEVEN) * coarse)
    h = (gain_h * haematoxylin + veil_h * cloud) * thickness
    e = (gain_e * eosin + veil_e * cloud) * thickness
    return photograph(optical_density(h, e, hues), rng, lamp)
