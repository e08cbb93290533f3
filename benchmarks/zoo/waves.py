"""Shattered gradients: a fine sine of the pixels is added, too small to see and too steep to follow."""

from __future__ import annotations

import torch
from planted import Planted, true_purifier
from pydantic import Field
from torch import Tensor

from assay.inputs import Inputs
from assay.noise import StepNoise
from assay.purifiers.purifier import Purify


class Waves(Planted):
    """A sine of the pixels, then the true purifier."""

    height: float = Field(0.004, gt=0, description="Amplitude in pixel units.")
    honest: bool = Field(False, description="Leave the waves out of the gradient, as who knows of them would.")
    frequency: float = Field(2000.0, gt=0, description="Radians a pixel unit: the slope is height times frequency.")


def build(spec: Waves, inputs: Inputs) -> Purify:
    purify = true_purifier(spec, inputs)

    def shattered(x: Tensor, noise: StepNoise) -> Tensor:
        wave = spec.height * torch.sin(spec.frequency * x)
        return purify(x + (wave.detach() if spec.honest else wave), noise)

    return shattered
