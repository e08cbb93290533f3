"""The values of the true purifier with the gradient of another: at another sigma, or under another draw's noise."""

from __future__ import annotations

from collections.abc import Callable

from planted import Planted, true_purifier, values_with_gradient_of
from pydantic import Field
from torch import Tensor

from assay.inputs import Inputs
from assay.noise import StepNoise
from assay.purifiers.purifier import Purify


class Mismatched(Planted):
    """The true purifier, with the gradient of another one."""

    backward_sigma: float | None = Field(None, ge=0, description="The other purifier's sigma; the same if absent.")
    backward_step: int = Field(0, ge=0, description="The step whose noise the other one adds; 0 is the true noise.")


def build(spec: Mismatched, inputs: Inputs) -> Purify:
    purify = true_purifier(spec, inputs)
    other = true_purifier(spec, inputs, spec.backward_sigma)

    def mismatched(x: Tensor, noise: StepNoise) -> Tensor:
        return values_with_gradient_of(purify(x, noise), other(x, Later(noise, spec.backward_step)))

    return mismatched


class Later:
    """The noise of a realisation from a later step on."""

    def __init__(self, noise: Callable[[int], Tensor], first: int) -> None:
        self.noise, self.first = noise, first

    def __call__(self, step: int) -> Tensor:
        return self.noise(self.first + step)

    def like(self, images: Tensor) -> Later:
        return Later(self.noise.like(images), self.first)
