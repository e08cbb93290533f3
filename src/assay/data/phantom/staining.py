"""From stains to light: optical densities and the camera."""

from __future__ import annotations

import numpy as np

HAEMATOXYLIN = np.array([0.65, 0.70, 0.29])  # optical density in R, G, B of a unit of stain
EOSIN = np.array([0.07, 0.99, 0.11])


def photograph(optical_density: np.ndarray, rng: np.random.Generator, light: float | np.ndarray = 250) -> np.ndarray:
    """uint8 RGB (size, size, 3) of the `light` that passes, with a little sensor noise."""
    passed = light * np.exp(-optical_density) + 3.0 * rng.standard_normal(optical_density.shape)
    return np.clip(np.rint(passed), 0, 255).astype(np.uint8)
