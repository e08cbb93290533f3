"""A surrogate that its author declares: coefficients of 8 x 8 blocks are rounded, and the gradient passes the rounding.

`backward` is false in its model: finite differences of the steps have nothing to say of it, what attacks leave has.
"""

from __future__ import annotations

from masks import cosines
from planted import Planted, true_purifier, values_with_gradient_of
from pydantic import Field
from torch import Tensor

from assay.inputs import Inputs
from assay.noise import StepNoise
from assay.purifiers.purifier import Purify

BLOCK = 8


class SoftJpeg(Planted):
    """JPEG's rounding with a stand-in gradient, then the true purifier."""

    backward: bool = False
    step: float = Field(0.1, gt=0, description="Size of a step of a coefficient, pixel units.")


def build(spec: SoftJpeg, inputs: Inputs) -> Purify:
    purify = true_purifier(spec, inputs)

    def compressed(x: Tensor, noise: StepNoise) -> Tensor:
        basis = cosines(BLOCK, x)
        blocks = x.unfold(2, BLOCK, BLOCK).unfold(3, BLOCK, BLOCK)  # (n, 3, rows, columns, 8, 8)
        spectrum = basis @ blocks @ basis.T
        stepped = values_with_gradient_of((spectrum / spec.step).round() * spec.step, spectrum)
        images = (basis.T @ stepped @ basis).transpose(3, 4).reshape(x.shape)
        return purify(images.clamp(0, 1), noise)

    return compressed
