"""The check_images stage: no image plays two roles."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import pandas as pd

from assay.data.roles import KEYS
from assay.files import AssayError, write_json
from assay.inputs import open_images
from assay.progress import track
from assay.stacks import Images, Stack, pixel_hashes

SHOWN = 3  # ids that a message names
CHUNK = 2048  # images hashed at a time


def check_images(folders: Sequence[Path], out: Path) -> None:
    """Compare the pixels of every image of the splits in `folders`; refuse an image that stands in two of them.

    Writes to the JSON file `out` how many images each split has, and how many of them are copies of another one there.
    """
    splits = {}
    for folder in folders:
        images = open_images(folder)
        splits[images.manifest["spec"]["split"]] = pd.Series(_hashes(folder, images), index=images.ids)
    for one, other in combinations(sorted(splits, key=list(KEYS).index), 2):
        if len(both := splits[one][splits[one].isin(splits[other])]):
            names = ", ".join(both.index[:SHOWN]) + (", …" if len(both) > SHOWN else "")
            raise AssayError(
                f"{out.parent}: {len(both)} of {len(splits[one])} {one} images stand in {other} too ({names}); "
                f"lower {KEYS[one]} or {KEYS[other]}, or delete both folders and run again"
            )
    write_json(
        out,
        {
            "images": {split: len(hashes) for split, hashes in splits.items()},
            "duplicates": {split: int(hashes.duplicated().sum()) for split, hashes in splits.items()},
            "overlaps": 0,
        },
    )


def _hashes(folder: Path, images: Images) -> list[str]:
    """The hashes of the images' pixels: a stack's are computed anew, and must be those of its table.

    Those of images that stay in the data set's files are the table's: when they are read, they are held to the index.
    """
    stored = images.table.get("pixels", pd.Series(dtype=str)).tolist()
    if not isinstance(images, Stack):
        return stored
    starts = range(0, len(images), CHUNK)
    found = [
        text
        for start in track(starts, f"check {folder}", len(starts), unit="chunks")
        for text in pixel_hashes(images.images[start : start + CHUNK])
    ]
    if stored != found:
        raise AssayError(f"{folder}: its images are not those that its table names; delete it and run again")
    return found
