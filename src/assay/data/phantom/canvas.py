"""What the kinds of tissue are drawn with: a canvas of pixels, and nuclei scattered, in rows and in rings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from assay.data.phantom.field import FIELD, edge_width, pixel_centres
from assay.data.phantom.nuclei import Nuclei, draw_nuclei, draw_wobble
from assay.data.phantom.textures import texture, value_at

Stains = tuple[np.ndarray, np.ndarray]  # haematoxylin and eosin, each (size, size), in units of stain
GRID = 32  # resolution at which nuclei ask what lies under them, whatever the size
KNOTS = 97  # strands, after which they come again in the same order


@dataclass(frozen=True)
class Canvas:
    """The pixels of an image: x (1, size) and y (size, 1) are their middles in µm."""

    size: int
    x: np.ndarray
    y: np.ndarray
    edge: float  # width of a soft edge, µm

    def texture(self, knots: np.ndarray) -> np.ndarray:
        """The smooth random field of these knots (size, size)."""
        return texture(knots, self.size)

    def covered(self, depth: np.ndarray) -> np.ndarray:
        """How much of each pixel is covered by what it lies so deep in (µm, negative outside): 0 to 1."""
        return np.clip(0.5 + depth / self.edge, 0, 1)

    def line(self, distance: np.ndarray, half: float | np.ndarray) -> np.ndarray:
        """How much of each pixel a line covers that is 2·half wide and passes at this distance (µm): 0 to 1."""
        reach = self.edge / 2
        inside = np.minimum(distance + reach, half) - np.maximum(distance - reach, -half)
        return np.clip(inside / self.edge, 0, 1)

    def nuclei(self, nuclei: Nuclei) -> np.ndarray:
        """Haematoxylin of nuclei (size, size); those that lie out of sight are left out."""
        reach = nuclei.reach()
        seen = [(v > -reach) & (v < FIELD + reach) for v in (nuclei.x, nuclei.y)]
        return draw_nuclei(nuclei[seen[0] & seen[1]], self.size)

    def strands(self, across: np.ndarray, knots: np.ndarray, grain: float) -> np.ndarray:
        """Strands `grain` µm wide that lie beside each other, of strengths `knots` (n,): what a pixel sees (size, size)
        that lies so far across them (µm, size by size)."""
        place = across / grain
        first = np.floor(place)
        share = place - first
        share *= share * (3 - 2 * share)
        before = first.astype(int) % len(knots)
        return knots[before] * (1 - share) + knots[before + 1 - len(knots)] * share

    def nearest(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How far each pixel is from the nearest of n points (2, n) and from the next, µm, each (size, size)."""
        first = second = np.full((self.size, self.size), np.inf)
        for x, y in points.T.tolist():
            square = (self.x - x) ** 2 + (self.y - y) ** 2
            second = np.minimum(second, np.maximum(first, square))
            first = np.minimum(first, square)
        return np.sqrt(first), np.sqrt(second)


@lru_cache(maxsize=8)
def canvas_of(size: int) -> Canvas:
    """The canvas of a size in pixels."""
    centres = pixel_centres(size)
    return Canvas(size, centres[None, :], centres[:, None], edge_width(size))


def spread(rng: np.random.Generator, n: int) -> np.ndarray:
    """n points anywhere in the field or just outside it, µm (2, n)."""
    return rng.uniform(-4, FIELD + 4, (2, n))


def lattice(rng: np.random.Generator, spacing: float, jitter: float, margin: float) -> np.ndarray:
    """Points of a turned and shifted triangular lattice, each moved by about `jitter`, that lie in the field or within
    `margin` of it, all in µm: (2, n) in any order of rows."""
    angle, shift = rng.uniform(0, np.pi / 3), rng.uniform(0, spacing, (2, 1))
    half = int((FIELD / 2 + margin) * 1.5 / (spacing * 0.866)) + 1
    steps = np.arange(-half, half + 1)
    row, column = (v.ravel() for v in np.meshgrid(steps, steps, indexing="ij"))
    along, across = (column + 0.5 * (row % 2)) * spacing, row * (0.866 * spacing)
    cos, sin = np.cos(angle), np.sin(angle)
    points = np.stack([cos * along - sin * across, sin * along + cos * across]) + FIELD / 2 + shift
    near = (np.abs(points - FIELD / 2) < FIELD / 2 + margin).all(axis=0)
    points = points[:, near]
    return points + jitter * rng.standard_normal(points.shape)


def shaped(
    rng: np.random.Generator,
    points: np.ndarray,
    radius: tuple[float, float],
    stretch: tuple[float, float],
    stain: tuple[float, float],
    angle: np.ndarray | None = None,
    wobble: float = 0.0,
    hollow: float = 0.1,
) -> Nuclei:
    """Nuclei at points (2, n), of radii, ratios of their axes and stain between these bounds, turned by an angle in
    radians (any, if none is given), their outlines moved by about the share `wobble` of their radii."""
    n = points.shape[1]
    middle, ratio = rng.uniform(*radius, n), np.sqrt(rng.uniform(*stretch, n))
    return Nuclei(
        *points,
        major=middle * ratio,
        minor=middle / ratio,
        angle=rng.uniform(0, np.pi, n) if angle is None else angle,
        wobble=draw_wobble(rng, n, [wobble, wobble]) if wobble else np.empty((n, 0)),
        stain=rng.uniform(*stain, n),
        hollow=hollow,
    )


def along(phase: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The directions in radians (n,) of fibres at points (2, n): those along which their phase (GRID, GRID) is one."""
    down, right = np.gradient(phase)
    return np.arctan2(value_at(down, *points), value_at(right, *points)) + np.pi / 2
