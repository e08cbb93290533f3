"""What all planted purifiers share: the true one that they are built around, and gradients that are not their own.

Where a fault changes nothing but the gradient, the true purifier shows what it hides: attacks on both would leave the
same. A fault that changes the values too can be made `honest`: the same values, with the gradient that an attacker who
knows of the fault would follow.
"""

from __future__ import annotations

from collections.abc import Callable

from pydantic import Field
from torch import Tensor

from assay.diffusion.samplers import ddim
from assay.inputs import Inputs
from assay.purifiers.purifier import Purify, sampled
from assay.study.fields import Name
from assay.study.needs import Need, Needs
from assay.study.purifiers import PythonPurifier


class Planted(PythonPurifier):
    """A fault around one call of a diffusion's denoiser."""

    diffusion: Name = Field(description="The diffusion of the true purifier.")

    @property
    def needs(self) -> Needs:
        return {"diffusion": Need("diffusion", self.diffusion)}


def true_purifier(spec: Planted, inputs: Inputs, sigma: float | None = None) -> Purify:
    """The purifier around which the fault is planted, `oneshot`, at the spec's sigma unless another is given."""
    denoiser = inputs.denoiser("diffusion")
    return sampled(denoiser, ddim, denoiser.schedule.ladder(spec.sigma if sigma is None else sigma, 1))


def values_with_gradient_of(values: Tensor, stand_in: Tensor) -> Tensor:
    """The values of one tensor, and the gradient of another one of its shape."""
    return stand_in + (values - stand_in).detach()


def change_gradient(x: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    """The same images (n, 3, h, w), whose gradient is changed on its way back."""
    seen = x.view_as(x)
    if seen.requires_grad:
        seen.register_hook(change)
    return seen
