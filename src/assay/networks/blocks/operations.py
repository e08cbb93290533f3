"""The denoising operations of Xie et al. (2019), section 4: feature maps (n, c, h, w) to maps of the same shape.

A weighted mean compares places by their embeddings theta and phi (n, d, h, w), which may be the features x themselves.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

WINDOW = 3
MOST_WEIGHTS = 2**23  # that are held at a time: 32 MB in float32


def non_local_gaussian(x: Tensor, theta: Tensor, phi: Tensor) -> Tensor:
    """Mean over all places j, weighted by softmax_j(theta_i . phi_j / sqrt(d)).

    The weights of all places for all places are a thousand times larger than the maps at 56 by 56: some rows of them
    are computed at a time, and once more in the backward pass.
    """
    queries, keys, values = (_places(maps) for maps in (theta, phi, x))
    queries = queries / math.sqrt(theta.shape[1])
    rows = max(1, MOST_WEIGHTS // (keys.shape[0] * keys.shape[1]))
    if rows >= queries.shape[1]:
        means = _attended(queries, keys, values)
    else:
        parts = [
            checkpoint(_attended, part, keys, values, use_reentrant=False, preserve_rng_state=False)
            for part in queries.split(rows, dim=1)
        ]
        means = torch.cat(parts, dim=1)
    return means.transpose(1, 2).reshape(x.shape)


def non_local_dot_product(x: Tensor, theta: Tensor, phi: Tensor) -> Tensor:
    """Mean over all N places j of (theta_i . phi_j) x_j, in the order that takes fewer multiply-adds."""
    queries, keys, values = (_places(maps) for maps in (theta, phi, x))
    places, embedding, channels = keys.shape[1], keys.shape[2], values.shape[2]
    if (embedding + channels) * places <= 2 * embedding * channels:
        sums = (queries @ keys.transpose(1, 2)) @ values
    else:
        sums = queries @ (keys.transpose(1, 2) @ values)
    return (sums / places).transpose(1, 2).reshape(x.shape)


def bilateral_gaussian(x: Tensor, theta: Tensor, phi: Tensor) -> Tensor:
    """Mean over the places j of a 3 by 3 window, weighted by softmax_j(theta_i . phi_j / sqrt(d))."""
    scale = 1 / math.sqrt(theta.shape[1])
    products = torch.stack([scale * (theta * shifted).sum(1) for shifted in _shifted(phi)])
    weights = products.masked_fill(~_inside(x), -torch.inf).softmax(0)
    return sum(weight[:, None] * shifted for weight, shifted in zip(weights, _shifted(x), strict=True))


def bilateral_dot_product(x: Tensor, theta: Tensor, phi: Tensor) -> Tensor:
    """Mean of (theta_i . phi_j) x_j over the places j of a 3 by 3 window that lie in the map."""
    pairs = zip(_shifted(phi), _shifted(x), strict=True)  # what lies outside the map is zero
    total = sum((theta * near).sum(1, keepdim=True) * values for near, values in pairs)
    return total / _inside(x).sum(0)


def mean(x: Tensor) -> Tensor:
    """Mean of the places of a 3 by 3 window that lie in the map."""
    return F.avg_pool2d(x, WINDOW, stride=1, padding=WINDOW // 2, count_include_pad=False)


def median(x: Tensor) -> Tensor:
    """Median of the 3 by 3 places of each channel; beyond its edges a map is continued by its edges."""
    return torch.stack(list(_shifted(x, "replicate")), dim=-1).median(dim=-1).values


def null(x: Tensor) -> Tensor:
    """Nothing is denoised: the paper's control."""
    return x


def _attended(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Attention of queries (n, q, d) to keys (n, p, d): means (n, q, c) of values (n, p, c)."""
    return (queries @ keys.transpose(1, 2)).softmax(-1) @ values


def _places(maps: Tensor) -> Tensor:
    """Maps (n, c, h, w) as a row for each place, (n, h w, c)."""
    return maps.flatten(2).transpose(1, 2)


def _shifted(maps: Tensor, mode: str = "constant") -> Iterator[Tensor]:
    """Maps as each of the 3 by 3 places of a window sees them, nine tensors of their shape."""
    height, width = maps.shape[2:]
    padded = F.pad(maps, [WINDOW // 2] * 4, mode=mode)
    for row in range(WINDOW):
        for column in range(WINDOW):
            yield padded[:, :, row : row + height, column : column + width]


def _inside(maps: Tensor) -> Tensor:
    """Which of the nine places of each window lie in the map, (9, 1, h, w)."""
    return torch.stack([shifted[:, 0] > 0 for shifted in _shifted(torch.ones_like(maps[:1, :1]))])
