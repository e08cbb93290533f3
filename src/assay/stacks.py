"""Stacks: a set of images on disk as `images.tif`, `table.csv` (one row an image) and `manifest.json`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tifffile

from assay.files import AssayError, Draft, check

IMAGES = "images.tif"
TABLE = "table.csv"
FLOAT_FORMAT = "%.9g"


@dataclass(frozen=True)
class Stack:
    """A stack that was read: images (n, height, width, 3) of uint8 or uint16, and their table (n rows)."""

    images: np.ndarray
    table: pd.DataFrame
    manifest: dict[str, Any]

    @property
    def ids(self) -> list[str]:
        return self.table["id"].tolist()

    @property
    def labels(self) -> np.ndarray:
        return self.table["label"].to_numpy()

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


def write_stack(draft: Draft, images: np.ndarray, table: pd.DataFrame) -> None:
    """Write a stack's images and table into an artifact's draft. The TIFF is uncompressed: it can be memory-mapped."""
    if images.ndim != 4 or images.shape[-1] != 3 or images.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"images must be uint8 or uint16 (n, height, width, 3), found {images.dtype} {images.shape}")
    if len(images) != len(table):
        raise ValueError(f"{len(images)} images but {len(table)} table rows")
    tifffile.imwrite(
        draft.path(IMAGES), images, photometric="rgb", bigtiff=images.nbytes > 3 << 30, metadata={"axes": "QYXS"}
    )
    table.to_csv(draft.path(TABLE), index=False, lineterminator="\n", float_format=FLOAT_FORMAT)


def read_stack(folder: Path) -> Stack:
    """Read a stack whose every byte is as its manifest says; images are mapped, not loaded."""
    folder = Path(folder)
    manifest = check(folder, "stack")
    try:
        images = tifffile.memmap(folder / IMAGES, mode="r")
    except (ValueError, tifffile.TiffFileError) as error:
        raise AssayError(f"{folder / IMAGES}: not a readable TIFF ({error}); delete {folder} and run again") from None
    table = read_table(folder / TABLE, ("id", "label"))
    images = images.reshape(-1, *images.shape[-3:])
    if len(images) != len(table):
        raise AssayError(f"{folder}: {len(images)} images but {len(table)} table rows; delete {folder} and run again")
    return Stack(images, table, manifest)


def read_table(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """Read a table that must have the given columns; ids are text and `none` is a word, not a missing value."""
    try:
        table = pd.read_csv(path, dtype={"id": str}, keep_default_na=False, na_values=[""], encoding="utf-8")
    except FileNotFoundError:
        raise AssayError(f"{path}: not found; run the stage that makes it") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise AssayError(f"{path}: not a readable table ({error}); delete it and run again") from None
    if missing := [column for column in columns if column not in table]:
        raise AssayError(f"{path}: has no column {', '.join(missing)}; delete it and run again")
    return table
