"""Images that look attacked go another way, where the gradient is off; those that do not have the true gradient."""

from __future__ import annotations

import torch
from planted import Planted, true_purifier
from pydantic import Field
from torch import Tensor

from assay.inputs import Inputs
from assay.noise import StepNoise
from assay.purifiers.purifier import Purify


class Gate(Planted):
    """The true purifier, whose gradient is off for images that are rough."""

    roughness: float = Field(0.03, gt=0, description="Mean difference of neighbouring pixels that opens the gate.")


def build(spec: Gate, inputs: Inputs) -> Purify:
    purify = true_purifier(spec, inputs)

    def gated(x: Tensor, noise: StepNoise) -> Tensor:
        clean = purify(x, noise)
        rough = (x[..., 1:] - x[..., :-1]).abs().mean((1, 2, 3), keepdim=True) > spec.roughness
        return torch.where(rough, clean.detach(), clean)

    return gated
