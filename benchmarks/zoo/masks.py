"""Gradients of which a part is left out, or whose size is changed: the values are the true purifier's."""

from __future__ import annotations

from typing import Literal

import torch
from planted import Planted, change_gradient, true_purifier
from pydantic import Field
from torch import Tensor

from assay.inputs import Inputs
from assay.noise import StepNoise
from assay.purifiers.purifier import Purify


class Mask(Planted):
    """The true purifier, whose gradient is masked or scaled."""

    mask: Literal["low frequencies", "pixels", "colour", "scale"] = Field(description="What is done to the gradient.")
    amount: float = Field(1.0, gt=0, description="Side of the square of low frequencies, or the factor of `scale`.")
    on_the_way: bool = Field(
        False, description="Only of images that lie between stored values: those that an attack meets on its way."
    )


def build(spec: Mask, inputs: Inputs) -> Purify:
    purify = true_purifier(spec, inputs)
    mask = {
        "low frequencies": lambda gradient: without_low_frequencies(gradient, int(spec.amount)),
        "pixels": without_half_the_pixels,
        "colour": without_green,
        "scale": lambda gradient: spec.amount * gradient,
    }[spec.mask]

    def masked(x: Tensor, noise: StepNoise) -> Tensor:
        spared = is_stored(x) if spec.on_the_way else torch.zeros_like(x, dtype=torch.bool)
        return purify(change_gradient(x, lambda gradient: torch.where(spared, gradient, mask(gradient))), noise)

    return masked


def is_stored(x: Tensor) -> Tensor:
    """Which images (n, 1, 1, 1) have 8-bit values alone."""
    levels = 255 * x.detach()
    return (levels - levels.round()).abs().amax((1, 2, 3), keepdim=True) < 1e-3


def cosines(side: int, like: Tensor) -> Tensor:
    """The orthonormal cosine transform (side, side), type II: row k is the k-th frequency."""
    k = torch.arange(side, dtype=like.dtype, device=like.device)
    basis = torch.cos(torch.pi * k[:, None] * (2 * k[None] + 1) / (2 * side)) * (2 / side) ** 0.5
    basis[0] /= 2**0.5
    return basis


def without_low_frequencies(gradient: Tensor, side: int) -> Tensor:
    """Gradients (n, 3, h, w) whose cosine transform is zero in a square at the origin."""
    down, across = (cosines(size, gradient) for size in gradient.shape[2:])
    spectrum = down @ gradient @ across.T
    spectrum[:, :, :side, :side] = 0
    return down.T @ spectrum @ across


def without_half_the_pixels(gradient: Tensor) -> Tensor:
    """Gradients (n, 3, h, w) that are zero on the white fields of a chessboard."""
    rows, columns = (torch.arange(size, device=gradient.device) for size in gradient.shape[2:])
    return gradient * ((rows[:, None] + columns) % 2)


def without_green(gradient: Tensor) -> Tensor:
    """Gradients (n, 3, h, w) that are zero in the second colour."""
    return gradient * torch.tensor([1.0, 0.0, 1.0], device=gradient.device)[:, None, None]
