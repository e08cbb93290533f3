"""The config's models of data sets, and the specs of the stages that make stacks of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field, model_validator

from assay.study.cifar import CIFAR_FILES, Cifar10Images, Cifar10Source, Cifar100Images, Cifar100Source
from assay.study.fields import Brought, LocalPath, Model, PositiveInt
from assay.study.imagenet import ImagenetImages, ImagenetSource
from assay.study.medmnist import MedMnistImages, MedMnistSource
from assay.study.preprocessing import Preprocessing, check_resize
from assay.study.sources import (
    CHECKSUMS,
    FILES_FOLDER,
    LIST_FILES,
    MASKS_FILE,
    MIRRORS,
    STACK_FILES,
    TRAIN,
    VALIDATION,
    WHOLE,
    Checksum,
    Checksums,
    ClassName,
    Configured,
    Fetched,
    InParts,
    PartName,
    Pinned,
    PublishedFile,
    Source,
    Split,
    TrackedFolder,
    Url,
)

TUMOUR = ("normal", "tumour")  # the classes of PCam, and of the phantom that is like it

# PCam's published files by part (test, valid, train) and content (x: images, y: labels): SHA-256 and bytes.
PCAM_FILES = {
    "camelyonpatch_level_2_split_test_x.h5.gz": PublishedFile(
        "79174c2201ad521602a5888be8f36ee10875f37403dd3f2086caf2182ef87245",
        800_875_929,
    ),
    "camelyonpatch_level_2_split_test_y.h5.gz": PublishedFile(
        "0a522005fccc8bbd04c5a117bfaf81d8da2676f03a29d7499f71d0a0bd6068ef",
        3_040,
    ),
    "camelyonpatch_level_2_split_valid_x.h5.gz": PublishedFile(
        "f82ee1670d027b4ec388048d9eabc2186b77c009655dae76d624c0ecb053ccb2",
        805_965_320,
    ),
    "camelyonpatch_level_2_split_valid_y.h5.gz": PublishedFile(
        "ce1ae30f08feb468447971cfd0472e7becd0ad96d877c64120c72571439ae48c",
        3_038,
    ),
    "camelyonpatch_level_2_split_train_x.h5.gz": PublishedFile(
        "d619e741468a7ab35c7e4a75e6821b7e7e6c9411705d45708f2a0efc8960656c",
        6_421_353_462,
    ),
    "camelyonpatch_level_2_split_train_y.h5.gz": PublishedFile(
        "b74126d2c01b20d3661f9b46765d29cf4e4fba6faba29c8e0d09d406331ab75a",
        21_378,
    ),
}
# The files that name the slides of the images that are tested and chosen on: MD5, as no SHA-256 was published.
PCAM_SLIDES = {
    "camelyonpatch_level_2_split_test_meta.csv": PublishedFile("3455fd69135b66734e1008f3af684566"),
    "camelyonpatch_level_2_split_valid_meta.csv": PublishedFile("67589e00a4a37ec317f2d1932c7502ca"),
}
PCAM_IMAGES = {"test": 32_768, "valid": 32_768, "train": 262_144}  # in each part
# The part that the images of a split are drawn from.
PCAM_PARTS: dict[Split, str] = {"test": "test", "selection": "valid", "validation": "valid", "train": "train"}
# The phantom's classes by task; those of tissue are NCT-CRC-HE's, in its order (Kather et al. 2018).
PHANTOM_CLASSES: dict[str, tuple[str, ...]] = {
    "tumour": TUMOUR,
    "tissue": (
        "adipose",
        "background",
        "debris",
        "lymphocytes",
        "mucus",
        "smooth muscle",
        "normal mucosa",
        "stroma",
        "tumour epithelium",
    ),
    "lesion": ("normal", "lesion"),
}
PHANTOM_TISSUE_SIZE = 32  # pixels at which its structures can still be seen


def pcam_file(part: str, content: str) -> str:
    """The name of PCam's file of a part (test, valid, train) with the images (x) or the labels (y)."""
    return f"camelyonpatch_level_2_split_{part}_{content}.h5.gz"


def pcam_slides_file(part: str) -> str:
    """The name of PCam's file with the slides of a part's images."""
    return f"camelyonpatch_level_2_split_{part}_meta.csv"


def length_of(file: str, checksum: str) -> int | None:
    """The bytes of a published file, where that is known."""
    known = (PCAM_FILES | CIFAR_FILES).get(file)
    return known.length if known and known.checksum == checksum else None


class PhantomSource(Source):
    """The embedded data set: procedural patches of H&E tissue, of one of three tasks."""

    source: Literal["phantom"] = Field(description="The data set; `phantom` is made on the spot, without a download.")
    task: Literal["tumour", "tissue", "lesion"] = Field(
        "tumour",
        description="What the classes are: tumour in the centre third or not, nine kinds of tissue, or normal tissue "
        "with and without one nest of tumour, whose mask and area are kept.",
    )
    size: int = Field(
        32, ge=16, le=512, description="Side of an image in pixels (PCam has 96); 32 or more for `tissue` and `lesion`."
    )

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the task's classes; a label is a place among them."""
        return PHANTOM_CLASSES[self.task]

    @property
    def implementation(self) -> str:
        """The module of the task, so that none depends on another's code."""
        return f"assay.data.phantom.{self.task}"

    def stack_files(self, split: Split) -> tuple[str, ...]:
        """A lesion's stack has a mask of what decides each image, too."""
        return (*STACK_FILES, *([MASKS_FILE] if self.task == "lesion" else []))

    @model_validator(mode="after")
    def _large_enough(self) -> PhantomSource:
        if self.task != "tumour" and self.size < PHANTOM_TISSUE_SIZE:
            raise ValueError(f"size: must be at least {PHANTOM_TISSUE_SIZE} for task {self.task}, got {self.size}")
        return self


class PcamSource(Pinned):
    """PatchCamelyon's files, or other data in the same format."""

    classes: ClassVar[tuple[str, ...]] = TUMOUR

    source: Literal["pcam"] = Field(
        description="PatchCamelyon as published: six `.h5.gz` files, and two `_meta.csv` files for the slides."
    )
    size: int = Field(96, ge=16, le=512, description="Side of an image in pixels.")
    slides: bool = Field(
        True,
        description="Read which slide each image is from, and let intervals and tests go by slide: patches of one "
        "slide are alike.",
    )
    sha256: Checksums | None = Field(None, description=CHECKSUMS)

    @property
    def published(self) -> dict[str, PublishedFile]:
        return PCAM_FILES | (PCAM_SLIDES if self.slides else {})

    def part(self, split: Split) -> str:
        return PCAM_PARTS[split]

    def _or_else(self, name: str) -> str:
        return ", or set slides: false where no slides are known" if name in PCAM_SLIDES else ""


class KaggleSource(Source):
    """Kaggle's edition of PCam, without duplicates, or other data in the same format."""

    classes: ClassVar[tuple[str, ...]] = TUMOUR

    source: Literal["kaggle"] = Field(description="Kaggle's edition of PCam: `train/<id>.tif` and `train_labels.csv`.")
    size: int = Field(96, ge=16, le=512, description="Side of an image in pixels.")


class FolderSource(Source):
    """Image files in one folder per class, as ImageNet has them: a folder, a `.zip` or an uncompressed `.tar`."""

    upright: ClassVar[bool] = True  # photographs are turned by their EXIF tag

    source: Literal["folder"] = Field(
        description="JPEG, PNG, TIFF and WebP files, one folder per class, in a folder or an archive (.zip, .tar)."
    )
    size: int = Field(
        ge=16, le=1024, description="Side of an image in pixels: the shorter side is resized to it, the centre cropped."
    )
    preprocess: Preprocessing | None = Field(
        None,
        exclude_if=lambda value: value is None,
        description="Another way from a file to an image of `size` pixels, with the keys below.",
    )
    classes: tuple[ClassName, ...] | None = Field(
        None, min_length=2, description="Names of the folders that are classes, in this order; all, sorted, if absent."
    )
    parts: dict[Split, PartName] | None = Field(
        None,
        description="The folder above the classes' that each split is drawn from, such as `{train: train, test: val, "
        "…}`; selection has validation's if absent. Without parts every split is drawn from the same files.",
    )

    def part(self, split: Split) -> str:
        if self.parts is None:
            return WHOLE
        return self.parts.get(split, self.parts["validation"])

    def stack_files(self, split: Split) -> tuple[str, ...]:
        return LIST_FILES if split == "train" else STACK_FILES

    @model_validator(mode="after")
    def _consistent(self) -> FolderSource:
        if self.preprocess:
            check_resize(self.preprocess, self.size)
        if self.classes and len(set(self.classes)) < len(self.classes):
            raise ValueError(f"classes: a name stands there twice; the {len(self.classes)} names must differ")
        for split in ("train", "validation", "test"):
            if self.parts is not None and split not in self.parts:
                raise ValueError(f"parts: no folder for {split}; name those of train, validation and test")
        return self


class PythonSource(Brought, Source):
    """What your own module makes: `open_split(spec, index, folder, scratch)` gives a table and the images."""

    model_config = ConfigDict(extra="allow", frozen=True)

    entry: ClassVar[str] = "open_split"

    source: Literal["python"] = Field(description="A module of your own, see README.md.")
    size: int = Field(ge=16, le=1024, description="Side of an image in pixels.")
    classes: tuple[ClassName, ...] = Field(min_length=2, description="The classes' names; a label is their index.")


AnySource = Annotated[
    PhantomSource
    | PcamSource
    | KaggleSource
    | Cifar10Source
    | Cifar100Source
    | MedMnistSource
    | ImagenetSource
    | FolderSource
    | PythonSource,
    Field(discriminator="source"),
]

FilesSource = FolderSource | ImagenetSource  # those whose images are a file each


# The same in a config: with counts, and where the files lie.


class PhantomImages(PhantomSource, Configured):
    """The embedded data set and how much of it to use."""

    folder: ClassVar[None] = None
    is_indexed: ClassVar[bool] = False

    train: PositiveInt = Field(description="Images to train on.")
    validation: PositiveInt = Field(description=VALIDATION)


class PcamImages(PcamSource, Fetched):
    """PatchCamelyon: each split is drawn from its own file, selection and validation from the valid file."""

    total: ClassVar[int] = sum(PCAM_IMAGES.values())

    folder: TrackedFolder = Field("data/pcam", description=FILES_FOLDER)
    mirrors: list[Url] = Field(["https://zenodo.org/record/2546921/files/"], min_length=1, description=MIRRORS)
    train: PositiveInt | None = Field(None, description="Images to train on; all of the train file if absent.")
    validation: PositiveInt = Field(description=VALIDATION)

    @property
    def held(self) -> Mapping[str, int]:
        return {} if self.sha256 else PCAM_IMAGES

    def files_of(self, split: Split) -> list[str]:
        return [f"{self.folder}/{pcam_file(self.part(split), 'x')}"]

    def left(self, others: int) -> int:
        return PCAM_IMAGES["train"]


class KaggleImages(KaggleSource, Configured):
    """Kaggle's edition of PCam (histopathologic-cancer-detection): every split is drawn from its labelled images."""

    total: ClassVar[int] = 220_025

    folder: LocalPath = Field("data/kaggle", description="Where `train/` and `train_labels.csv` lie.")
    train: PositiveInt | None = Field(None, description=TRAIN)
    validation: PositiveInt = Field(description=VALIDATION)

    def left(self, others: int) -> int:
        return max(1, self.total - others)

    def beside(self, split: Split, counts: Mapping[Split, int | None]) -> dict[Split, int]:
        if split != "train":
            return {}
        return {other: count for other, count in counts.items() if other != split and count}


class FolderImages(FolderSource, InParts):
    """Image files in one folder per class. Training reads them as they are, all other splits become stacks."""

    archives: ClassVar[tuple[str, ...]] = (".zip", ".tar")

    folder: LocalPath = Field(description="The folder or the archive, from the folder that the study runs in.")
    expected: PositiveInt = Field(
        100_000, description="About how many images the files have; the estimates of time and memory go by it."
    )
    train: PositiveInt | None = Field(None, description=TRAIN)
    validation: PositiveInt = Field(description=VALIDATION)

    @property
    def total(self) -> int:
        return self.expected


class PythonImages(PythonSource, Configured):
    """Images that your own module makes or reads. Its further keys are the module's own."""

    model_config = ConfigDict(extra="allow", frozen=True)

    is_indexed: ClassVar[bool] = False

    folder: LocalPath | None = Field(None, description="A folder with files that the module reads, if it needs any.")
    train: PositiveInt = Field(description="Images to train on.")
    validation: PositiveInt = Field(description=VALIDATION)

    def for_module(self) -> PythonSource:
        return PythonSource(**self.content())


Images = Annotated[
    PhantomImages
    | PcamImages
    | KaggleImages
    | Cifar10Images
    | Cifar100Images
    | MedMnistImages
    | ImagenetImages
    | FolderImages
    | PythonImages,
    Field(discriminator="source"),
]


class FetchSpec(Model):
    """What fetch_images reads."""

    file: str
    checksum: Checksum


class IndexSpec(Model):
    """What index_images reads."""

    images: AnySource


class RolesSpec(Model):
    """What check_images reads: nothing of the config."""


class ImagesSpec(Model):
    """What prepare_images reads. The split takes `count` images, or all, of those that the splits `beside` it leave."""

    images: AnySource
    split: Split
    count: PositiveInt | None
    beside: dict[Split, PositiveInt] = Field({})
    seed: int
