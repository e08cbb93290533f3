"""From stains to light: optical densities and the camera."""

from __future__ import annotations

import numpy as np

HAEMATOXYLIN = np.array([0.65, 0.70, 0.29])  # optical density in R, G, B of a unit of stain
EOSIN = np.array([0.07, 0.99, 0.11])
LAMP = np.full(3, 250.0)  # stored values in R, G, B where nothing absorbs


def optical_density(haematoxylin: np.ndarray, eosin: np.ndarray, hues: np.ndarray) -> np.ndarray:
    """(size, size, 3) optical density in R, G, B of two stains (size, size), whose units have the densities `hues`
    (2, 3)."""
    density = np.empty((*haematoxylin.shape, 3))
    for channel, (of_haematoxylin, of_eosin) in enumerate(hues.T):  # many times as fast as broadcasting over 3
        density[..., channel] = haematoxylin * of_haematoxylin + eosin * of_eosin
    return density


def photograph(density: np.ndarray, rng: np.random.Generator, lamp: np.ndarray = LAMP) -> np.ndarray:
    """uint8 RGB (size, size, 3) of a lamp's light (3,) that passes an optical density, with a little sensor noise."""
    light = np.exp(-density)
    for channel, brightness in enumerate(lamp):
        light[..., channel] *= brightness
    light += 3.0 * rng.standard_normal(density.shape)
    return np.clip(np.rint(light), 0, 255).astype(np.uint8)
