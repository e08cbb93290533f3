"""The ball on the storage grid: what is on disk is what is evaluated, so the projection is in stored integers.

It is computed where the images are, in whole numbers (and 64-bit floats for the length in L2).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from assay.study.attacks import storage_bits
from assay.study.fields import Norm


def project(pixels: Tensor, images: Tensor, norm: Norm, eps: float) -> Tensor:
    """Perturbed images (n, 3, h, w) in [0,1] as stored integers (n, 3, h, w), int64, inside the ball around `images`.

    The clean `images` lie on the grid: they were read from a stack of 8 bits, or of as many as are stored.
    """
    top = 2 ** storage_bits(norm, eps) - 1
    centre = on_grid(images, top)
    if norm == "Linf":
        reach = math.floor(top * eps + 1e-6)
        moved = on_grid(pixels, top).clamp(centre - reach, centre + reach)
    else:
        delta = pixels.double() * top - centre
        length = (delta**2).sum(dim=(1, 2, 3), keepdim=True).sqrt()
        delta = delta * (top * eps / length.clamp_min(1e-12)).clamp_max(1)
        moved = centre + delta.trunc().long()  # towards the centre: rounding cannot leave the ball
    return moved.clamp(0, top)


def on_grid(pixels: Tensor, top: int) -> Tensor:
    """Images in [0,1] on the nearest points of a grid of `top` levels, int64."""
    return (pixels.double() * top).round().clamp(0, top).long()


def to_pixels(integers: Tensor, norm: Norm, eps: float) -> Tensor:
    """Stored integers as the float32 images in [0,1] that later stages read."""
    top = torch.tensor(2.0 ** storage_bits(norm, eps) - 1, device=integers.device)
    return integers.float() / top  # by a tensor: by a number a GPU would multiply with its inverse, which rounds twice


def to_stored(integers: Tensor, norm: Norm, eps: float) -> np.ndarray:
    """Stored integers (n, 3, h, w) as they are written, (n, h, w, 3) of uint8 or uint16."""
    kind = {8: np.uint8, 16: np.uint16}[storage_bits(norm, eps)]
    return np.ascontiguousarray(integers.permute(0, 2, 3, 1).cpu().numpy().astype(kind))
