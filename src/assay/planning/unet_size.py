"""How large a diffusion's U-Net is, by arithmetic: its parameters and the work of one call, without building it."""

from __future__ import annotations

from dataclasses import dataclass

from assay.study.diffusions import Diffusion, PublishedDiffusion

COLOURS = 3


@dataclass(frozen=True)
class Size:
    """Parameters, and multiply-adds of one call on one image."""

    parameters: int = 0
    multiply_adds: int = 0

    def __add__(self, other: Size) -> Size:
        return Size(self.parameters + other.parameters, self.multiply_adds + other.multiply_adds)


def unet_size(diffusion: Diffusion | PublishedDiffusion, size: int) -> Size:
    """The size of diffusers' UNet2DModel as `assay.networks.unet` builds it, for images of `size` pixels.

    Of a published diffusion it is what the config says of it, since its own files may not be at hand.
    """
    channels, last = diffusion.channels, len(diffusion.channels) - 1
    time = 4 * channels[0]
    total = _linear(channels[0], time) + _linear(time, time) + _convolution(COLOURS, channels[0], size)
    here, side = channels[0], size
    skips = [here]
    for level, width in enumerate(channels):
        for _ in range(diffusion.layers_per_block):
            total += _residual(here, width, time, side) + _attention_at(diffusion, level, width, side)
            here = width
            skips.append(here)
        if level < last:
            side //= 2
            total += _convolution(here, here, side)
            skips.append(here)
    total += _residual(here, here, time, side) + _residual(here, here, time, side)
    total += _attention(here, side) if diffusion.middle_attention else Size()
    for level, width in reversed(list(enumerate(channels))):
        for _ in range(diffusion.layers_per_block + 1):
            total += _residual(here + skips.pop(), width, time, side) + _attention_at(diffusion, level, width, side)
            here = width
        if level:
            side *= 2
            total += _convolution(here, here, side)
    return total + _norm(here) + _convolution(here, COLOURS, size)


def _residual(before: int, after: int, time: int, side: int) -> Size:
    shortcut = _convolution(before, after, side, kernel=1) if before != after else Size()
    convolutions = _convolution(before, after, side) + _convolution(after, after, side)
    return _norm(before) + _norm(after) + _linear(time, after) + convolutions + shortcut


def _attention_at(diffusion: Diffusion | PublishedDiffusion, level: int, width: int, side: int) -> Size:
    return _attention(width, side) if level in diffusion.attention_levels else Size()


def _attention(width: int, side: int) -> Size:
    places = side * side
    return _norm(width) + Size(4 * (width * width + width), 4 * places * width * width + 2 * places * places * width)


def _convolution(before: int, after: int, side: int, kernel: int = 3) -> Size:
    weights = before * after * kernel * kernel
    return Size(weights + after, weights * side * side)


def _linear(before: int, after: int) -> Size:
    return Size(before * after + after, before * after)


def _norm(width: int) -> Size:
    return Size(2 * width)
