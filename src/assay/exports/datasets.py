"""A folder in the layout that Hugging Face's `datasets` calls imagefolder, with one configuration for each stack.

`load_dataset("folder", "clean")` gives its images, ids and labels; a README.md names the configurations.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from assay.entry.study import Study
from assay.files import AssayError, write_text
from assay.stacks import Stack

CLEAN, SPLIT = "clean", "test"


def write(study: Study, out: Path) -> None:
    """Write the clean images and each adversarial stack of 8 bits as PNG files with a metadata.csv; stacks of 16 bits,
    which PNG files of colours cannot hold, are named and left out."""
    if out.exists():
        raise AssayError(f"{out}: is there already; remove it, or name another with --out")
    names = []
    for place, stack in [(CLEAN, study.images), *study.stacks()]:
        name = place.replace("/", ".")
        if stack.images.dtype == np.uint16:
            print(f"{place}: has 16 bits per channel, and is left out; export it as npz", file=sys.stderr)
            continue
        _write_stack(stack, out / name / SPLIT)
        names.append(name)
    write_text(out / "README.md", card(study, names))


def card(study: Study, names: list[str]) -> str:
    """The README.md, whose first part tells `datasets` of the configurations."""
    configurations = [{"config_name": name, "data_dir": name} for name in names]
    configurations[0]["default"] = True
    header = yaml.safe_dump({"configs": configurations, "task_categories": ["image-classification"]}, sort_keys=False)
    return f"""---
{header}---
# {study.config.study}: clean and adversarial images

Made by Assay from the study `{study.config.study}` (seed {study.config.seed}). Each configuration is a set of the same
{len(study.images)} images: `{CLEAN}`, or `CLASSIFIER.ATTACK.eps-EPS.VICTIM`, where the victim is the classifier
(`undefended`) or the defence that was attacked. `label` is a place among {study.images.classes}.

{study.answer}
"""


def _write_stack(stack: Stack, folder: Path) -> None:
    folder.mkdir(parents=True)
    files = [f"{row:06d}.png" for row in range(len(stack))]
    for file, image in zip(files, stack.images, strict=True):
        Image.fromarray(image).save(folder / file)
    table = stack.table.copy()
    table.insert(0, "file_name", files)
    table["class"] = [stack.classes[label] for label in stack.labels]
    table.to_csv(folder / "metadata.csv", index=False, lineterminator="\n")
