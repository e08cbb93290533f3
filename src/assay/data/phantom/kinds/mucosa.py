"""Normal mucosa: round, regular crypts; each has its nuclei at the base, goblets of mucin and an open lumen."""

from __future__ import annotations

import numpy as np

from assay.data.phantom.canvas import Canvas, Stains, lattice, shaped, spread
from assay.data.phantom.nuclei import Nuclei, depth_inside
from assay.data.phantom.textures import COARSE, FINE, MEDIUM, draw_knots

BASE = 4.2  # how far inside a crypt's outline its nuclei have their centres, µm


def draw(rng: np.random.Generator, canvas: Canvas) -> Stains:
    """Haematoxylin and eosin of normal mucosa."""
    coarse, medium, fine = (canvas.texture(draw_knots(rng, grain)) for grain in (COARSE, MEDIUM, FINE))
    crypts = _crypts(rng)
    depth = depth_inside(crypts, canvas.x - crypts.x[:, None, None], canvas.y - crypts.y[:, None, None])
    inside = canvas.covered(depth.max(axis=0))
    lumen = canvas.covered((depth - crypts.minor[:, None, None] * rng.uniform(0.72, 0.86)).max(axis=0))
    goblets = canvas.nuclei(_goblets(rng, crypts))
    pale = np.maximum(goblets, lumen)
    between = rng.uniform(0.3, 0.5) * (1 + 0.2 * coarse + 0.2 * medium + 0.1 * fine)
    body = rng.uniform(0.25, 0.4) * (1 + 0.1 * medium + 0.08 * fine)
    eosin = (between * (1 - inside) + body * inside) * (1 - 0.85 * pale)
    haematoxylin = (0.1 + 0.1 * inside + 0.03 * medium) * (1 - 0.8 * pale)
    stroma = spread(rng, rng.integers(15, 45))
    cells = canvas.nuclei(shaped(rng, stroma, (2.4, 3.4), (1, 3), (0.6, 1.3))) * (1 - inside)
    nuclei = np.maximum(canvas.nuclei(_basal(rng, crypts)), cells) * (1 + 0.1 * fine)
    return np.maximum(haematoxylin, nuclei), np.maximum(eosin, 0.02)


def _crypts(rng: np.random.Generator) -> Nuclei:
    """Their outlines, nearly round, in a nearly regular pattern."""
    spacing = rng.uniform(42, 60)
    points = lattice(rng, spacing, 0.05 * spacing, 0.4 * spacing)
    radius = spacing * rng.uniform(0.38, 0.44)
    return shaped(rng, points, (0.93 * radius, 1.05 * radius), (1.0, 1.4), (1, 1))


def _around(crypts: Nuclei, inset: float, gap: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points (2, n) on the crypts' outlines drawn in by `inset`, one every `gap` µm; the direction outwards (n,); the
    number of the crypt (n,)."""
    count = np.maximum((2 * np.pi * (crypts.radius() - inset) / gap).astype(int), 3)
    crypt = np.repeat(np.arange(len(crypts)), count)
    place = (np.arange(len(crypt)) - np.repeat(np.cumsum(count) - count, count)) / count[crypt] * 2 * np.pi
    major, minor, turn = crypts.major[crypt] - inset, crypts.minor[crypt] - inset, crypts.angle[crypt]
    u, v = major * np.cos(place), minor * np.sin(place)
    points = np.stack([u * np.cos(turn) - v * np.sin(turn), u * np.sin(turn) + v * np.cos(turn)])
    outwards = np.arctan2(np.sin(place) * major, np.cos(place) * minor) + turn
    return points + np.stack([crypts.x[crypt], crypts.y[crypt]]), outwards, crypt


def _basal(rng: np.random.Generator, crypts: Nuclei) -> Nuclei:
    """The nuclei of the crypts' cells: a palisade."""
    points, outwards, _ = _around(crypts, BASE, rng.uniform(5.2, 6.5))
    points = points + 0.5 * rng.standard_normal(points.shape)
    return shaped(rng, points, (2.3, 2.9), (1.3, 2.2), (0.6, 1.2), outwards + rng.normal(0, 0.15, len(outwards)))


def _goblets(rng: np.random.Generator, crypts: Nuclei) -> Nuclei:
    """Drops of mucin between the nuclei and the lumen."""
    points, outwards, crypt = _around(crypts, 2.4 * BASE, rng.uniform(7, 9))
    there = rng.random(len(crypt)) < rng.uniform(0.4, 0.95)
    points = (points + 0.6 * rng.standard_normal(points.shape))[:, there]
    return shaped(rng, points, (2.6, 3.6), (1, 1.4), (0.6, 1.0), outwards[there], hollow=0.0)
