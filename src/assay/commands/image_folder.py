"""What lies in a folder or archive of images: its classes and parts, how many images each has, and their size."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from PIL import Image

from assay.data.decode import SUFFIXES
from assay.data.folder import PARTS
from assay.data.members import list_members, read_member
from assay.files import AssayError
from assay.study.images import Split

# The part that each split is drawn from: the first of these names that is there.
PART_NAMES: dict[Split, Sequence[str]] = {
    "train": ("train",),
    "validation": ("val", "valid", "validation", "train"),
    "test": ("test", "val", "valid", "validation"),
}


@dataclass(frozen=True)
class ImageFolder:
    """The images of a data set: how many by part and class (one part, of no name, if it has none), and the shorter side
    of one of them in pixels."""

    images: Counter[tuple[str, str]]
    side: int

    @property
    def classes(self) -> list[str]:
        return sorted({name for _, name in self.images})

    @property
    def parts(self) -> dict[Split, str] | None:
        """The folder that each split is drawn from; None where all are drawn from the same files."""
        there = {part.lower(): part for part, _ in self.images if part}
        if not there:
            return None
        found = {
            split: next((there[name] for name in names if name in there), "") for split, names in PART_NAMES.items()
        }
        return found if all(found.values()) else None

    def fewest(self, split: Split) -> int:
        """Images of the class that has fewest of them where a split is drawn from."""
        part = self.parts[split] if self.parts else ""
        return min(self.images[part, name] for name in self.classes)


def look(root: Path) -> ImageFolder:
    """What lies in a folder, a `.zip` or a `.tar` of images, with one folder per class."""
    members = [each for each in list_members(root) if PurePosixPath(each.path).suffix.lower() in SUFFIXES]
    if not members:
        raise AssayError(f"{root}: has no images (JPEG, PNG, TIFF or WebP); name a folder with one folder per class")
    folders = [each.path.split("/")[:-1] for each in members]
    around = 0
    while all(len(each) > around + 1 for each in folders) and len({each[around] for each in folders}) == 1:
        around += 1
    inside = [each[around:] for each in folders if len(each) > around]
    has_parts = bool(inside) and {each[0].lower() for each in inside} <= set(PARTS)
    images = Counter((each[0], each[1]) if has_parts else ("", each[0]) for each in inside if len(each) > has_parts)
    found = ImageFolder(images, min(_size(read_member(root, members[0]), members[0].path)))
    if len(found.classes) < 2:
        raise AssayError(f"{root}: needs a folder with images for each of two classes or more; see config/README.md")
    if has_parts and not found.parts:
        raise AssayError(f"{root}: has no part to test on; name one folder train and another test or val")
    return found


def _size(content: bytes, name: str) -> tuple[int, int]:
    try:
        with Image.open(io.BytesIO(content)) as image:
            return image.size
    except Exception as error:  # PIL's decoders raise many kinds
        raise AssayError(f"{name}: cannot be read as an image ({type(error).__name__}); replace it") from None
