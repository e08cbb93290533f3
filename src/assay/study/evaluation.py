"""The config's model of what is measured, and the spec of classify."""

from __future__ import annotations

from pydantic import Field

from assay.study.fields import Model, PositiveInt


class Evaluation(Model):
    """What is measured in every cell."""

    images: int = Field(gt=1, description="Test images, balanced over the classes; the same ones in every cell.")
    draws: PositiveInt = Field(3, description="Draws of each stochastic defence an image.")
    batch_size: PositiveInt = Field(64, description="Images a batch in attack, purify and classify.")


class ClassifySpec(Model):
    """What classify reads."""

    batch_size: PositiveInt
