"""Images to train on that stay in the data set's own files: an artifact lists them; they are decoded when asked for.

Each file's bytes are compared with the index's hash whenever they are read, so that what is trained on is what was
indexed, and what check_images compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from assay.data.decode import content_hash, decode
from assay.data.members import Member, read_member
from assay.data.reading import READERS
from assay.files import AssayError
from assay.manifests import check
from assay.stacks import TABLE, Images, read_table
from assay.study.images import FilesSource, ImagesSpec

# The columns of a table that say where a file's bytes lie; all but the first are absent where it is no archive.
PLACE = ("id", "offset", "length", "deflated")


@dataclass(frozen=True)
class ListedImages(Images):
    """Images in files of a folder or an archive, with one row of the table per image."""

    root: Path

    source: FilesSource

    @property
    def side(self) -> int:
        return self.source.size

    def rows(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        some = self.table.iloc[np.asarray(indices)]
        if some.empty:
            return np.empty((0, self.side, self.side, 3), np.uint8)
        with ThreadPoolExecutor(min(READERS, len(some))) as readers:
            return np.stack(list(readers.map(self._image, places(some), some["content"])))

    def _image(self, member: Member, expected: str) -> np.ndarray:
        content = read_member(self.root, member)
        if content_hash(content) != expected:
            raise AssayError(
                f"{self.root / member.path}: is not the file that was indexed; restore it, or delete the study's "
                "folder images and run again"
            )
        return decode(content, str(self.root / member.path), self.source)


def read_images(folder: Path) -> ListedImages:
    """The images that an artifact lists."""
    manifest = check(folder, "file list")
    root = Path(manifest["facts"]["folder"])
    if not root.exists():
        raise AssayError(f"{root}: not found; put the images that {folder} lists back there")
    source = ImagesSpec.model_validate(manifest["spec"]).images
    return ListedImages(read_table(folder / TABLE, ("id", "label", "pixels", "content")), manifest, root, source)


def places(table: pd.DataFrame) -> Iterator[Member]:
    """Where the files of a table's rows lie."""
    columns = [table[column].tolist() for column in PLACE if column in table]
    return (Member(*place) for place in zip(*columns, strict=True))
