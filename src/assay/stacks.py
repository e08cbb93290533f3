"""Images of a study. A stack is a set on disk: `images.tif`, `table.csv` (one row per image) and `manifest.json`.

Where it is known which pixels decide an image's class, they stand beside it in `masks.tif`.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tifffile

from assay.artifacts import Draft
from assay.files import AssayError
from assay.manifests import check

IMAGES = "images.tif"
MASKS = "masks.tif"
TABLE = "table.csv"
TRAJECTORY = "trajectory.csv"  # of an adversarial stack: the class of each image after some of the attack's steps
AREA = "area"  # column of the table: the share of an image's pixels that its mask has, where there are masks
SLIDE = "slide"  # column of the table: the slide that an image was cut from, where it is known
FLOAT_FORMAT = "%.9g"


@dataclass(frozen=True)
class Images(ABC):
    """Images that a training reads, wherever they lie: a table (n rows), the manifest, and pixels by row."""

    table: pd.DataFrame
    manifest: dict[str, Any]

    @property
    def ids(self) -> list[str]:
        return self.table["id"].tolist()

    @property
    def labels(self) -> np.ndarray:
        """The labels (n,) of integers."""
        return self.table["label"].to_numpy()

    @property
    def classes(self) -> list[str]:
        """The names of the classes; a label is a place in this list."""
        return self.manifest["facts"]["classes"]

    @property
    @abstractmethod
    def side(self) -> int:
        """The side of an image in pixels."""

    @abstractmethod
    def rows(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """The stored images (k, height, width, 3) at k rows, uint8 where they are images to train on."""

    def __len__(self) -> int:
        return len(self.table)


@dataclass(frozen=True)
class Stack(Images):
    """A stack that was read: images (n, height, width, 3) of uint8 or uint16, and their table (n rows)."""

    images: np.ndarray
    masks: np.ndarray | None = None  # uint8 (n, height, width), 255 where an image's class is decided, else 0

    @property
    def side(self) -> int:
        return self.images.shape[1]

    def rows(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        return self.images[np.asarray(indices)]

    def at(self, rows: np.ndarray) -> Stack:
        """The images at some rows, as a stack in memory."""
        masks = None if self.masks is None else self.masks[rows]
        return replace(self, table=self.table.iloc[rows].reset_index(drop=True), images=self.images[rows], masks=masks)

    def of(self, ids: Sequence[str]) -> Stack:
        """The images of these ids, each of which it has once, in their order."""
        rows = pd.Index(self.ids).get_indexer(pd.Index(ids))
        if (rows < 0).any():
            raise AssayError(f"there is no image {np.asarray(ids)[rows < 0][0]} among the test images; run again")
        return self if np.array_equal(rows, np.arange(len(self))) else self.at(rows)

    def pixels(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Images start..stop as float32 (n, 3, height, width) in [0,1]."""
        return to_pixels(self.images[start:stop])


def to_pixels(stored: np.ndarray) -> np.ndarray:
    """Stored integers (n, height, width, 3) as float32 (n, 3, height, width) in [0,1]."""
    values = stored.astype(np.float32) / np.float32(np.iinfo(stored.dtype).max)
    return np.ascontiguousarray(values.transpose(0, 3, 1, 2))


def to_stored(pixels: np.ndarray, bits: int) -> np.ndarray:
    """Float images (n, 3, height, width) in [0,1] on the nearest points of the 8 or 16 bit grid, (n, h, w, 3)."""
    kind = {8: np.uint8, 16: np.uint16}[bits]
    values = np.rint(pixels.astype(np.float64).transpose(0, 2, 3, 1) * np.iinfo(kind).max)
    return np.ascontiguousarray(values.clip(0, np.iinfo(kind).max).astype(kind))


def write_images(draft: Draft, chunks: Iterable[np.ndarray], count: int) -> None:
    """Write `count` images, given as chunks (k, height, width, 3) of any k, into an artifact's draft.

    One chunk is held at a time. The TIFF is uncompressed, one page an image, so that it can be memory-mapped.
    """
    chunks = iter(chunks)
    first = next(chunks)
    if first.ndim != 4 or first.shape[-1] != 3 or first.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"images must be uint8 or uint16 (n, height, width, 3), found {first.dtype} {first.shape}")
    _write_pages(draft.path(IMAGES), itertools.chain([first], chunks), (count, *first.shape[1:]), first.dtype)


def write_masks(draft: Draft, chunks: Iterable[np.ndarray], count: int) -> None:
    """Write the masks of `count` images, given as chunks uint8 (k, height, width), into an artifact's draft."""
    chunks = iter(chunks)
    first = next(chunks)
    if first.ndim != 3 or first.dtype != np.uint8:
        raise ValueError(f"masks must be uint8 (n, height, width), found {first.dtype} {first.shape}")
    _write_pages(draft.path(MASKS), itertools.chain([first], chunks), (count, *first.shape[1:]), first.dtype)


def _write_pages(path: Path, chunks: Iterable[np.ndarray], shape: tuple[int, ...], kind: np.dtype) -> None:
    in_colour = len(shape) == 4
    tifffile.imwrite(
        path,
        _pages(chunks, shape, kind),
        shape=shape,
        dtype=kind,
        photometric="rgb" if in_colour else "minisblack",
        bigtiff=math.prod(shape) * kind.itemsize > 3 << 30,
        metadata={"axes": "QYXS" if in_colour else "QYX"},
    )


def _pages(chunks: Iterable[np.ndarray], shape: tuple[int, ...], kind: np.dtype) -> Iterable[np.ndarray]:
    """The images of all chunks, one by one, of one shape and type, as many as were announced."""
    found = 0
    for chunk in chunks:
        if chunk.shape[1:] != shape[1:] or chunk.dtype != kind:
            raise ValueError(f"images must be {kind} {shape[1:]} like the first, found {chunk.dtype} {chunk.shape[1:]}")
        found += len(chunk)
        if found > shape[0]:
            break
        yield from chunk
    if found != shape[0]:
        raise ValueError(f"{found} images but {shape[0]} table rows")


def write_table(draft: Draft, table: pd.DataFrame) -> None:
    """Write a table into an artifact's draft."""
    table.to_csv(draft.path(TABLE), index=False, lineterminator="\n", float_format=FLOAT_FORMAT)


def pixel_hashes(images: np.ndarray) -> list[str]:
    """What identical images share: the first 16 hex digits of the SHA-256 of each image's stored bytes."""
    return [hashlib.sha256(np.ascontiguousarray(image)).hexdigest()[:16] for image in images]


def read_stack(folder: Path) -> Stack:
    """Read a stack whose every byte is as its manifest says; images are mapped, not loaded."""
    folder = Path(folder)
    manifest = check(folder, "stack")
    table = read_table(folder / TABLE, ("id", "label"))
    images = _read_pages(folder / IMAGES)
    images = images.reshape(-1, *images.shape[-3:])
    masks = _read_pages(folder / MASKS).reshape(-1, *images.shape[1:3]) if MASKS in manifest["files"] else None
    for pages in (images, masks):
        if pages is not None and len(pages) != len(table):
            raise AssayError(
                f"{folder}: {len(pages)} images but {len(table)} table rows; delete {folder} and run again"
            )
    return Stack(table, manifest, images, masks)


def _read_pages(path: Path) -> np.ndarray:
    try:
        return tifffile.memmap(path, mode="r")
    except (ValueError, tifffile.TiffFileError) as error:
        raise AssayError(f"{path}: not a readable TIFF ({error}); delete {path.parent} and run again") from None


def read_table(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """Read a table that must have the given columns; ids are text and `none` is a word, not a missing value."""
    texts = dict.fromkeys(("id", "file", "pixels", "content", SLIDE), str)
    try:
        table = pd.read_csv(path, dtype=texts, keep_default_na=False, na_values=[""], encoding="utf-8")
    except FileNotFoundError:
        raise AssayError(f"{path}: not found; run the stage that makes it") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise AssayError(f"{path}: not a readable table ({error}); delete it and run again") from None
    if missing := [column for column in columns if column not in table]:
        raise AssayError(f"{path}: has no column {', '.join(missing)}; delete it and run again")
    return table
