"""Tiny image files in one folder per class, and the archives of them."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("adipose", "mucus", "tumour")


def write_images(root: Path, classes: Sequence[str] = CLASSES, count: int = 12, seed: int = 0, side: int = 20) -> None:
    """Write `count` PNG files of noise, no two the same, into a folder for each class."""
    rng = np.random.default_rng(seed)
    for name in classes:
        (root / name).mkdir(parents=True)
        for number in range(count):
            save(root / name / f"{number:03d}.png", rng.integers(0, 256, (side, side + 4, 3), np.uint8))


def save(path: Path, pixels: np.ndarray, **options: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def as_zip(root: Path, packing: int = zipfile.ZIP_STORED) -> Path:
    """The zip of a folder, beside it."""
    archive = root.with_suffix(".zip")
    with zipfile.ZipFile(archive, "w", packing) as file:
        for path in sorted(root.rglob("*")):
            file.write(path, path.relative_to(root.parent))
    return archive


def as_tar(root: Path, mode: str = "w") -> Path:
    """The tar of a folder, beside it."""
    archive = root.with_suffix(".tar")
    with tarfile.open(archive, mode) as file:
        file.add(root, "./")
    return archive
