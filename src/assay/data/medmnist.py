"""MedMNIST v2 (Yang et al. 2023): an `.npz` with `train_images`, `train_labels` and the same for `val` and `test`.

Images are uint8 (n, size, size), or (n, size, size, 3) in colour; labels (n, 1). The arrays are read as they are
unpacked, a slice at a time, since the largest has 13 GB. Nothing is unpickled: an array of objects is refused.
"""

from __future__ import annotations

import contextlib
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd
from numpy.lib import format as npy

from assay.data.in_file import drawn, index_of
from assay.data.pinned import one_line
from assay.files import AssayError
from assay.progress import track
from assay.study.images import ImagesSpec
from assay.study.medmnist import MedMnistSource

LIBRARIES = ("pandas", "tifffile")
SLICE = 2048  # images read at a time: 5 to 300 MB
READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}  # of an array's shape, by version

Shape = tuple[int, ...]


def catalogue(source: MedMnistSource, folder: Path, scratch: Path) -> tuple[list[str], pd.DataFrame]:
    """The classes' names, and all images of all parts: id, label, part, row in the part, hash of the pixels."""
    return index_of(source, folder, _labels, _images)


def open_split(spec: ImagesSpec, index: Path, folder: Path, scratch: Path) -> tuple[pd.DataFrame, Iterator[np.ndarray]]:
    """The drawn rows of the index (id, label, pixels), and their images in chunks."""
    return drawn(spec, index, folder, _images)


def _labels(source: MedMnistSource, part: str, folder: Path) -> np.ndarray:
    """The labels (n,) of a part."""
    key = f"{part}_labels"
    with _array(source, key, folder) as (path, file, shape):
        if shape[1:] != (1,):
            raise AssayError(f"{path}: '{key}' is {shape}, expected (n, 1): one label for each image")
        labels = np.frombuffer(_bytes(path, file, shape[0]), np.uint8)
    if len(wrong := labels[labels >= len(source.classes)]):
        raise AssayError(f"{path}: holds the label {wrong[0]}; labels are 0 to {len(source.classes) - 1}")
    return labels


def _images(source: MedMnistSource, part: str, folder: Path) -> Iterator[np.ndarray]:
    """The images of a part, in chunks."""
    key, size = f"{part}_images", source.size
    with _array(source, key, folder) as (path, file, shape):
        if shape[1:] not in ((size, size), (size, size, 3)):
            raise AssayError(f"{path}: '{key}' is {shape}, expected (n, {size}, {size}) or (n, {size}, {size}, 3)")
        starts = range(0, shape[0], SLICE)
        for start in track(starts, f"read {path.name} {part}", len(starts), unit="slices"):
            count = min(SLICE, shape[0] - start)
            some = np.frombuffer(_bytes(path, file, count * int(np.prod(shape[1:]))), np.uint8)
            some = some.reshape(count, *shape[1:])
            yield some if some.ndim == 4 else np.repeat(some[..., None], 3, axis=3)


@contextlib.contextmanager
def _array(source: MedMnistSource, key: str, folder: Path) -> Iterator[tuple[Path, IO[bytes], Shape]]:
    """The file's path, and of one of its arrays, of bytes, the values that follow and the shape that they have."""
    path = folder / source.file
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{key}.npy") as file:
            version = npy.read_magic(file)
            if version not in READERS:
                raise AssayError(f"{path}: '{key}' is an .npy of version {version[0]}; only 1 and 2 are read")
            shape, in_columns, kind = READERS[version](file)
            if kind != np.uint8 or in_columns or not shape:
                raise AssayError(f"{path}: '{key}' is {kind} {shape}, expected an array of uint8, row by row")
            yield path, file, shape
    except KeyError:
        raise AssayError(f"{path}: has no array '{key}'; it is none of MedMNIST's files") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError) as error:
        raise AssayError(f"{path}: is no whole .npz ({one_line(error)}); get it anew") from None


def _bytes(path: Path, file: IO[bytes], count: int) -> bytes:
    content = file.read(count)
    if len(content) < count:
        raise AssayError(f"{path}: ends in the middle of an array; get it anew")
    return content
