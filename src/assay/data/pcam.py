"""PatchCamelyon (Veeling et al. 2018) as published: gzipped HDF5 files of images and of labels.

`x` is (n, size, size, 3) uint8, `y` is (n, 1, 1, 1) uint8: 1 where there is tumour in the centre of the patch. A CSV
file beside them has a line for each image, in their order; its column `wsi` is the slide that the patch was cut from.
"""

from __future__ import annotations

import contextlib
import gzip
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from assay.data.pinned import one_line, verify
from assay.data.roles import draw, read_index
from assay.files import AssayError, naming_a_full_disk
from assay.progress import track
from assay.stacks import SLIDE, pixel_hashes
from assay.study.images import PCAM_PARTS, PCAM_SLIDES, ImagesSpec, PcamSource, pcam_file, pcam_slides_file

LIBRARIES = ("pandas", "tifffile", "h5py")
SLICE = 2048  # images read at a time: 57 MB
BUFFER = 1 << 22  # bytes decompressed at a time


def catalogue(source: PcamSource, folder: Path, scratch: Path) -> tuple[list[str], pd.DataFrame]:
    """The classes' names, and all images of all files: id, label, file, row in the file, hash of the pixels.

    What may be tested on comes first.
    """
    parts = [_part(source, part, folder, scratch) for part in dict.fromkeys(PCAM_PARTS.values())]
    return list(source.classes), pd.concat(parts)


def open_split(spec: ImagesSpec, index: Path, folder: Path, scratch: Path) -> tuple[pd.DataFrame, Iterator[np.ndarray]]:
    """The drawn rows of the index (id, label, pixels and, if it is known, slide), and their images in chunks."""
    rows = draw(read_index(index, spec.images), spec, PCAM_PARTS)
    columns = ["id", "label", "pixels", *([SLIDE] if _has_slides(spec.images, PCAM_PARTS[spec.split]) else [])]
    chunks = _images(spec.images, PCAM_PARTS[spec.split], rows["row"].to_numpy(), folder, scratch)
    return rows[columns].reset_index(drop=True), chunks


def _part(source: PcamSource, part: str, folder: Path, scratch: Path) -> pd.DataFrame:
    labels = _labels(source, part, folder, scratch)
    hashes: list[str] = []
    for chunk in _images(source, part, np.arange(len(labels)), folder, scratch, len(labels)):
        hashes += pixel_hashes(chunk)
    rows = np.arange(len(labels))
    ids = [f"{part}-{row:06d}" for row in rows]
    table = pd.DataFrame({"id": ids, "label": labels, "file": part, "row": rows, "pixels": hashes})
    return table.assign(**{SLIDE: _slides(source, part, folder, len(labels))}) if _has_slides(source, part) else table


def _has_slides(source: PcamSource, part: str) -> bool:
    return source.slides and pcam_slides_file(part) in PCAM_SLIDES


def _slides(source: PcamSource, part: str, folder: Path, expected: int) -> list[str]:
    """The slide of each of the images of a part."""
    path = folder / pcam_slides_file(part)
    verify(path, source.hashes[path.name])
    try:
        table = pd.read_csv(path, dtype=str)
    except ValueError as error:
        raise AssayError(f"{path}: is no CSV table ({one_line(error)}); get it anew") from None
    if "wsi" not in table or table["wsi"].isna().any():
        raise AssayError(f"{path}: needs a column 'wsi' with the slide of each image; get it anew")
    if len(table) != expected:
        raise AssayError(f"{path}: has {len(table)} lines, but there are {expected} images")
    return table["wsi"].tolist()


def _labels(source: PcamSource, part: str, folder: Path, scratch: Path) -> np.ndarray:
    """The labels (n,) of a part."""
    with _opened(source, pcam_file(part, "y"), folder, scratch) as (path, file):
        stored = _dataset(path, file, "y")
        if stored.shape != (len(stored), 1, 1, 1) or stored.dtype.kind not in "ui":
            raise AssayError(f"{path}: 'y' is {stored.dtype} {stored.shape}, expected uint8 (n, 1, 1, 1)")
        labels = stored[:].reshape(-1)
    if len(wrong := labels[~np.isin(labels, range(len(source.classes)))]):
        raise AssayError(f"{path}: holds the label {wrong[0]}; labels must be 0 or 1")
    return labels.astype(np.uint8)


def _images(
    source: PcamSource, part: str, rows: np.ndarray, folder: Path, scratch: Path, expected: int | None = None
) -> Iterator[np.ndarray]:
    """The images at ascending rows of a part, in chunks: one pass over the file, slice by slice."""
    with _opened(source, pcam_file(part, "x"), folder, scratch) as (path, file):
        stored = _dataset(path, file, "x")
        size = source.size
        if stored.ndim != 4 or stored.shape[3] != 3 or stored.dtype != np.uint8:
            raise AssayError(f"{path}: 'x' is {stored.dtype} {stored.shape}, expected uint8 (n, {size}, {size}, 3)")
        if stored.shape[1:3] != (size, size):
            height, width = stored.shape[1:3]
            raise AssayError(f"images.size: is {size}, but {path} has images of {height} by {width} pixels; set it so")
        if expected is not None and len(stored) != expected:
            raise AssayError(f"{path}: has {len(stored)} images, but there are {expected} labels")
        slices = np.split(rows, np.searchsorted(rows, np.arange(SLICE, len(stored), SLICE)))
        for index, wanted in enumerate(track(slices, f"read {path.name}", len(slices), unit="slices")):
            if len(wanted):
                start = index * SLICE
                yield _read(path, stored, slice(start, start + SLICE))[wanted - start]


def _read(path: Path, stored: h5py.Dataset, rows: slice) -> np.ndarray:
    try:
        return stored[rows]
    except OSError as error:
        raise AssayError(f"{path}: cannot be read ({one_line(error)}); get it anew") from None


def _dataset(path: Path, file: h5py.File, key: str) -> h5py.Dataset:
    if not isinstance(file.get(key), h5py.Dataset):
        raise AssayError(f"{path}: has no data set '{key}'; it is none of PCam's files")
    return file[key]


@contextlib.contextmanager
def _opened(source: PcamSource, name: str, folder: Path, scratch: Path) -> Iterator[tuple[Path, h5py.File]]:
    """The path and the content of a file, verified, and decompressed for as long as it is open."""
    path = folder / name
    verify(path, source.hashes[name])
    scratch.mkdir(parents=True, exist_ok=True)
    content = scratch / name.removesuffix(".gz")
    try:
        _decompress(path, content)
        try:
            file = h5py.File(content, "r")
        except OSError as error:
            raise AssayError(f"{path}: holds no whole HDF5 file ({one_line(error)}); get it anew") from None
        with file:
            yield path, file
    finally:
        content.unlink(missing_ok=True)


def _decompress(path: Path, content: Path) -> None:
    with naming_a_full_disk(content), gzip.open(path) as packed, open(content, "wb") as unpacked:
        try:
            shutil.copyfileobj(packed, unpacked, BUFFER)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise AssayError(f"{path}: is no whole gzip file ({one_line(error)}); get it anew") from None
