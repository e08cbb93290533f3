"""Stroma: loose, wavy collagen in strands that cross, with gaps and sparse spindle-shaped nuclei."""

from __future__ import annotations

import numpy as np

from assay.data.phantom.canvas import GRID, KNOTS, Canvas, Stains, along, canvas_of, shaped, spread
from assay.data.phantom.textures import COARSE, FINE, MEDIUM, draw_knots


def draw(rng: np.random.Generator, canvas: Canvas) -> Stains:
    """Haematoxylin and eosin of stroma."""
    bend, other, medium, fine = (draw_knots(rng, grain) for grain in (COARSE, COARSE, MEDIUM, FINE))
    turn, cross, warp = rng.uniform(0, np.pi), rng.uniform(0.4, 1.1), rng.uniform(4.5, 8)

    def across(grid: Canvas, angle: float, knots: np.ndarray) -> np.ndarray:
        """Across the strands that run in a direction, µm."""
        return grid.x * np.cos(angle) + grid.y * np.sin(angle) + warp * grid.texture(knots)

    grain = canvas.texture(medium)
    one = canvas.strands(across(canvas, turn, bend) + grain, rng.standard_normal(KNOTS), rng.uniform(4, 6))
    two = canvas.strands(across(canvas, turn + cross, other) + grain, rng.standard_normal(KNOTS), rng.uniform(3.5, 5))
    collagen = np.maximum(one, two - 0.2) + 0.4 * grain + 0.12 * canvas.texture(fine) + rng.uniform(0.1, 0.9)
    collagen = np.clip(0.65 * collagen, 0.05, 1.3)
    points = spread(rng, rng.integers(5, 22))
    angle = along(across(canvas_of(GRID), turn, bend), points) + rng.normal(0, 0.3, points.shape[1])
    spindles = canvas.nuclei(shaped(rng, points, (2.2, 3.2), (2.5, 6), (0.6, 1.3), angle))
    return np.maximum(0.1 * collagen, spindles), rng.uniform(0.35, 0.6) * collagen
