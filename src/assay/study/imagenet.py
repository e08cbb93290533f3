"""The config's model of ImageNet's validation images (Russakovsky et al. 2015)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from assay.study.fields import LocalPath, PositiveInt
from assay.study.preprocessing import Preprocessing, check_resize
from assay.study.sources import (
    CHECKSUMS,
    LIST_FILES,
    STACK_FILES,
    TRAIN,
    VALIDATION,
    WHOLE,
    Checksums,
    InParts,
    Pinned,
    PublishedFile,
    Split,
)

IMAGENET_IMAGES = "ILSVRC2012_img_val.tar"
IMAGENET_KIT = "ILSVRC2012_devkit_t12.tar.gz"
IMAGENET_FILES = {  # MD5, as no SHA-256 was published
    IMAGENET_IMAGES: PublishedFile("29b22e2961454d5413ddabcf34fc5622"),
    IMAGENET_KIT: PublishedFile("fa75699e90414af021442c21a62c3abf"),
}
COUNT, CLASSES = 50_000, 1000
EVERY, REST = "every", "rest"  # the parts where test images are every k-th of all


class ImagenetSource(Pinned):
    """ImageNet's validation images, from its archives or from unpacked class folders."""

    classes: ClassVar[None] = None  # the development kit, or the folders, tell
    upright: ClassVar[bool] = False  # no photograph is turned by its EXIF tag: published networks never saw them so

    source: Literal["imagenet"] = Field(
        description="ImageNet's 50,000 validation images: the archive as published, or a folder for each class."
    )
    size: int = Field(224, ge=16, le=1024, description="Side of an image in pixels.")
    preprocess: Preprocessing = Field(
        Preprocessing(),
        description="How a file becomes an image of `size` pixels, with the keys below; as most published networks "
        "had it: `{resize: 256, interpolation: bilinear}`.",
    )
    every: int | None = Field(
        None,
        ge=2,
        le=COUNT,
        description="Draw test images from every k-th image alone, in the order of classes and names (50 is the usual "
        "subset of 1,000, one of each class), and all others from the rest; from all images if absent.",
    )
    sha256: Checksums | None = Field(None, description=CHECKSUMS)

    @property
    def published(self) -> dict[str, PublishedFile]:
        return IMAGENET_FILES

    @property
    def expected_classes(self) -> int:
        return CLASSES

    def part(self, split: Split) -> str:
        if self.every is None:
            return WHOLE
        return EVERY if split == "test" else REST

    def stack_files(self, split: Split) -> tuple[str, ...]:
        return LIST_FILES if split == "train" else STACK_FILES

    @model_validator(mode="after")
    def _resize_fits(self) -> ImagenetSource:
        check_resize(self.preprocess, self.size)
        return self


class ImagenetImages(ImagenetSource, InParts):
    """ImageNet's validation images: they need a login, so that they are not fetched."""

    total: ClassVar[int] = COUNT
    archives: ClassVar[tuple[str, ...]] = (".tar",)
    beside_archive: ClassVar[tuple[str, ...]] = (IMAGENET_KIT,)

    folder: LocalPath = Field(
        f"data/imagenet/{IMAGENET_IMAGES}",
        description=f"The archive of the images, with {IMAGENET_KIT} beside it; or a folder with a folder of images "
        "for each class, named as the class is (n01440764, …).",
    )
    train: PositiveInt | None = Field(None, description=TRAIN)
    validation: PositiveInt = Field(description=VALIDATION)

    @property
    def held(self) -> Mapping[str, int]:
        if self.sha256:
            return {}
        chosen = -(-COUNT // self.every) if self.every else 0
        return {EVERY: chosen, REST: COUNT - chosen} if self.every else {WHOLE: COUNT}

    def content(self) -> dict[str, Any]:
        return super().content() | {"sha256": self.hashes}
