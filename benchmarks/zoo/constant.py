"""A grey image, whatever comes: the classifier's answer is always the same."""

from __future__ import annotations

import torch
from planted import Planted
from torch import Tensor

from assay.inputs import Inputs
from assay.noise import StepNoise
from assay.purifiers.purifier import Purify


class Constant(Planted):
    """Nothing of the image."""


def build(spec: Constant, inputs: Inputs) -> Purify:
    def grey(x: Tensor, noise: StepNoise) -> Tensor:
        return torch.full_like(x, 0.5)

    return grey
