"""The true purifier without its gradient: always, in every second draw, or in one branch of a residual."""

from __future__ import annotations

from typing import Literal

import torch
from planted import Planted, true_purifier
from pydantic import Field
from torch import Tensor

from assay.inputs import Inputs
from assay.noise import StepNoise
from assay.purifiers.purifier import Purify


class Detached(Planted):
    """The true purifier, cut off from its images."""

    part: Literal["all", "half the draws", "noise estimate"] = Field(description="Where the gradient is cut off.")


def build(spec: Detached, inputs: Inputs) -> Purify:
    purify = true_purifier(spec, inputs)

    def cut(x: Tensor, noise: StepNoise) -> Tensor:
        clean = purify(x, noise)
        if spec.part == "all":
            return clean.detach()
        if spec.part == "noise estimate":
            return x + (clean - x).detach()
        heads = noise(1)[:, :1, :1, :1] > 0
        return torch.where(heads, clean, clean.detach())

    return cut
