"""Kaggle's edition of PatchCamelyon (histopathologic-cancer-detection): `train/<id>.tif` and `train_labels.csv`.

Its test images have no public labels, so every role is drawn from the labelled ones.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile

from assay.data.reading import read_in_chunks
from assay.data.roles import draw, read_index
from assay.files import AssayError
from assay.stacks import pixel_hashes, read_table
from assay.study.images import ImagesSpec, KaggleSource

LIBRARIES = ("pandas", "tifffile")
IMAGES, LABELS = "train", "train_labels.csv"
FILES = {"test": IMAGES, "selection": IMAGES, "validation": IMAGES, "train": IMAGES}


def catalogue(source: KaggleSource, folder: Path, scratch: Path) -> tuple[list[str], pd.DataFrame]:
    """The classes' names, and all labelled images: id, label, folder, row in the table of labels, pixels' hash."""
    table = _labels(source, folder / LABELS)

    def hashed(name: str) -> str:
        return pixel_hashes(_image(source, folder, name)[None])[0]

    chunks = read_in_chunks(table["id"].tolist(), hashed, f"read {folder / IMAGES}")
    hashes = [found for chunk in chunks for found in chunk]
    return list(source.classes), table.assign(file=IMAGES, row=np.arange(len(table)), pixels=hashes)


def open_split(spec: ImagesSpec, index: Path, folder: Path, scratch: Path) -> tuple[pd.DataFrame, Iterator[np.ndarray]]:
    """The drawn rows of the index (id, label, pixels), and their images in chunks."""
    rows = draw(read_index(index, spec.images), spec, FILES)

    def read(name: str) -> np.ndarray:
        return _image(spec.images, folder, name)

    chunks = read_in_chunks(rows["id"].tolist(), read, f"read {folder / IMAGES}")
    return rows[["id", "label", "pixels"]].reset_index(drop=True), map(np.stack, chunks)


def _labels(source: KaggleSource, path: Path) -> pd.DataFrame:
    """Ids and labels (n rows)."""
    if not path.is_file():
        raise AssayError(
            f"{path}: not found; download Kaggle's histopathologic-cancer-detection and unpack it into {path.parent}"
        )
    table = read_table(path, ("id", "label"))[["id", "label"]]
    if len(wrong := table[~table["label"].isin(range(len(source.classes)))]):
        raise AssayError(f"{path}: gives {wrong['id'].iloc[0]} the label {wrong['label'].iloc[0]}; it must be 0 or 1")
    if len(twice := table["id"][table["id"].duplicated() | table["id"].isna()]):
        raise AssayError(f"{path}: the id {twice.iloc[0]} stands there twice, or is missing; get the file anew")
    return table.astype({"label": np.uint8})


def _image(source: KaggleSource, folder: Path, name: str) -> np.ndarray:
    """One image, uint8 (size, size, 3)."""
    path, size = folder / IMAGES / f"{name}.tif", source.size
    try:
        image = tifffile.imread(path)
    except FileNotFoundError:
        raise AssayError(f"{path}: not found, but {LABELS} names it; get it anew") from None
    except (ValueError, IndexError, struct.error, tifffile.TiffFileError) as error:
        raise AssayError(f"{path}: not a readable TIFF ({' '.join(str(error).split())}); get it anew") from None
    if not image.size:
        raise AssayError(f"{path}: not a readable TIFF (holds no image); get it anew")
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise AssayError(f"{path}: is {image.dtype} {image.shape}, expected uint8 ({size}, {size}, 3)")
    if image.shape[:2] != (size, size):
        height, width = image.shape[:2]
        raise AssayError(f"images.size: is {size}, but {path} has {height} by {width} pixels; set it so")
    return image
