"""Stroma: loose, wavy collagen in strands that cross, with gaps and sparse spindle-shaped nuclei."""

from __future__ import annotations

import numpy as np

from assay.data.phantom.canvas import GRID, Canvas, Stains, along, canvas, shaped, spread
from assay.data.phantom.textures import COARSE, FINE, MEDIUM, draw_knots


def draw(rng: np.random.Generator, paper: Canvas) -> Stains:
    """Haematoxylin and eosin of stroma."""
    bend, other, medium, fine = (draw_knots(rng, grain) for grain in (COARSE, COARSE, MEDIUM, FINE))
    turn, cross = rng.uniform(0, np.pi), rng.uniform(0.4, 1.2)
    warp = rng.uniform(4, 7)

    def across(grid: Canvas, angle: float, knots: np.ndarray) -> np.ndarray:
        """Across the strands that run in a direction, µm."""
        return grid.x * np.cos(angle) + grid.y * np.sin(angle) + warp * grid.texture(knots)

    grain = paper.texture(medium)
    wide, narrow = rng.uniform(9, 16), rng.uniform(6, 11)
    one = np.sin(2 * np.pi / wide * across(paper, turn, bend) + 0.7 * grain)
    two = np.sin(2 * np.pi / narrow * across(paper, turn + cross, other) + 0.7 * grain)
    strands = np.maximum(one, two - 0.3) + 0.35 * grain + 0.15 * paper.texture(fine)
    loose = rng.uniform(0.1, 0.5)
    collagen = np.clip((strands + 0.9 - loose) * 0.7, 0.06, 1.5)
    points = spread(rng, rng.integers(6, 24))
    angle = along(across(canvas(GRID), turn, bend), points) + rng.normal(0, 0.35, points.shape[1])
    spindles = paper.nuclei(shaped(rng, points, (2.3, 3.3), (2.5, 6), (0.6, 1.3), angle))
    return np.maximum(0.1 * collagen, spindles), rng.uniform(0.35, 0.55) * collagen
