"""Procedural H&E tissue patches in PatchCamelyon's terms: is there tumour in the centre third?

An image is drawn in two steps. A *scene* (which nuclei, which texture, which stains) follows from (seed, split, id)
alone, in micrometres on a field of 96 µm; *rendering* samples it at any size. So patches of 32 and of 96 pixels
with the same id show the same tissue. The label only decides whether the scene's central tumour nuclei are there:
everything drawn outside the centre third follows the same law in both classes.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from assay.progress import track
from assay.study.images import ImagesSpec

LIBRARIES = ("pandas", "tifffile")
CHUNK = 256  # images drawn at a time

SPLITS = ("train", "validation", "selection", "test")
MIN_SIZE = 16

FIELD = 96.0  # side of a patch, µm
CENTRE = (FIELD / 3, 2 * FIELD / 3)  # the third that decides the label, µm, on both axes

HAEMATOXYLIN = np.array([0.65, 0.70, 0.29])  # optical density in R, G, B of a unit of stain
EOSIN = np.array([0.07, 0.99, 0.11])

EDGE = 2.0  # width of a nucleus's soft edge, µm, where pixels are smaller than that
CYTOPLASM = 5.0  # how far a tumour cell's body reaches beyond its nucleus, µm
CLEARANCE = FIELD / MIN_SIZE / 2  # half the softest edge: what keeps a distractor out of the centre third at any size
INSET = 2.0  # how far inside the centre third a deciding nucleus has its centre, µm

TISSUE_GRID = 32  # resolution at which a nucleus asks whether there is tissue under it

# How many knots a smooth random texture has across the field; 96 / knots is its grain in µm.
COARSE, MEDIUM, FINE = 6, 14, 40


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

    def __getitem__(self, which: np.ndarray | slice) -> "Nuclei":
        return Nuclei(*(getattr(self, name)[which] for name in _ARRAYS), hollow=self.hollow)

    def radius(self) -> np.ndarray:
        """Radius of the circle of the same area."""
        return np.sqrt(self.major * self.minor)

    def reach(self) -> np.ndarray:
        """Radius of a circle that holds the whole outline."""
        return self.major * (1 + np.abs(self.wobble).sum(axis=1))


_ARRAYS = ("x", "y", "major", "minor", "angle", "wobble", "stain")


@dataclass(frozen=True)
class Scene:
    """All that a patch shows, whatever its size in pixels."""

    tumour: Nuclei
    normal: Nuclei
    stains: np.ndarray  # (2,) gain of haematoxylin and of eosin
    openness: float  # texture level above which tissue gives way to white clefts
    fibre: np.ndarray  # (3,) wave numbers along x and y in radians/µm, and contrast
    coarse: np.ndarray  # texture knots
    medium: np.ndarray
    fine: np.ndarray
    clefts: np.ndarray


def generate(seed: int, split: str, ids: Sequence[int], size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return images, uint8 (n, size, size, 3), and labels, uint8 (n,), of the given image ids.

    A pure function of (seed, split, id, size) image by image: neither the order nor the company of the ids matters.
    Of ids 2k and 2k+1 one is positive (tumour in the centre third of the patch); which one, chance decides.
    """
    _check(split, ids, size)
    images = np.empty((len(ids), size, size, 3), np.uint8)
    labels = np.empty(len(ids), np.uint8)
    for i, image_id in enumerate(map(int, ids)):
        labels[i] = _label(seed, split, image_id)
        rng = _generator(seed, split, image_id)
        scene = _scene(rng, labels[i])
        images[i] = _photograph(_optical_density(scene, size), rng)
    return images, labels


def open_split(spec: ImagesSpec, index: None, folder: None, scratch: Path) -> tuple[pd.DataFrame, Iterator[np.ndarray]]:
    """Images 0..count-1 of a split: their ids, which name the split, with their labels, and the images in chunks."""
    numbers = range(spec.count)
    ids = [f"{spec.split}-{number:06d}" for number in numbers]
    labels = np.array([_label(spec.seed, spec.split, number) for number in numbers], np.uint8)
    starts = numbers[::CHUNK]
    chunks = (
        generate(spec.seed, spec.split, numbers[start : start + CHUNK], spec.images.size)[0]
        for start in track(starts, f"images {spec.split}", len(starts), unit="chunks")
    )
    return pd.DataFrame({"id": ids, "label": labels}), chunks


def _check(split: str, ids: Sequence[int], size: int) -> None:
    if size < MIN_SIZE:
        raise ValueError(f"size must be at least {MIN_SIZE} pixels, got {size}")
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
    if min(ids, default=0) < 0:
        raise ValueError(f"image ids must not be negative, got {min(ids)}")


# --- chance -----------------------------------------------------------------------------------------------------------


def _key(purpose: str, seed: int, split: str, number: int) -> int:
    """128 bits that follow from the arguments alone."""
    text = f"{purpose}/{seed}/{split}/{number}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "little")


def _generator(seed: int, split: str, image_id: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=_key("image", seed, split, image_id)))


def _label(seed: int, split: str, image_id: int) -> int:
    return (image_id ^ _key("label", seed, split, image_id // 2)) & 1


# --- the scene --------------------------------------------------------------------------------------------------------


def _scene(rng: np.random.Generator, label: int) -> Scene:
    clefts, openness = _knots(rng, COARSE), rng.uniform(0.9, 3.0)
    distractors = _distractors(rng)
    # Drawn for negatives too, then left out, so that the label changes nothing in what is drawn next.
    deciding = _deciding(rng)
    tumour = _join(deciding, distractors) if label else distractors
    normal = _normal_nuclei(rng)
    on_tissue = _at(_texture(clefts, TISSUE_GRID), normal) < openness
    normal = normal[_uncrowded(normal) & ~_too_close(normal, tumour).any(axis=1) & on_tissue]
    direction, wavelength = rng.uniform(0, np.pi), rng.uniform(7, 14)
    wave = 2 * np.pi / wavelength
    return Scene(
        tumour=tumour,
        normal=normal,
        stains=np.exp(rng.normal([0.0, -0.05], [0.2, 0.22])),
        openness=openness,
        fibre=np.array([wave * np.cos(direction), wave * np.sin(direction), rng.uniform(0, 0.35)]),
        coarse=_knots(rng, COARSE),
        medium=_knots(rng, MEDIUM),
        fine=_knots(rng, FINE),
        clefts=clefts,
    )


def _normal_nuclei(rng: np.random.Generator) -> Nuclei:
    """Small, round, dense; anywhere in the field, crowded in some patches and sparse in others."""
    n = rng.poisson(rng.uniform(10, 90))
    radius = rng.uniform(3.0, 4.6, n)
    stretch = np.sqrt(rng.uniform(1.0, 1.5, n))
    return Nuclei(
        *rng.uniform(-3, FIELD + 3, (2, n)),
        major=radius * stretch,
        minor=radius / stretch,
        angle=rng.uniform(0, np.pi, n),
        wobble=np.empty((n, 0)),
        stain=rng.uniform(0.7, 1.6, n),
        hollow=0.1,
    )


def _tumour_nuclei(rng: np.random.Generator, n: int, low: float, high: float) -> Nuclei:
    """Large, elongated, irregular, with a pale middle; centres between low and high on both axes."""
    radius = rng.uniform(6.8, 9.2, n)
    stretch = np.sqrt(rng.uniform(1.1, 1.7, n))
    return Nuclei(
        *rng.uniform(low, high, (2, n)),
        major=radius * stretch,
        minor=radius / stretch,
        angle=rng.uniform(0, np.pi, n),
        wobble=_wobble(rng, n, [0.05, 0.06, 0.04]),
        stain=rng.uniform(0.55, 1.0, n),
        hollow=0.35,
    )


def _deciding(rng: np.random.Generator) -> Nuclei:
    """One or two tumour nuclei with their centres in the centre third."""
    low, high = CENTRE
    nuclei = _tumour_nuclei(rng, int(rng.integers(1, 3)), low + INSET, high - INSET)
    return nuclei[_uncrowded(nuclei)]


def _distractors(rng: np.random.Generator) -> Nuclei:
    """None to six tumour nuclei, none of which touches the centre third."""
    wanted = rng.integers(0, 7)
    nuclei = _tumour_nuclei(rng, 20, -4, FIELD + 4)
    half = FIELD / 6
    gap = np.hypot(
        np.maximum(np.abs(nuclei.x - FIELD / 2) - half, 0), np.maximum(np.abs(nuclei.y - FIELD / 2) - half, 0)
    )
    nuclei = nuclei[gap > nuclei.reach() + CLEARANCE]
    return nuclei[_uncrowded(nuclei)][:wanted]


def _wobble(rng: np.random.Generator, n: int, amplitudes: Sequence[float]) -> np.ndarray:
    """Outline harmonics (n, len(amplitudes)) of bounded size and any phase."""
    phase = rng.uniform(0, 2 * np.pi, (n, len(amplitudes)))
    size = rng.uniform(0.3, 1.3, (n, len(amplitudes))) * amplitudes
    return size * np.exp(1j * phase)


def _join(a: Nuclei, b: Nuclei) -> Nuclei:
    return Nuclei(*(np.concatenate([getattr(a, name), getattr(b, name)]) for name in _ARRAYS), hollow=a.hollow)


def _too_close(a: Nuclei, b: Nuclei) -> np.ndarray:
    """(len(a), len(b)) bool: do two nuclei overlap by more than cells in a section do?"""
    room = 0.65 * (a.radius()[:, None] + b.radius())
    return (a.x[:, None] - b.x) ** 2 + (a.y[:, None] - b.y) ** 2 < room**2


def _uncrowded(nuclei: Nuclei) -> np.ndarray:
    """Which nuclei are clear of all nuclei before them (Matérn's second hard-core process); always the first."""
    order = np.arange(len(nuclei))
    return ~(_too_close(nuclei, nuclei) & (order[:, None] > order)).any(axis=1)


def _at(field: np.ndarray, nuclei: Nuclei) -> np.ndarray:
    """The value (n,) of a square map at each nucleus's centre, or at the edge next to it."""
    size = len(field)
    column, row = (np.clip(v * (size / FIELD), 0, size - 1).astype(int) for v in (nuclei.x, nuclei.y))
    return field[row, column]


# --- textures ---------------------------------------------------------------------------------------------------------


def _knots(rng: np.random.Generator, count: int) -> np.ndarray:
    """The random numbers behind a smooth texture with `count` grains across the field."""
    return rng.standard_normal((count + 3, count + 3))


def _texture(knots: np.ndarray, size: int) -> np.ndarray:
    """Smooth random field (size, size) of mean 0 and, before averaging over pixels, of variance 1."""
    basis = _spline_basis(size, len(knots) - 3)
    return basis @ knots @ basis.T


@lru_cache(maxsize=32)
def _spline_basis(size: int, count: int) -> np.ndarray:
    """(size, count + 3): cubic B-spline weights of each knot, averaged over each pixel's width."""
    samples = 8
    position = (np.arange(size * samples) + 0.5) * (count / (size * samples))
    distance = np.abs(position[:, None] - (np.arange(count + 3) - 1))
    weights = np.where(distance < 1, 2 / 3 - distance**2 + distance**3 / 2, np.clip(2 - distance, 0, None) ** 3 / 6)
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    return weights.reshape(size, samples, count + 3).mean(axis=1)


# --- rendering --------------------------------------------------------------------------------------------------------


def _optical_density(scene: Scene, size: int) -> np.ndarray:
    """(size, size, 3) optical density of the stained tissue."""
    coarse, medium, fine = (_texture(knots, size) for knots in (scene.coarse, scene.medium, scene.fine))
    tumour, cytoplasm = _draw_cells(scene.tumour, size)
    chromatin = np.clip(0.24 * fine, -0.5, 0.5)
    nuclei = np.maximum(_draw_nuclei(scene.normal, size) * (1 + 0.4 * chromatin), tumour * (1 + chromatin))
    tissue = np.maximum(_tissue(scene, medium, size), cytoplasm)

    eosin = 0.36 * (1 + 0.18 * coarse + 0.16 * medium + 0.12 * fine + _fibres(scene, coarse, size))
    eosin = np.maximum(eosin, 0.08) * (0.05 + 0.95 * tissue)
    haematoxylin = tissue * (0.16 + 0.05 * medium + 0.03 * fine + 0.12 * cytoplasm)
    haematoxylin = np.maximum(haematoxylin, 0) + nuclei
    gain_h, gain_e = scene.stains
    return haematoxylin[..., None] * (gain_h * HAEMATOXYLIN) + eosin[..., None] * (gain_e * EOSIN)


def _tissue(scene: Scene, medium: np.ndarray, size: int) -> np.ndarray:
    """(size, size) from 0 in a white cleft to 1 in tissue."""
    field = _texture(scene.clefts, size) + 0.12 * medium
    return np.clip((scene.openness + 0.4 - field) / 0.4, 0, 1)


def _fibres(scene: Scene, warp: np.ndarray, size: int) -> np.ndarray:
    """(size, size) wavy parallel bands of collagen, around 0."""
    kx, ky, contrast = scene.fibre
    centres = _pixel_centres(size)
    return contrast * np.sin(kx * centres + (ky * centres)[:, None] + 2.5 * warp)


def _pixel_centres(size: int) -> np.ndarray:
    return (np.arange(size) + 0.5) * (FIELD / size)


def _draw_nuclei(nuclei: Nuclei, size: int) -> np.ndarray:
    """(size, size) haematoxylin of the nuclei."""
    depth, row, column = _windows(nuclei, size, FIELD / size)
    return _paste(_stain(nuclei, depth, size), row, column, size)


def _draw_cells(nuclei: Nuclei, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Two maps (size, size): haematoxylin of the nuclei; cell bodies, 1 on the nuclei and fading to 0 around them."""
    depth, row, column = _windows(nuclei, size, CYTOPLASM)
    body = np.clip(1 + depth / CYTOPLASM, 0, 1)
    return _paste(_stain(nuclei, depth, size), row, column, size), _paste(body, row, column, size)


def _stain(nuclei: Nuclei, depth: np.ndarray, size: int) -> np.ndarray:
    """Haematoxylin at each depth (n, k, k): an antialiased edge, densest at the rim."""
    coverage = np.clip(0.5 + depth / max(FIELD / size, EDGE), 0, 1)
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
    return _depth(nuclei, dx[:, None, :], dy[:, :, None]), row, column


def _depth(nuclei: Nuclei, dx: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """How far, in µm along the ray from its centre, each point lies inside a nucleus's outline; negative outside."""
    angle, major, minor = (v[:, None, None] for v in (nuclei.angle, nuclei.major, nuclei.minor))
    cos, sin = np.cos(angle), np.sin(angle)
    u = dx * (cos / major) + dy * (sin / major)
    v = dy * (cos / minor) - dx * (sin / minor)
    scaled = np.sqrt(u * u + v * v) + 1e-9
    return (_outline(nuclei.wobble, u / scaled, v / scaled) / scaled - 1) * np.sqrt(dx * dx + dy * dy)


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


def _photograph(optical_density: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """uint8 RGB of the light that passes, with a little sensor noise."""
    light = 250 * np.exp(-optical_density) + 3.0 * rng.standard_normal(optical_density.shape)
    return np.clip(np.rint(light), 0, 255).astype(np.uint8)
