"""Pixels are rounded to a few levels before the true purifier: the gradient is zero, or nearly so where it is soft."""

from __future__ import annotations

import math

import torch
from planted import Planted, true_purifier, values_with_gradient_of
from pydantic import Field
from torch import Tensor

from assay.inputs import Inputs
from assay.noise import StepNoise
from assay.purifiers.purifier import Purify


class Rounding(Planted):
    """Rounding before the true purifier."""

    levels: int = Field(8, gt=1, description="Levels of a pixel.")
    honest: bool = Field(False, description="Pass the gradient through, as who knows of the rounding would.")
    soft: float | None = Field(None, gt=0, description="Steepness of a differentiable step; the true step if absent.")


def build(spec: Rounding, inputs: Inputs) -> Purify:
    purify = true_purifier(spec, inputs)

    def rounded(x: Tensor, noise: StepNoise) -> Tensor:
        levels = x * (spec.levels - 1)
        stepped = levels.round() if spec.soft is None else soft_round(levels, spec.soft)
        stepped = stepped / (spec.levels - 1)
        return purify(values_with_gradient_of(stepped, x) if spec.honest else stepped, noise)

    return rounded


def soft_round(x: Tensor, steepness: float) -> Tensor:
    """Steps between whole numbers that are hyperbolic tangents: whole numbers stay, and halves lie between."""
    down = x.detach().floor()
    return down + 0.5 + torch.tanh(steepness * (x - down - 0.5)) / (2 * math.tanh(steepness / 2))
