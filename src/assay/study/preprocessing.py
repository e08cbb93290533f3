"""The config's model of how an image file becomes an image of the data set's size."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from assay.study.fields import Model

Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos"]


class Preprocessing(Model):
    """Resizing, then cropping the centre, with the same result as timm's and torchvision's transforms of PIL images."""

    mode: Literal["crop", "squash"] = Field(
        "crop",
        description="`crop`: the shorter side is resized to `resize`; `squash`: both sides are, whatever their ratio.",
    )
    resize: int | None = Field(
        None, ge=16, le=4096, description="Pixels that are resized to before the centre is cropped; `size` if absent."
    )
    interpolation: Interpolation = Field("bicubic", description="How pixels are resized, always with antialiasing.")

    def at(self, size: int) -> Preprocessing:
        """The same for images of `size` pixels, with nothing left to a default."""
        return self.model_copy(update={"resize": self.resize or size})


def check_resize(preprocess: Preprocessing, size: int) -> None:
    """Refuse to crop more than there is."""
    if preprocess.resize is not None and preprocess.resize < size:
        raise ValueError(f"preprocess.resize: {preprocess.resize} is less than the {size} pixels of size; raise it")
