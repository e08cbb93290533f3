"""Patches in PatchCamelyon's terms: is there tumour in the centre third?

The label only decides whether the scene's central tumour nuclei are there: everything drawn outside the centre third
follows the same law in both classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from assay.data.phantom.chance import generator, key
from assay.data.phantom.field import FIELD, pixel_centres
from assay.data.phantom.nuclei import Nuclei, draw_cells, draw_nuclei, draw_wobble, join, too_close, uncrowded
from assay.data.phantom.staining import EOSIN, HAEMATOXYLIN, optical_density, photograph
from assay.data.phantom.task import LIBRARIES, Task
from assay.data.phantom.textures import COARSE, FINE, MEDIUM, draw_knots, texture, value_at

__all__ = ["LIBRARIES", "generate", "open_split"]

MIN_SIZE = 16
CENTRE = (FIELD / 3, 2 * FIELD / 3)  # the third that decides the label, µm, on both axes
CYTOPLASM = 5.0  # how far a tumour cell's body reaches beyond its nucleus, µm
CLEARANCE = FIELD / MIN_SIZE / 2  # half the softest edge: what keeps a distractor out of the centre third at any size
INSET = 2.0  # how far inside the centre third a deciding nucleus has its centre, µm
TISSUE_GRID = 32  # resolution at which a nucleus asks whether there is tissue under it


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


def label_of(seed: int, split: str, image_id: int) -> int:
    """1 for tumour: of ids 2k and 2k+1 one is positive; which one, chance decides."""
    return (image_id ^ key("label", seed, split, image_id // 2)) & 1


def draw(seed: int, split: str, image_id: int, size: int) -> np.ndarray:
    """The image, uint8 (size, size, 3)."""
    rng = generator("image", seed, split, image_id)
    scene = draw_scene(rng, label_of(seed, split, image_id))
    return photograph(_develop(scene, size), rng)


TASK = Task(label_of, draw, MIN_SIZE)
generate, open_split = TASK.generate, TASK.open_split


# --- the scene --------------------------------------------------------------------------------------------------------


def draw_scene(rng: np.random.Generator, label: int) -> Scene:
    """A scene with tumour in its centre third or, for label 0, the same without."""
    clefts, openness = draw_knots(rng, COARSE), rng.uniform(0.9, 3.0)
    distractors = _distractors(rng)
    # Drawn for negatives too, then left out, so that the label changes nothing in what is drawn next.
    deciding = _deciding(rng)
    tumour = join(deciding, distractors) if label else distractors
    normal = _normal_nuclei(rng)
    on_tissue = value_at(texture(clefts, TISSUE_GRID), normal.x, normal.y) < openness
    normal = normal[uncrowded(normal) & ~too_close(normal, tumour).any(axis=1) & on_tissue]
    direction, wavelength = rng.uniform(0, np.pi), rng.uniform(7, 14)
    wave = 2 * np.pi / wavelength
    return Scene(
        tumour=tumour,
        normal=normal,
        stains=np.exp(rng.normal([0.0, -0.05], [0.2, 0.22])),
        openness=openness,
        fibre=np.array([wave * np.cos(direction), wave * np.sin(direction), rng.uniform(0, 0.35)]),
        coarse=draw_knots(rng, COARSE),
        medium=draw_knots(rng, MEDIUM),
        fine=draw_knots(rng, FINE),
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
        wobble=draw_wobble(rng, n, [0.05, 0.06, 0.04]),
        stain=rng.uniform(0.55, 1.0, n),
        hollow=0.35,
    )


def _deciding(rng: np.random.Generator) -> Nuclei:
    """One or two tumour nuclei with their centres in the centre third."""
    low, high = CENTRE
    nuclei = _tumour_nuclei(rng, int(rng.integers(1, 3)), low + INSET, high - INSET)
    return nuclei[uncrowded(nuclei)]


def _distractors(rng: np.random.Generator) -> Nuclei:
    """None to six tumour nuclei, none of which touches the centre third."""
    wanted = rng.integers(0, 7)
    nuclei = _tumour_nuclei(rng, 20, -4, FIELD + 4)
    half = FIELD / 6
    gap = np.hypot(
        np.maximum(np.abs(nuclei.x - FIELD / 2) - half, 0), np.maximum(np.abs(nuclei.y - FIELD / 2) - half, 0)
    )
    nuclei = nuclei[gap > nuclei.reach() + CLEARANCE]
    return nuclei[uncrowded(nuclei)][:wanted]


# --- rendering --------------------------------------------------------------------------------------------------------


def _develop(scene: Scene, size: int) -> np.ndarray:
    """(size, size, 3) optical density of the stained tissue."""
    coarse, medium, fine = (texture(knots, size) for knots in (scene.coarse, scene.medium, scene.fine))
    tumour, cytoplasm = draw_cells(scene.tumour, size, CYTOPLASM)
    chromatin = np.clip(0.24 * fine, -0.5, 0.5)
    nuclei = np.maximum(draw_nuclei(scene.normal, size) * (1 + 0.4 * chromatin), tumour * (1 + chromatin))
    tissue = np.maximum(_tissue(scene, medium, size), cytoplasm)

    eosin = 0.36 * (1 + 0.18 * coarse + 0.16 * medium + 0.12 * fine + _fibres(scene, coarse, size))
    eosin = np.maximum(eosin, 0.08) * (0.05 + 0.95 * tissue)
    haematoxylin = tissue * (0.16 + 0.05 * medium + 0.03 * fine + 0.12 * cytoplasm)
    haematoxylin = np.maximum(haematoxylin, 0) + nuclei
    return optical_density(haematoxylin, eosin, scene.stains[:, None] * [HAEMATOXYLIN, EOSIN])


def _tissue(scene: Scene, medium: np.ndarray, size: int) -> np.ndarray:
    """(size, size) from 0 in a white cleft to 1 in tissue."""
    field = texture(scene.clefts, size) + 0.12 * medium
    return np.clip((scene.openness + 0.4 - field) / 0.4, 0, 1)


def _fibres(scene: Scene, warp: np.ndarray, size: int) -> np.ndarray:
    """(size, size) wavy parallel bands of collagen, around 0."""
    kx, ky, contrast = scene.fibre
    centres = pixel_centres(size)
    return contrast * np.sin(kx * centres + (ky * centres)[:, None] + 2.5 * warp)
