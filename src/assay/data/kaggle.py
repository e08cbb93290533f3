"""Kaggle's edition of PatchCamelyon (histopathologic-cancer-detection): `train/<id>.tif` and `train_labels.csv`.

Its test images have no public labels, so every role is drawn from the labelled ones.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
import tifffile

from assay.data.roles import CLASSES, draw, read_index
from assay.files import AssayError
from assay.progress import track
from assay.stacks import pixel_hashes, read_table
from assay.study.images import ImagesSpec, KaggleSource

Result = TypeVar("Result")

LIBRARIES = ("pandas", "tifffile")
IMAGES, LABELS = "train", "train_labels.csv"
FILES = {"test": IMAGES, "selection": IMAGES, "validation": IMAGES, "train": IMAGES}
READERS = 8  # threads that read files
CHUNK = 512  # images read at a time


def catalogue(source: KaggleSource, folder: Path, scratch: Path) -> pd.DataFrame:
    """All labelled images: id, label, folder, row in the table of labels, hash of the pixels."""
    table = _labels(folder / LABELS)
    chunks = _read(source, folder, table["id"].tolist(), lambda image: pixel_hashes(image[None])[0])
    hashes = [found for chunk in chunks for found in chunk]
    return table.assign(file=IMAGES, row=np.arange(len(table)), pixels=hashes)


def open_split(spec: ImagesSpec, index: Path, folder: Path, scratch: Path) -> tuple[pd.DataFrame, Iterator[np.ndarray]]:
    """The drawn rows of the index (id, label, pixels), and their images in chunks."""
    rows = draw(read_index(index, spec.images), spec, FILES)
    chunks = _read(spec.images, folder, rows["id"].tolist(), lambda image: image)
    return rows[["id", "label", "pixels"]].reset_index(drop=True), map(np.stack, chunks)


def _labels(path: Path) -> pd.DataFrame:
    """Ids and labels (n rows)."""
    if not path.is_file():
        raise AssayError(
            f"{path}: not found; download Kaggle's histopathologic-cancer-detection and unpack it into {path.parent}"
        )
    table = read_table(path, ("id", "label"))[["id", "label"]]
    if len(wrong := table[~table["label"].isin(CLASSES)]):
        raise AssayError(f"{path}: gives {wrong['id'].iloc[0]} the label {wrong['label'].iloc[0]}; it must be 0 or 1")
    if len(twice := table["id"][table["id"].duplicated() | table["id"].isna()]):
        raise AssayError(f"{path}: the id {twice.iloc[0]} stands there twice, or is missing; get the file anew")
    return table.astype({"label": np.uint8})


def _read(
    source: KaggleSource, folder: Path, ids: Sequence[str], use: Callable[[np.ndarray], Result]
) -> Iterator[list[Result]]:
    """What `use` makes of each image, in the order of the ids, chunk by chunk; each file is read once, by threads."""
    chunks = [ids[start : start + CHUNK] for start in range(0, len(ids), CHUNK)]
    with ThreadPoolExecutor(READERS) as readers:
        for chunk in track(chunks, f"read {folder / IMAGES}", len(chunks), unit="chunks"):
            yield list(readers.map(lambda name: use(_image(folder / IMAGES / f"{name}.tif", source.size)), chunk))


def _image(path: Path, size: int) -> np.ndarray:
    """One image, uint8 (size, size, 3)."""
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
