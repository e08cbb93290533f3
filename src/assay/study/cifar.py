"""The config's models of CIFAR-10 and CIFAR-100 (Krizhevsky 2009), as published for C programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from assay.study.fields import PositiveInt
from assay.study.sources import (
    CHECKSUMS,
    FILES_FOLDER,
    MIRRORS,
    TRAIN,
    VALIDATION,
    Checksums,
    Fetched,
    InParts,
    Pinned,
    PublishedFile,
    Split,
    TrackedFolder,
    Url,
)

TEST, TRAINING = "test", "train"  # the parts
MIRROR = "https://www.cs.toronto.edu/~kriz/"
HELD = {TEST: 10_000, TRAINING: 50_000}  # images
# The MD5 on their author's page are c32a1d4ab5d03f1284b67883e8d87530 and 03b5dce01913d631647c71ecec9e9cb8.
CIFAR10_FILE = "cifar-10-binary.tar.gz"
CIFAR100_FILE = "cifar-100-binary.tar.gz"
CIFAR_FILES = {
    CIFAR10_FILE: PublishedFile("c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd", 170_052_171),
    CIFAR100_FILE: PublishedFile("58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec", 168_513_733),
}
CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_CIFAR100_NAMES = """
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
    caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant
    flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree
    motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate
    poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider
    squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle
    wardrobe whale willow_tree wolf woman worm"""
CIFAR100_CLASSES = tuple(_CIFAR100_NAMES.split())


class Cifar(Pinned):
    """What the two have in common: an archive of files of records, a few bytes of labels and an image each."""

    size: ClassVar[int] = 32
    archive: ClassVar[str]
    classes: ClassVar[tuple[str, ...]]
    labels: ClassVar[tuple[str, ...]]  # the labels at the beginning of a record, a byte each; the last one counts
    members: ClassVar[Mapping[str, tuple[str, ...]]]  # the archive's files of each part

    @property
    def implementation(self) -> str:
        return "assay.data.cifar"

    @property
    def published(self) -> dict[str, PublishedFile]:
        return {self.archive: CIFAR_FILES[self.archive]}

    def part(self, split: Split) -> str:
        return TEST if split == "test" else TRAINING


class Cifar10Source(Cifar):
    """CIFAR-10's archive, or other data in the same format."""

    archive: ClassVar[str] = CIFAR10_FILE
    classes: ClassVar[tuple[str, ...]] = CIFAR10_CLASSES
    labels: ClassVar[tuple[str, ...]] = ("label",)
    members: ClassVar[Mapping[str, tuple[str, ...]]] = {
        TEST: ("cifar-10-batches-bin/test_batch.bin",),
        TRAINING: tuple(f"cifar-10-batches-bin/data_batch_{number}.bin" for number in range(1, 6)),
    }

    source: Literal["cifar10"] = Field(
        description="CIFAR-10 in its binary version, one `.tar.gz`: 32 by 32 pixels, ten classes."
    )
    sha256: Checksums | None = Field(None, description=CHECKSUMS)


class Cifar100Source(Cifar):
    """CIFAR-100's archive, or other data in the same format."""

    archive: ClassVar[str] = CIFAR100_FILE
    classes: ClassVar[tuple[str, ...]] = CIFAR100_CLASSES
    labels: ClassVar[tuple[str, ...]] = ("coarse label", "fine label")
    members: ClassVar[Mapping[str, tuple[str, ...]]] = {
        TEST: ("cifar-100-binary/test.bin",),
        TRAINING: ("cifar-100-binary/train.bin",),
    }

    source: Literal["cifar100"] = Field(
        description="CIFAR-100 in its binary version, one `.tar.gz`: 32 by 32 pixels, its hundred fine classes."
    )
    sha256: Checksums | None = Field(None, description=CHECKSUMS)


class CifarImages(Fetched, InParts):
    """What the two have in common in a config."""

    total: ClassVar[int] = sum(HELD.values())

    @property
    def held(self) -> Mapping[str, int]:
        return {} if self.sha256 else HELD

    def files_of(self, split: Split) -> list[str]:
        return self.files

    def left(self, others: int) -> int:
        return max(1, HELD[TRAINING] - others)


class Cifar10Images(Cifar10Source, CifarImages):
    """CIFAR-10: test images from its test file, all others from its five training files."""

    folder: TrackedFolder = Field("data/cifar10", description=FILES_FOLDER)
    mirrors: list[Url] = Field([MIRROR], min_length=1, description=MIRRORS)
    train: PositiveInt | None = Field(None, description=TRAIN)
    validation: PositiveInt = Field(description=VALIDATION)


class Cifar100Images(Cifar100Source, CifarImages):
    """CIFAR-100: test images from its test file, all others from its training file."""

    folder: TrackedFolder = Field("data/cifar100", description=FILES_FOLDER)
    mirrors: list[Url] = Field([MIRROR], min_length=1, description=MIRRORS)
    train: PositiveInt | None = Field(None, description=TRAIN)
    validation: PositiveInt = Field(description=VALIDATION)
