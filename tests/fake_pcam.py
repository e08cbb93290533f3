"""Tiny files in the formats of PatchCamelyon's two editions, with images of noise."""

from __future__ import annotations

import gzip
import hashlib
import io
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np
import tifffile

SIZE = 16
PARTS = ("test", "valid", "train")
WITH_SLIDES = ("test", "valid")

Labelled = tuple[np.ndarray, np.ndarray]


def patches(count: int, seed: int, size: int = SIZE) -> Labelled:
    """Images (count, size, size, 3) uint8, no two the same, and labels (count,), half of them 1."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, size, size, 3), np.uint8), rng.permutation(np.arange(count) % 2).astype(
        np.uint8
    )


def parts(test: int = 40, valid: int = 60, train: int = 80) -> dict[str, Labelled]:
    """The content of PCam's three pairs of files."""
    return {
        part: patches(count, seed) for seed, (part, count) in enumerate(zip(PARTS, (test, valid, train), strict=True))
    }


def name(part: str, content: str) -> str:
    return f"camelyonpatch_level_2_split_{part}_{content}.h5.gz"


def meta(part: str) -> str:
    return f"camelyonpatch_level_2_split_{part}_meta.csv"


def hdf5(**datasets: np.ndarray) -> bytes:
    """An HDF5 file."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for key, values in datasets.items():
            file[key] = values
    return buffer.getvalue()


def packed(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def slides(part: str, count: int) -> list[str]:
    """The slides (count,) of a part's images: two images each."""
    return [f"{part}_slide_{row // 2}" for row in range(count)]


def write_pcam(folder: Path, content: Mapping[str, Labelled]) -> dict[str, str]:
    """Write PCam's files; their SHA-256 by name."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, (images, labels) in content.items():
        (folder / name(part, "x")).write_bytes(packed(hdf5(x=images)))
        (folder / name(part, "y")).write_bytes(packed(hdf5(y=labels.reshape(-1, 1, 1, 1))))
        if part in WITH_SLIDES:
            lines = [f"{row},0,0,True,True,{slide}" for row, slide in enumerate(slides(part, len(labels)))]
            head = ",coord_y,coord_x,tumor_patch,center_tumor_patch,wsi"
            (folder / meta(part)).write_text("\n".join([head, *lines]) + "\n")
    return hashes(folder)


def hashes(folder: Path) -> dict[str, str]:
    """The SHA-256 of PCam's files by name."""
    names = [*(name(part, content) for part in PARTS for content in "xy"), *map(meta, WITH_SLIDES)]
    return {
        each: hashlib.sha256((folder / each).read_bytes()).hexdigest() for each in names if (folder / each).is_file()
    }


def write_kaggle(folder: Path, images: np.ndarray, labels: np.ndarray) -> list[str]:
    """Write the files of Kaggle's edition; the images' ids."""
    (folder / "train").mkdir(parents=True)
    ids = [hashlib.sha1(f"{row}".encode()).hexdigest() for row in range(len(images))]
    for each, image in zip(ids, images, strict=True):
        tifffile.imwrite(folder / "train" / f"{each}.tif", image, photometric="rgb")
    rows = [f"{each},{label}" for each, label in zip(ids, labels, strict=True)]
    (folder / "train_labels.csv").write_text("\n".join(["id,label", *rows]) + "\n")
    return ids
