"""The check_images stage: no image plays two roles."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pandas as pd

from assay.artifacts import Wanted
from assay.files import AssayError, write_json
from assay.inputs import Inputs, open_images
from assay.program import provenance
from assay.progress import track
from assay.stacks import Images, Stack, pixel_hashes
from assay.study.images import RolesSpec
from assay.study.sources import KEYS

ROLES = "roles.json"
SHOWN = 3  # ids that a message names
CHUNK = 2048  # images hashed at a time


def check_images(spec: RolesSpec, code: str, inputs: Inputs, out: Path) -> None:
    """Compare the pixels of every image of the splits, the inputs; refuse an image that stands in two of them.

    Writes to the artifact `out` how many images each split has, and how many of them are copies of another one there.
    """
    wanted = Wanted(out, "roles", spec.model_dump(mode="json"), code, inputs.manifests())
    if wanted.is_there():
        return
    splits = {}
    for folder in inputs.folders.values():
        images = open_images(folder)
        splits[images.manifest["spec"]["split"]] = pd.Series(_hashes(folder, images), index=images.ids)
    for one, other in combinations(sorted(splits, key=list(KEYS).index), 2):
        if len(both := splits[one][splits[one].isin(splits[other])]):
            names = ", ".join(both.index[:SHOWN]) + (", …" if len(both) > SHOWN else "")
            raise AssayError(
                f"{out.parent}: {len(both)} of {len(splits[one])} {one} images stand in {other} too ({names}); "
                f"lower {KEYS[one]} or {KEYS[other]}, or delete both folders and run again"
            )
    found = {
        "images": {split: len(hashes) for split, hashes in splits.items()},
        "duplicates": {split: int(hashes.duplicated().sum()) for split, hashes in splits.items()},
        "overlaps": 0,
    }
    with wanted.write(provenance(("numpy", "pandas"))) as draft:
        write_json(draft.path(ROLES), found)


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
