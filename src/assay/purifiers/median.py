"""The median filter: each value of each colour becomes the median of those around it (feature squeezing's, Xu et al.
2018). Its gradient is exact: that of the value that is the median."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from assay.inputs import Inputs
from assay.purifiers.purifier import Purify, repaired
from assay.study.purifiers import MedianPurifier


def build(spec: MedianPurifier, inputs: Inputs) -> Purify:
    """x -> the medians of x + sigma n over windows."""
    return repaired(lambda x: medians(x, spec.window), spec.sigma)


def medians(x: Tensor, window: int) -> Tensor:
    """The medians of images (n, 3, h, w) over windows of an odd side; the images are mirrored at their edges."""
    padded = F.pad(x, [window // 2] * 4, mode="reflect")
    return padded.unfold(2, window, 1).unfold(3, window, 1).flatten(4).median(dim=4).values
