"""Tumour epithelium: crowded, large, irregular nuclei, around gland lumens of no regular shape."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from assay.data.phantom.canvas import GRID, Canvas, Stains, lattice, shaped, spread
from assay.data.phantom.field import FIELD
from assay.data.phantom.nuclei import Nuclei, deepest
from assay.data.phantom.textures import COARSE, FINE, MEDIUM, draw_knots, texture, value_at

CLEAR, AROUND = 3.5, 10.0  # how near a lumen nuclei have their centres; within what distance they turn to it, µm


def draw(rng: np.random.Generator, canvas: Canvas) -> Stains:
    """Haematoxylin and eosin of tumour epithelium, with stroma or gland lumens between."""
    coarse, level = draw_knots(rng, COARSE), rng.uniform(1.0, 2.6)  # there is stroma where the texture is above it
    nest = canvas.covered(6 * (level - canvas.texture(coarse)))
    places = rng.uniform(0, FIELD, (2, rng.integers(0, 4)))
    lumens = shaped(rng, places, (4, 11), (1.1, 2.6), (1, 1), wobble=0.18)
    lumen = canvas.covered(deepest(lumens, canvas.x, canvas.y))
    crowd = crowded(rng)
    depth = deepest(lumens, crowd.x[None], crowd.y[None])[0]
    crowd = replace(crowd, angle=np.where(depth > -AROUND, _outwards(lumens, crowd), crowd.angle))
    crowd = crowd[(depth < -CLEAR) & (value_at(texture(coarse, GRID), crowd.x, crowd.y) < level)]
    haematoxylin, eosin = cells(rng, canvas, crowd)
    spindles = canvas.nuclei(shaped(rng, spread(rng, 8), (2.2, 3.2), (2, 5), (0.6, 1.2))) * (1 - nest)
    haematoxylin = np.maximum(haematoxylin * (0.4 + 0.6 * nest), spindles)
    return haematoxylin * (1 - lumen), (eosin + 0.1 * (1 - nest)) * (1 - 0.92 * lumen)


def _outwards(lumens: Nuclei, crowd: Nuclei) -> np.ndarray:
    """The direction in radians (n,) in which each nucleus sees the middle of the nearest lumen; 0 if there is none."""
    if not len(lumens):
        return np.zeros(len(crowd))
    dx, dy = crowd.x - lumens.x[:, None], crowd.y - lumens.y[:, None]
    nearest = np.argmin(dx * dx + dy * dy, axis=0), np.arange(len(crowd))
    return np.arctan2(dy[nearest], dx[nearest])


def crowded(
    rng: np.random.Generator, radius: tuple[float, float] = (3.8, 6.4), stain: tuple[float, float] = (0.55, 1.1)
) -> Nuclei:
    """Nuclei of all sizes, against each other, over the whole field; radii (µm) and stain between these bounds."""
    spacing = rng.uniform(10.0, 13.5)
    points = lattice(rng, spacing, 0.2 * spacing, 6)
    return shaped(rng, points, radius, (1.1, 2.0), stain, wobble=0.07, hollow=0.4)


def cells(rng: np.random.Generator, canvas: Canvas, crowd: Nuclei) -> Stains:
    """Haematoxylin and eosin of a sheet of tumour cells with these nuclei."""
    grain, chromatin = canvas.texture(draw_knots(rng, MEDIUM)), canvas.texture(draw_knots(rng, FINE))
    tone = 1 + 0.15 * grain + 0.1 * chromatin
    nuclei = canvas.nuclei(crowd) * (1 + np.clip(0.2 * chromatin, -0.4, 0.4))
    cytoplasm, eosin = rng.uniform(0.12, 0.24) * tone, rng.uniform(0.25, 0.42) * tone
    return np.maximum(cytoplasm, nuclei), np.maximum(eosin, 0.02)
