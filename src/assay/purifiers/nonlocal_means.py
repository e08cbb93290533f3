"""Non-local means (Buades et al. 2005): each pixel becomes the mean of those around it, weighted by how alike the
patches are that the two lie in. Its gradient is exact."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from assay.inputs import Inputs
from assay.purifiers.purifier import Purify, repaired
from assay.study.purifiers import NonlocalMeansPurifier


def build(spec: NonlocalMeansPurifier, inputs: Inputs) -> Purify:
    """x -> the non-local means of x + sigma n, whose noise counts as no difference of patches."""

    def repair(x: Tensor) -> Tensor:
        return nonlocal_means(x, spec.patch, spec.window, spec.strength, spec.sigma)

    return repaired(repair, spec.sigma)


def nonlocal_means(x: Tensor, patch: int, window: int, strength: float, sigma: float) -> Tensor:
    """Images (n, 3, h, w) as weighted means over windows, with patches of an odd side, mirrored at their edges.

    The weight of a pixel is exp(-max(d - 2 sigma^2, 0) / strength^2), with d the mean squared difference of the two
    patches over places and colours (Buades et al. 2011, "Non-Local Means Denoising", section 2).
    """
    reach, half = window // 2, patch // 2
    padded = F.pad(x, [reach + half] * 4, mode="reflect")
    height, width = x.shape[2:]

    def shifted(down: int, right: int, margin: int) -> Tensor:
        """The images moved by so many pixels, with a margin around them."""
        rows, columns = (slice(reach + half + by - margin, reach + half + by + margin + side)
                         for by, side in ((down, height), (right, width)))  # fmt: skip
        return padded[:, :, rows, columns]

    def row(down: int) -> tuple[Tensor, Tensor]:
        """The sums of weighted pixels and of weights over the offsets of one row of the window."""
        total, weights = torch.zeros_like(x), torch.zeros_like(x[:, :1])
        for right in range(-reach, reach + 1):
            squares = (shifted(down, right, half) - shifted(0, 0, half)).square().mean(1, keepdim=True)
            distance = F.avg_pool2d(squares, patch, stride=1)
            weight = torch.exp(-(distance - 2 * sigma**2).clamp_min(0) / strength**2)
            total, weights = total + weight * shifted(down, right, 0), weights + weight
        return total, weights

    offsets = range(-reach, reach + 1)
    again = torch.is_grad_enabled() and x.requires_grad  # a row is computed once more for its gradient, to save memory
    rows = [checkpoint(row, down, use_reentrant=False) if again else row(down) for down in offsets]
    total, weights = (sum(parts) for parts in zip(*rows, strict=True))
    return total / weights
