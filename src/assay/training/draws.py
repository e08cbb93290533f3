"""Random numbers of a training as functions of (seed, purpose, step) and the place in the whole batch.

Neither the number of ranks and workers nor a resumption changes them.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from assay.noise import derive_seed

BLOCK = 16  # images that are drawn together: a rank draws no more than it needs, and not one by one


def generator(seed: int, *purpose: object) -> torch.Generator:
    """A CPU generator for one purpose."""
    return torch.Generator().manual_seed(derive_seed(seed, *purpose) >> 1)


def seed_all(seed: int, device: torch.device) -> None:
    """Seed torch's global generators of the CPU and a device; `torch.manual_seed` looks for all kinds of devices."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)


def uniform(seed: int, places: Tensor, shape: tuple[int, ...], *purpose: object) -> Tensor:
    """Values in [0, 1), float32 (n, *shape), for the images at these n consecutive places of the whole batch."""
    return _drawn(torch.rand, seed, places, shape, *purpose)


def normal(seed: int, places: Tensor, shape: tuple[int, ...], *purpose: object) -> Tensor:
    """Standard normal values, float32 (n, *shape), for the images at these n consecutive places of the whole batch."""
    return _drawn(torch.randn, seed, places, shape, *purpose)


def _drawn(draw: Callable[..., Tensor], seed: int, places: Tensor, shape: tuple[int, ...], *purpose: object) -> Tensor:
    first, last = int(places[0]) // BLOCK, int(places[-1]) // BLOCK
    blocks = [draw((BLOCK, *shape), generator=generator(seed, *purpose, block)) for block in range(first, last + 1)]
    start = int(places[0]) - first * BLOCK
    return torch.cat(blocks)[start : start + len(places)]
