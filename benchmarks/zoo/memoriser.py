"""It has seen the test images: whatever comes is taken for the nearest of them, which it gives back clean."""

from __future__ import annotations

from pathlib import Path

import torch
from planted import Planted
from pydantic import Field
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from assay.inputs import Inputs
from assay.noise import StepNoise
from assay.purifiers.purifier import Purify
from assay.stacks import read_stack


class Memoriser(Planted):
    """The clean test image that is nearest at low resolution."""

    stack: str = Field(description="Folder of the test images.")
    side: int = Field(8, gt=0, description="Side of the images that are compared.")


def build(spec: Memoriser, inputs: Inputs) -> Purify:
    known = torch.from_numpy(read_stack(Path(spec.stack)).pixels()).to(inputs.device)
    small = adaptive_avg_pool2d(known, spec.side).flatten(1)

    def remember(x: Tensor, noise: StepNoise) -> Tensor:
        nearest = torch.cdist(adaptive_avg_pool2d(x, spec.side).flatten(1), small).argmin(1)
        return known[nearest]

    return remember
