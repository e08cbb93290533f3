"""Weights and images that follow from names alone, so that two programs have the same ones without a file."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

Shapes = Mapping[str, str]  # by name: its sides, with spaces between them


def planted(shapes: Shapes) -> dict[str, Tensor]:
    """A state dict of tensors of these shapes; running variances and the scales of normalisations are positive."""
    return {name: torch.from_numpy(_values(name, tuple(map(int, shape.split())))) for name, shape in shapes.items()}


def images(count: int, side: int) -> Tensor:
    """Images (count, 3, side, side) in [0,1]."""
    return torch.from_numpy(np.random.default_rng(0).random((count, 3, side, side)).astype(np.float32))


def _values(name: str, shape: tuple[int, ...]) -> np.ndarray:
    if name.endswith("num_batches_tracked"):
        return np.array(1)
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith("running_var"):
        values = rng.uniform(0.5, 1.5, shape)
    elif len(shape) == 1 and name.endswith("weight"):
        values = rng.uniform(0.7, 1.3, shape)
    elif len(shape) == 1:
        values = rng.normal(0, 0.1, shape)
    else:
        values = rng.normal(0, np.prod(shape[1:]) ** -0.5, shape)
    return values.astype(np.float32)
