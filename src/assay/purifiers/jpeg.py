"""JPEG compression (Guo et al. 2018): the real codec forward, a differentiable JPEG backward.

The codec has no useful gradient: rounding makes it zero almost everywhere. An attacker would take the gradient of a
differentiable JPEG of the same quality in its place (Shin and Song 2017), and so do the attacks here: a coefficient's
rounding has a derivative that is highest halfway between two integers, where the least change makes a difference, and
colour is seen at half the resolution. benchmarks/RESULTS.md compares it with two simpler gradients, which leave more.
"""

from __future__ import annotations

import functools
import io
import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from assay.inputs import Inputs
from assay.purifiers.purifier import Purify, repaired
from assay.study.purifiers import JpegPurifier

Rounding = Callable[[Tensor], Tensor]

BLOCK = 8  # pixels of a side of what is transformed at once
# The quantisation tables of quality 50 (ITU-T T.81, Annex K), by vertical then horizontal frequency.
BRIGHTNESS = [
    [16, 11, 10, 16, 24, 40, 51, 61],
    [12, 12, 14, 19, 26, 58, 60, 55],
    [14, 13, 16, 24, 40, 57, 69, 56],
    [14, 17, 22, 29, 51, 87, 80, 62],
    [18, 22, 37, 56, 68, 109, 103, 77],
    [24, 35, 55, 64, 81, 104, 113, 92],
    [49, 64, 78, 87, 103, 121, 120, 101],
    [72, 92, 95, 98, 112, 100, 103, 99],
]
COLOUR = [
    [17, 18, 24, 47, 99, 99, 99, 99],
    [18, 21, 26, 66, 99, 99, 99, 99],
    [24, 26, 56, 99, 99, 99, 99, 99],
    [47, 66, 99, 99, 99, 99, 99, 99],
    *([99] * BLOCK for _ in range(4)),
]
# From red, green, blue to brightness and two differences of colour (JFIF), in grey levels.
TO_COLOURS = [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]]


def build(spec: JpegPurifier, inputs: Inputs) -> Purify:
    """x -> JPEG(x + sigma n)."""
    return repaired(functools.partial(compress, quality=spec.quality), spec.sigma)


def compress(x: Tensor, quality: int) -> Tensor:
    """Images (n, 3, h, w) as the codec gives them back, with the gradient of `differentiable`."""
    real = codec(x.detach(), quality)
    if not x.requires_grad:
        return real
    smooth = differentiable(x, quality, soft_round)
    return real + smooth - smooth.detach()


def codec(x: Tensor, quality: int) -> Tensor:
    """Images (n, 3, h, w) written as JPEG files of a quality, with colour at half the resolution, and read again."""
    read = []
    for image in (255 * x.clamp(0, 1)).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy():
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=quality, subsampling="4:2:0")
        read.append(np.asarray(Image.open(file)))
    return torch.from_numpy(np.stack(read)).permute(0, 3, 1, 2).to(x) / 255


def differentiable(x: Tensor, quality: int, rounding: Rounding) -> Tensor:
    """What `codec` does, by formulas, with a rounding of coefficients that may have a gradient."""
    matrix = x.new_tensor(TO_COLOURS)
    height, width = x.shape[2:]
    levels = _extend(255 * x.clamp(0, 1), 2 * BLOCK)
    colours = torch.einsum("ij,njhw->nihw", matrix, levels) - x.new_tensor([128.0, 0, 0]).view(1, 3, 1, 1)
    bright = _quantised(colours[:, :1], quantisation(BRIGHTNESS, quality).to(x), rounding)
    colour = _quantised(F.avg_pool2d(colours[:, 1:], 2), quantisation(COLOUR, quality).to(x), rounding)
    colour = colour[:, :, : (height + 1) // 2, : (width + 1) // 2]
    colour = F.interpolate(colour, scale_factor=2, mode="bilinear")
    found = torch.cat([part[:, :, :height, :width] for part in (bright + 128, colour)], dim=1)
    return (torch.einsum("ij,njhw->nihw", torch.linalg.inv(matrix), found) / 255).clamp(0, 1)


def soft_round(values: Tensor) -> Tensor:
    """Rounding with the derivative 3 (c - round c)^2 (Shin and Song 2017)."""
    nearest = values.detach().round()
    return nearest + (values - nearest) ** 3


def _extend(x: Tensor, multiple: int) -> Tensor:
    """Images whose sides are multiples of a number, by repeating their last row and column."""
    down, right = (-side % multiple for side in x.shape[2:])
    return F.pad(x, (0, right, 0, down), mode="replicate")


def _quantised(channels: Tensor, table: Tensor, rounding: Rounding) -> Tensor:
    """Channels (n, c, h, w) with the coefficients of each block's cosine transform rounded to multiples of a table."""
    height, width = channels.shape[2:]
    blocks = channels.unflatten(3, (width // BLOCK, BLOCK)).unflatten(2, (height // BLOCK, BLOCK)).transpose(3, 4)
    basis = _cosines().to(channels)
    rounded = table * rounding(basis @ blocks @ basis.T / table)
    return (basis.T @ rounded @ basis).transpose(3, 4).flatten(4, 5).flatten(2, 3)


@functools.cache
def _cosines() -> Tensor:
    """The orthonormal cosine transform (frequencies, pixels) of a row of a block."""
    place = torch.arange(BLOCK, dtype=torch.float64)
    rows = torch.cos(math.pi / BLOCK * (place + 0.5) * place[:, None]) * (2 / BLOCK) ** 0.5
    rows[0] /= 2**0.5
    return rows


def quantisation(base: list[list[int]], quality: int) -> Tensor:
    """The quantisation table of a quality from 1 to 100, as libjpeg scales it."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return torch.tensor(base).mul(scale).add(50).div(100, rounding_mode="floor").clamp(1, 255)
