"""The ball while an attack moves in it: random points, directions of steepest ascent, the way back inside.

The storage grid comes later (`assay.attacks.ball`); here images are floats (n, 3, h, w) in [0,1].
"""

from __future__ import annotations

import torch
from torch import Tensor

from assay.noise import normal
from assay.study.fields import Norm


def random_point(images: Tensor, norm: Norm, eps: float, seed: int, keys: Tensor, draw: int) -> Tensor:
    """A random point of each image's ball, uniform before it is clipped; a function of seed, key and draw."""

    def gaussian(step: int, *shape: int) -> Tensor:
        draws = torch.full_like(keys, draw)
        return normal(seed, keys, draws, step, shape, images.device).to(images.dtype)

    values = gaussian(0, *images.shape[1:])
    if norm == "Linf":
        return (images + eps * (2 * torch.special.ndtr(values) - 1)).clamp(0, 1)
    radius = torch.special.ndtr(gaussian(1, 1, 1, 1)) ** (1 / values[0].numel())
    return (images + eps * radius * values / length(values)).clamp(0, 1)


def ascent(gradient: Tensor, norm: Norm) -> Tensor:
    """The unit step of steepest ascent: the gradient's sign, or the gradient over its length; zero where that is."""
    if norm == "Linf":
        return gradient.sign()
    smallest = torch.finfo(gradient.dtype).tiny
    scaled = gradient / gradient.abs().amax((1, 2, 3), keepdim=True).clamp_min(smallest)  # squares do not underflow
    return scaled / length(scaled).clamp_min(smallest)


def into_ball(x: Tensor, images: Tensor, norm: Norm, eps: float) -> Tensor:
    """The nearest point of the ball around each image, then of [0,1]."""
    delta = x - images
    if norm == "Linf":
        return (images + delta.clamp(-eps, eps)).clamp(0, 1)
    return (images + delta * (eps / length(delta).clamp_min(1e-12)).clamp_max(1)).clamp(0, 1)


def length(values: Tensor) -> Tensor:
    """L2 norms (n, 1, 1, 1)."""
    return torch.linalg.vector_norm(values, dim=(1, 2, 3), keepdim=True)
