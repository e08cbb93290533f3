"""What every data set has in the config, and the types that their models share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import AfterValidator, StringConstraints, model_validator

from assay.study.fields import PATTERNS, LocalPath, Model, check_tracked_path

Split = Literal["train", "validation", "selection", "test"]
ROLES: tuple[Split, ...] = ("test", "selection", "validation", "train")  # in the order of their rights to an image
KEYS: dict[Split, str] = {  # that say how many images a split has
    "test": "evaluation.images",
    "selection": "selection.images",
    "validation": "images.validation",
    "train": "images.train",
}
CHECKSUM_PATTERN = r"^([0-9a-f]{64}|[0-9a-f]{32})$"
URL_PATTERN = r"^https?://[^\s\x00-\x1f\x7f]+$"
CLASS_PATTERN = r"^[^\s/\x00-\x1f\x7f][^/\x00-\x1f\x7f]*$"
PART_PATTERN = r"^[^\s/.\x00-\x1f\x7f][^\s/\x00-\x1f\x7f]*$"
PATTERNS |= {
    CHECKSUM_PATTERN: "is not a SHA-256 or an MD5; write its 64 or 32 digits of 0-9 and a-f",
    URL_PATTERN: "is not an address; begin it with https://",
    CLASS_PATTERN: "is not the name of a class's folder; leave out slashes and a space at the beginning",
    PART_PATTERN: "is not the name of a folder; leave out spaces, slashes and a point at the beginning",
}
Checksum = Annotated[str, StringConstraints(pattern=CHECKSUM_PATTERN)]
Checksums = dict[str, Checksum]  # by the file's name
Url = Annotated[str, StringConstraints(pattern=URL_PATTERN)]
TrackedFolder = Annotated[LocalPath, AfterValidator(check_tracked_path)]  # whose files are a job's inputs
ClassName = Annotated[str, StringConstraints(pattern=CLASS_PATTERN, max_length=200)]
PartName = Annotated[str, StringConstraints(pattern=PART_PATTERN, max_length=200)]

WHOLE = "all"  # the one part of files that are not parted
STACK_FILES = ("images.tif", "table.csv")  # of a stack, beside its manifest
MASKS_FILE = "masks.tif"  # of a stack whose images' classes are decided in a known place
LIST_FILES = ("table.csv",)  # of images that are read from the data set's own files

CHECKSUMS = "SHA-256 (or MD5) of each of the files by name, for your own data; the published ones if absent."
FILES_FOLDER = "Where the files lie; what is not there is fetched."
MIRRORS = "Addresses of folders that have the files, tried in turn."
TRAIN = "Images to train on; all that the others leave if absent."
VALIDATION = "Images for validation losses, never trained on and never tested on."


class PublishedFile(NamedTuple):
    """A file of a data set as it was published: its SHA-256 (or MD5, if no other was published), and its bytes."""

    checksum: str
    length: int | None = None


# What a source's images are, without where they lie and how many are used: all that a stack depends on.


class Source(Model):
    """What every data set has."""

    # Every source has `classes`, their names; a label is an index into them. None where only the files tell them.

    @property
    def expected_classes(self) -> int:
        """About how many classes there are, for estimates; two where nothing tells."""
        return len(self.classes or ()) or 2

    @property
    def implementation(self) -> str:
        """The module that reads it."""
        return f"assay.data.{self.source}"

    def stack_files(self, split: Split) -> tuple[str, ...]:
        """The files, beside its manifest, that the artifact of a split has."""
        return STACK_FILES

    def part(self, split: Split) -> str:
        """The part of the files that a split is drawn from."""
        return WHOLE


class Pinned(Source):
    """A data set of published files. Its field `sha256` has other hashes of them, for other data of the same format."""

    @property
    def published(self) -> dict[str, PublishedFile]:
        """The files that are read, by name, as they were published."""
        raise NotImplementedError

    @property
    def hashes(self) -> dict[str, str]:
        """The hash that each file must have, by name."""
        return self.sha256 or {name: file.checksum for name, file in self.published.items()}

    @model_validator(mode="after")
    def _every_file_has_a_hash(self) -> Pinned:
        names = list(self.published)
        for name in [*names, *self.hashes]:
            if name not in self.hashes:
                or_else = self._or_else(name)
                raise ValueError(f"sha256: no hash of {name}; give those of all {len(names)} files{or_else}")
            if name not in names:
                raise ValueError(f"sha256: {name} is none of the files that are read: {', '.join(names)}")
        return self

    def _or_else(self, name: str) -> str:
        """What else one can do who has no hash of a file."""
        return ""


# The same in a config: with counts, and where the files lie.


class Configured(Model):
    """What the rules ask of any `images` of a config, beside its `folder` (None where there are no files)."""

    total: ClassVar[int] = 0  # images in the files, about
    archives: ClassVar[tuple[str, ...]] = ()  # endings of the archives that `folder` may name instead of a folder
    beside_archive: ClassVar[tuple[str, ...]] = ()  # files that lie beside such an archive
    is_indexed: ClassVar[bool] = True  # whether its files are looked through once, into an index that splits draw from

    @property
    def held(self) -> Mapping[str, int]:
        """How many images each part of the files has, where that is known."""
        return {}

    @property
    def files(self) -> list[str]:
        """The files, as paths, that the source's images are read from and that can be fetched."""
        return []

    def files_of(self, split: Split) -> list[str]:
        """Those of them that hold the images of a split."""
        return []

    def content(self) -> dict[str, Any]:
        """The source alone, as its model's fields."""
        return self.model_dump(exclude={"train", "validation", "folder", "mirrors", "expected"})

    def left(self, others: int) -> int:
        """About how many images are left to train on beside so many others."""
        return self.train

    def beside(self, split: Split, counts: Mapping[Split, int | None]) -> dict[Split, int]:
        """The other splits' counts, where the images of this split depend on them."""
        return {}


class InParts(Configured):
    """Images of a data set whose splits are drawn in turn from parts that some of them share."""

    def left(self, others: int) -> int:
        return max(1, self.total - others)

    def beside(self, split: Split, counts: Mapping[Split, int | None]) -> dict[Split, int]:
        """The counts of the splits that are drawn first from the same part: a class may have few images there."""
        first = ROLES[: ROLES.index(split)]
        return {other: counts[other] for other in first if counts.get(other) and self.part(other) == self.part(split)}


class Fetched(Configured):
    """Images of a data set whose published files are fetched from mirrors into a folder."""

    @property
    def files(self) -> list[str]:
        return [f"{self.folder}/{name}" for name in self.published]

    def content(self) -> dict[str, Any]:
        return super().content() | {"sha256": self.hashes}
