"""The images of a split, however they are kept."""

from __future__ import annotations

from pathlib import Path

from assay.files import read_manifest
from assay.modules import load
from assay.stacks import Images, read_stack
from assay.study.needs import LOADERS


def open_images(folder: Path) -> Images:
    """The images of a split: a stack, or training images that are read from the data set's own files.

    What reads the latter is found by name: a job that reads a stack does not depend on its code.
    """
    kind = read_manifest(folder)["kind"]
    return load(LOADERS[kind]).read_images(folder) if kind in LOADERS else read_stack(folder)
