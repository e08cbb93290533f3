"""Smooth muscle: parallel wavy bundles with long thin nuclei that lie along them."""

from __future__ import annotations

import numpy as np

from assay.data.phantom.canvas import GRID, KNOTS, Canvas, Stains, along, canvas_of, shaped, spread
from assay.data.phantom.textures import COARSE, FINE, MEDIUM, draw_knots


def draw(rng: np.random.Generator, canvas: Canvas) -> Stains:
    """Haematoxylin and eosin of smooth muscle."""
    bend, medium, fine = (draw_knots(rng, grain) for grain in (COARSE - 3, MEDIUM, FINE))
    turn, wave, phase = rng.uniform(0, np.pi), rng.uniform(0.05, 0.13), rng.uniform(0, 2 * np.pi)
    amplitude, warp = rng.uniform(1, 4), rng.uniform(1, 4)

    def across(grid: Canvas) -> np.ndarray:
        """Across the bundles, µm."""
        u = grid.y * np.cos(turn) - grid.x * np.sin(turn)
        straight = grid.x * np.cos(turn) + grid.y * np.sin(turn)
        return straight + amplitude * np.sin(wave * u + phase) + warp * grid.texture(bend)

    grain = canvas.texture(medium)
    v = across(canvas) + 0.4 * grain
    bundle = rng.uniform(15, 28)
    from_cleft = np.abs((v / bundle + 0.06 * grain) % 1 - 0.5) * bundle
    cleft = canvas.line(from_cleft, rng.uniform(0.4, 1.3)) * rng.uniform(0.3, 0.9)
    fibrils = canvas.strands(v, rng.standard_normal(KNOTS), rng.uniform(2.2, 3.2))
    tone = (1 + 0.17 * fibrils + 0.1 * grain + 0.08 * canvas.texture(fine)) * (1 - cleft)
    points = spread(rng, rng.integers(12, 36))
    angle = along(across(canvas_of(GRID)), points) + rng.normal(0, 0.07, points.shape[1])
    nuclei = canvas.nuclei(shaped(rng, points, (2.5, 3.6), (4, 9), (0.5, 1.2), angle, hollow=0.2))
    return np.maximum(0.1 * tone, nuclei), rng.uniform(0.3, 0.5) * tone
