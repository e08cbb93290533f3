"""What makes adversarial images carry over to other networks: queries of resized images, and smoothed gradients."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from assay.attacks.threats.victim import Query, Victim
from assay.noise import derive_seed, normal

SMALLEST = 0.9  # of the side that images are resized to
RADIUS = 3.0  # standard deviations that half a kernel spans


class Diverse(Victim):
    """A victim that sees most images resized and padded at random (input diversity, Xie et al. 2019).

    Each query resizes an image with a chance of `share` to a side drawn evenly from nine tenths of its own up, and puts
    it at a random place among zeros. What is drawn is a function of seed, image and query; judgements see all images as
    they are.
    """

    def __init__(self, victim: Victim, share: float, seed: int) -> None:
        super().__init__()
        self.victim = victim
        self.share = share
        self.seed = seed

    def forward(self, x: Tensor, keys: Tensor, query: Query) -> Tensor:
        if not query.judges:
            draws = torch.full_like(keys, query.draws.start)
            coins = normal(derive_seed(self.seed, "attack", "diversity"), keys, draws, 0, (4,), x.device)
            x = diverse(x, torch.special.ndtr(coins.double()), self.share)
        return self.victim(x, keys, query)


def diverse(images: Tensor, coins: Tensor, share: float) -> Tensor:
    """Images (n, 3, h, w), the share of them resized and padded, as their coins (n, 4) in [0,1] say."""
    side = images.shape[-1]
    least = int(SMALLEST * side)
    found = []
    for image, (chosen, size, top, left) in zip(images, coins.tolist(), strict=True):
        if chosen >= share:
            found.append(image)
            continue
        small = least + min(int(size * (side - least)), side - least - 1)
        above, before = (min(int(coin * (side - small + 1)), side - small) for coin in (top, left))
        resized = F.interpolate(image[None], size=(small, small), mode="bilinear", align_corners=False)
        found.append(F.pad(resized, [before, side - small - before, above, side - small - above])[0])
    return torch.stack(found)


def smooth(gradient: Tensor, length: int) -> Tensor:
    """Gradients (n, 3, h, w) smoothed by a Gaussian kernel of odd length (translation invariance, Dong et al. 2019)."""
    places = torch.linspace(-RADIUS, RADIUS, length, device=gradient.device, dtype=gradient.dtype)
    line = torch.exp(-(places**2) / 2) / math.sqrt(2 * math.pi)
    kernel = torch.outer(line, line)
    kernel = (kernel / kernel.sum()).expand(gradient.shape[1], 1, length, length)
    return F.conv2d(gradient, kernel, padding=length // 2, groups=gradient.shape[1])
