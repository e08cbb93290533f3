"""Nuclei: ellipses with a wobbly outline, their places, and how they are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from assay.data.phantom.field import FIELD, edge_width


@dataclass(frozen=True)
class Nuclei:
    """n nuclei: ellipses with a wobbly outline. Lengths in µm, arrays of shape (n,) unless said otherwise."""

    x: np.ndarray
    y: np.ndarray
    major: np.ndarray  # semi-axes
    minor: np.ndarray
    angle: np.ndarray
    wobble: np.ndarray  # (n, harmonics) complex, relative to the radius; harmonics 2, 3, …
    stain: np.ndarray  # haematoxylin at the rim
    hollow: float  # share of the stain missing in the middle

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, which: np.ndarray | slice) -> Nuclei:
        return Nuclei(*(getattr(self, name)[which] for name in _ARRAYS), hollow=self.hollow)

    def radius(self) -> np.ndarray:
        """Radius of the circle of the same area."""
        return np.sqrt(self.major * self.minor)

    def reach(self) -> np.ndarray:
        """Radius of a circle that holds the whole outline."""
        return self.major * (1 + np.abs(self.wobble).sum(axis=1))


_ARRAYS = ("x", "y", "major", "minor", "angle", "wobble", "stain")


def draw_wobble(rng: np.random.Generator, n: int, amplitudes: Sequence[float]) -> np.ndarray:
    """Outline harmonics (n, len(amplitudes)) of bounded size and any phase."""
    phase = rng.uniform(0, 2 * np.pi, (n, len(amplitudes)))
    size = rng.uniform(0.3, 1.3, (n, len(amplitudes))) * amplitudes
    return size * np.exp(1j * phase)


def join(a: Nuclei, b: Nuclei) -> Nuclei:
    """All nuclei of both, as hollow as those of `a`."""
    return Nuclei(*(np.concatenate([getattr(a, name), getattr(b, name)]) for name in _ARRAYS), hollow=a.hollow)


def too_close(a: Nuclei, b: Nuclei) -> np.ndarray:
    """(len(a), len(b)) bool: do two nuclei overlap by more than cells in a section do?"""
    room = 0.65 * (a.radius()[:, None] + b.radius())
    return (a.x[:, None] - b.x) ** 2 + (a.y[:, None] - b.y) ** 2 < room**2


def uncrowded(nuclei: Nuclei) -> np.ndarray:
    """Which nuclei are clear of all nuclei before them (Matérn's second hard-core process); always the first."""
    order = np.arange(len(nuclei))
    return ~(too_close(nuclei, nuclei) & (order[:, None] > order)).any(axis=1)


def draw_nuclei(nuclei: Nuclei, size: int) -> np.ndarray:
    """(size, size) haematoxylin of the nuclei."""
    depth, row, column = _windows(nuclei, size, FIELD / size)
    return _paste(_stain(nuclei, depth, size), row, column, size)


def draw_cells(nuclei: Nuclei, size: int, cytoplasm: float) -> tuple[np.ndarray, np.ndarray]:
    """Two maps (size, size): haematoxylin of the nuclei; cell bodies, 1 on the nuclei and fading to 0 over the
    `cytoplasm` (µm) around them."""
    depth, row, column = _windows(nuclei, size, cytoplasm)
    body = np.clip(1 + depth / cytoplasm, 0, 1)
    return _paste(_stain(nuclei, depth, size), row, column, size), _paste(body, row, column, size)


def depth_inside(nuclei: Nuclei, dx: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """How far each point lies inside a nucleus's outline; negative outside.

    In µm along the ray from the nucleus's centre, (n, k, k), for points given from there, (n, 1, k) and (n, k, 1).
    """
    angle, major, minor = (v[:, None, None] for v in (nuclei.angle, nuclei.major, nuclei.minor))
    cos, sin = np.cos(angle), np.sin(angle)
    u = dx * (cos / major) + dy * (sin / major)
    v = dy * (cos / minor) - dx * (sin / minor)
    scaled = np.sqrt(u * u + v * v) + 1e-9
    return (_outline(nuclei.wobble, u / scaled, v / scaled) / scaled - 1) * np.sqrt(dx * dx + dy * dy)


def deepest(nuclei: Nuclei, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """How far inside the nucleus that it is deepest in each point (x (1, k), y (k, 1) or (1, k)) lies, µm (k, k) or
    (1, k); far outside if there is no nucleus."""
    depth = depth_inside(nuclei, x - nuclei.x[:, None, None], y - nuclei.y[:, None, None])
    return depth.max(axis=0, initial=-FIELD)


def _stain(nuclei: Nuclei, depth: np.ndarray, size: int) -> np.ndarray:
    """Haematoxylin at each depth (n, k, k): an antialiased edge, densest at the rim."""
    coverage = np.clip(0.5 + depth / edge_width(size), 0, 1)
    return coverage * (1 - nuclei.hollow * np.clip(depth / 4, 0, 1)) * nuclei.stain[:, None, None]


def _windows(nuclei: Nuclei, size: int, beyond: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Depths (n, k, k) in a square of pixels around each nucleus that goes `beyond` its outline (µm), and the rows
    and columns (n,) of the pixels in the middle of the squares."""
    pixel = FIELD / size
    half = int((nuclei.reach().max(initial=0) + beyond) / pixel) + 1
    row, column = (np.floor(v / pixel).astype(int) for v in (nuclei.y, nuclei.x))
    steps = np.arange(-half, half + 1) + 0.5
    dx = (column[:, None] + steps) * pixel - nuclei.x[:, None]
    dy = (row[:, None] + steps) * pixel - nuclei.y[:, None]
    return depth_inside(nuclei, dx[:, None, :], dy[:, :, None]), row, column


def _outline(wobble: np.ndarray, cos: np.ndarray, sin: np.ndarray) -> np.ndarray | float:
    """Where the outline crosses the rays of the given directions (n, k, k); 1 is the bare ellipse."""
    if not wobble.shape[1]:
        return 1.0
    ray = cos + 1j * sin
    power, outline = ray, 1.0
    for harmonic in wobble.T:
        power = power * ray
        outline = outline + (harmonic[:, None, None] * power).real
    return outline


def _paste(windows: np.ndarray, row: np.ndarray, column: np.ndarray, size: int) -> np.ndarray:
    """(size, size) maximum of all windows (n, k, k), each with its middle at its row and column."""
    width = windows.shape[1]
    margin = width  # a nucleus's centre may lie outside the patch, by less than half a window
    canvas = np.zeros((size + 2 * margin, size + 2 * margin))
    top, left = (row - width // 2 + margin).tolist(), (column - width // 2 + margin).tolist()
    for window, i, j in zip(windows, top, left, strict=True):
        target = canvas[i : i + width, j : j + width]
        np.maximum(target, window, out=target)
    return canvas[margin:-margin, margin:-margin]
