"""The config's models of data sets."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from assay.study.fields import Model, PositiveInt

Split = Literal["train", "validation", "selection", "test"]


class PhantomSource(Model):
    """The embedded data set: procedural H&E tissue patches, positive if tumour lies in the centre third."""

    source: Literal["phantom"] = Field(description="The data set; `phantom` is made on the spot, without a download.")
    size: int = Field(32, ge=16, le=512, description="Side of an image in pixels (PCam has 96).")


class PhantomImages(PhantomSource):
    """The embedded data set and how much of it to use."""

    train: PositiveInt = Field(description="Images to train on.")
    validation: PositiveInt = Field(description="Images for validation losses, never trained on and never tested on.")


Images = PhantomImages


class ImagesSpec(Model):
    """What prepare_images reads."""

    images: PhantomSource
    split: Split
    count: PositiveInt
    seed: int
