"""The config's model of classifiers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from assay.study.fields import Model, PositiveInt


class Classifier(Model):
    """A classifier and its training."""

    network: Annotated[str, StringConstraints(pattern=r"^(timm|torchvision)/[A-Za-z0-9_.-]+$")] = Field(
        description="`timm/NAME` or `torchvision/NAME`: any network of either library."
    )
    arguments: dict[str, Any] = Field({}, description="Further arguments of the network's constructor.")
    small_stem: bool = Field(
        False, description="For small images: the first convolution at full resolution, without pooling."
    )
    mean: tuple[float, float, float] = Field(
        (0.5, 0.5, 0.5), description="Normalisation inside the module: mean by channel, for images in [0,1]."
    )
    std: tuple[float, float, float] = Field(
        (0.5, 0.5, 0.5), description="Normalisation inside the module: standard deviation by channel."
    )
    epochs: PositiveInt = Field(10, description="Passes over the training images.")
    batch_size: PositiveInt = Field(64, description="Images a training step.")
    learning_rate: float = Field(2e-3, gt=0, description="Highest learning rate of AdamW.")
    weight_decay: float = Field(1e-2, ge=0, description="Weight decay of AdamW.")
    schedule: Literal["one_cycle", "cosine"] = Field("one_cycle", description="Course of the learning rate.")
    flips: bool = Field(True, description="Flip training images left-right and up-down at random.")
    seed: int = Field(0, ge=0, description="Added to the study's seed: another value trains another network.")


class ClassifierSpec(Model):
    """What train_classifier reads."""

    classifier: Classifier
    seed: int
