"""Tumour epithelium: crowded, large, irregular nuclei, around gland lumens of no regular shape."""

from __future__ import annotations

import numpy as np

from assay.data.phantom.canvas import GRID, Canvas, Stains, lattice, shaped, spread
from assay.data.phantom.nuclei import Nuclei, deepest
from assay.data.phantom.textures import COARSE, FINE, MEDIUM, draw_knots, texture, value_at


def draw(rng: np.random.Generator, canvas: Canvas) -> Stains:
    """Haematoxylin and eosin of tumour epithelium."""
    coarse, medium, fine = (draw_knots(rng, grain) for grain in (COARSE, MEDIUM, FINE))
    level = rng.uniform(1.0, 2.6)  # of the coarse texture, above which there is stroma
    nest = canvas.covered(6 * (level - canvas.texture(coarse)))
    glands = _lumens(rng)
    lumen = canvas.covered(deepest(glands, canvas.x, canvas.y))
    crowd = _crowd(rng)
    clear = deepest(glands, crowd.x[None], crowd.y[None])[0] < -3
    crowd = crowd[clear & (value_at(texture(coarse, GRID), crowd.x, crowd.y) < level)]
    grain, chromatin = canvas.texture(medium), canvas.texture(fine)
    nuclei = canvas.nuclei(crowd) * (1 + np.clip(0.2 * chromatin, -0.4, 0.4))
    spindles = canvas.nuclei(shaped(rng, spread(rng, 8), (2.2, 3.2), (2, 5), (0.6, 1.2))) * (1 - nest)
    cytoplasm = nest * rng.uniform(0.12, 0.24) * (1 + 0.15 * grain + 0.1 * chromatin)
    eosin = (rng.uniform(0.25, 0.42) * nest + 0.4 * (1 - nest)) * (1 + 0.15 * grain + 0.12 * chromatin)
    haematoxylin = np.maximum(np.maximum(cytoplasm, nuclei), spindles)
    return haematoxylin * (1 - lumen), np.maximum(eosin, 0.02) * (1 - 0.92 * lumen)


def _lumens(rng: np.random.Generator) -> Nuclei:
    """None to three ragged holes."""
    return shaped(rng, spread(rng, rng.integers(0, 4)), (5, 13), (1.1, 2.6), (1, 1), wobble=0.16)


def _crowd(rng: np.random.Generator) -> Nuclei:
    """Nuclei of all sizes, against each other."""
    spacing = rng.uniform(10.0, 13.5)
    points = lattice(rng, spacing, 0.2 * spacing, 6)
    return shaped(rng, points, (3.8, 6.4), (1.1, 2.0), (0.55, 1.1), wobble=0.07, hollow=0.4)
