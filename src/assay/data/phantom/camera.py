"""How a patch was stained and photographed: this varies from image to image, whatever it shows."""

from __future__ import annotations

import numpy as np

from assay.data.phantom.staining import EOSIN, HAEMATOXYLIN, photograph

GAINS = 0.4  # standard deviation of the logarithm of how strong each stain is
HUES = 0.08  # standard deviation of each stain's density in R, G, B
LIGHT = (195.0, 252.0)  # brightest and darkest lamp, in stored values
BALANCE = 0.03  # standard deviation of the camera's colour balance


def expose(rng: np.random.Generator, haematoxylin: np.ndarray, eosin: np.ndarray) -> np.ndarray:
    """uint8 RGB (size, size, 3) of how much of the two stains lies where (size, size)."""
    gain_h, gain_e = np.exp(GAINS * rng.standard_normal(2))
    hues = np.maximum(np.stack([HAEMATOXYLIN, EOSIN]) + HUES * rng.standard_normal((2, 3)), 0.02)
    light = rng.uniform(*LIGHT) * np.exp(BALANCE * rng.standard_normal(3))
    density = haematoxylin[..., None] * (gain_h * hues[0]) + eosin[..., None] * (gain_e * hues[1])
    return photograph(density, rng, light)
