"""Smooth muscle: parallel wavy bundles with long thin nuclei that lie along them."""

from __future__ import annotations

import numpy as np

from assay.data.phantom.canvas import GRID, Canvas, Stains, along, canvas, shaped, spread
from assay.data.phantom.textures import COARSE, FINE, MEDIUM, draw_knots


def draw(rng: np.random.Generator, paper: Canvas) -> Stains:
    """Haematoxylin and eosin of smooth muscle."""
    bend, medium, fine = (draw_knots(rng, grain) for grain in (COARSE - 3, MEDIUM, FINE))
    turn, wave, phase = rng.uniform(0, np.pi), rng.uniform(0.05, 0.12), rng.uniform(0, 2 * np.pi)
    amplitude, warp = rng.uniform(1, 4), rng.uniform(1, 3.5)

    def across(grid: Canvas) -> np.ndarray:
        """Across the bundles, µm."""
        u = grid.y * np.cos(turn) - grid.x * np.sin(turn)
        return (
            grid.x * np.cos(turn)
            + grid.y * np.sin(turn)
            + amplitude * np.sin(wave * u + phase)
            + warp * grid.texture(bend)
        )

    v = across(paper)
    bundle, fibril = rng.uniform(14, 26), rng.uniform(4.5, 7.5)
    grain = paper.texture(medium)
    from_cleft = np.abs((v / bundle + 0.25 * grain * 0.5) % 1 - 0.5) * bundle
    cleft = paper.line(from_cleft, rng.uniform(0.3, 1.2)) * rng.uniform(0.3, 0.9)
    tone = 1 + 0.22 * np.sin(2 * np.pi / fibril * v + 0.8 * grain) + 0.1 * grain + 0.1 * paper.texture(fine)
    eosin = rng.uniform(0.3, 0.5) * tone * (1 - cleft)
    points = spread(rng, rng.integers(14, 38))
    angle = along(across(canvas(GRID)), points) + rng.normal(0, 0.07, points.shape[1])
    nuclei = paper.nuclei(shaped(rng, points, (2.6, 3.8), (4, 9), (0.5, 1.2), angle, hollow=0.2))
    return np.maximum(0.1 * tone * (1 - cleft), nuclei), eosin
