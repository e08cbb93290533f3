"""ImageNet's validation images (Russakovsky et al. 2015): the archive and its development kit, or class folders.

In the archive images are numbered, and the kit tells their classes: line i of the ground truth is the ILSVRC id of the
class of image i, and meta.mat has its name (n01440764, …). A label is a class's place among all names, in their order.
"""

from __future__ import annotations

import re
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from scipy.io import loadmat

from assay.data.decode import SUFFIXES
from assay.data.image_files import Found, drawn, index_of
from assay.data.members import Member, list_members
from assay.data.pinned import one_line, verify
from assay.files import AssayError
from assay.study.imagenet import EVERY, IMAGENET_IMAGES, IMAGENET_KIT, REST, ImagenetSource
from assay.study.images import ImagesSpec
from assay.study.sources import WHOLE

LIBRARIES = ("pandas", "tifffile", "pillow", "scipy")
SYNSETS = "ILSVRC2012_devkit_t12/data/meta.mat"
TRUTH = "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt"
NUMBER = re.compile(r"ILSVRC2012_val_(\d{8})\.JPEG")
CLASS = re.compile(r"n\d{8}")


def catalogue(source: ImagenetSource, folder: Path, scratch: Path) -> tuple[list[str], pd.DataFrame]:
    """The classes' names, and all images: id (the path), label, part, row in it, hashes of pixels and of bytes."""
    classes, labelled = _in_archive(source, folder) if folder.is_file() else _in_folders(folder)
    return classes, index_of(source, folder, classes, _in_parts(labelled, source.every))


def open_split(spec: ImagesSpec, index: Path, folder: Path, scratch: Path) -> tuple[pd.DataFrame, Iterator[np.ndarray]]:
    """The drawn rows of the index, and their images in chunks; of images to train on, where their bytes lie instead."""
    return drawn(spec, index, folder)


Labelled = list[tuple[str, Member]]  # each image's class


def _in_archive(source: ImagenetSource, archive: Path) -> tuple[list[str], Labelled]:
    """The classes' names, and the images of the archive."""
    kit = archive.with_name(IMAGENET_KIT)
    for path, name in ((archive, IMAGENET_IMAGES), (kit, IMAGENET_KIT)):
        verify(path, source.hashes[name])
    classes, truth = _truth(kit)
    members = list_members(archive)
    numbers = [NUMBER.fullmatch(PurePosixPath(member.path).name) for member in members]
    if None in numbers or sorted(int(found[1]) for found in numbers) != list(range(1, len(truth) + 1)):
        raise AssayError(f"{archive}: does not hold the {len(truth)} images that {kit.name} tells of; get it anew")
    return classes, [(truth[int(found[1]) - 1], member) for found, member in zip(numbers, members, strict=True)]


def _truth(kit: Path) -> tuple[list[str], list[str]]:
    """The names of all classes, sorted, and the name of each image's class, of the development kit."""
    try:
        with tarfile.open(kit, "r:gz") as archive:
            synsets, truth = (archive.extractfile(name).read() for name in (SYNSETS, TRUTH))
        table = loadmat(BytesIO(synsets), squeeze_me=True)["synsets"]
        names = {int(each["ILSVRC2012_ID"]): str(each["WNID"]) for each in table if each["num_children"] == 0}
        return sorted(names.values()), [names[int(line)] for line in truth.split()]
    except (tarfile.TarError, EOFError, zlib.error, OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise AssayError(f"{kit}: is not ImageNet's development kit ({one_line(error)}); get it anew") from None


def _in_folders(root: Path) -> tuple[list[str], Labelled]:
    """The classes' names, and the images of a folder that has a folder for each class."""
    labelled = []
    for member in list_members(root):
        if PurePosixPath(member.path).suffix.lower() not in SUFFIXES:
            continue
        name, _, _ = member.path.partition("/")
        if not CLASS.fullmatch(name):
            raise AssayError(
                f"{root}: {member.path} does not lie in the folder of a class, such as n01440764; name the folder that "
                "holds these as images.folder, or the archive"
            )
        labelled.append((name, member))
    classes = sorted({name for name, _ in labelled})
    if len(classes) < 2:
        raise AssayError(f"{root}: needs a folder with images for each class; see config/README.md")
    return classes, labelled


def _in_parts(labelled: Labelled, every: int | None) -> Sequence[Found]:
    """The images in their parts. Every k-th is counted over classes and, within a class, names (Cohen et al. 2019)."""
    ordered = sorted(labelled, key=lambda each: (each[0], PurePosixPath(each[1].path).name))
    if every is None:
        return [Found(WHOLE, name, member) for name, member in ordered]
    chosen = [Found(EVERY, name, member) for name, member in ordered[::every]]
    rest = [Found(REST, name, member) for place, (name, member) in enumerate(ordered) if place % every]
    return chosen + rest
