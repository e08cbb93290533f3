"""Noise as a pure function of (seed, image, draw, step): Philox 4x32-10 and Box-Muller in tensor operations.

Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011): a counter-based generator, the one CUDA uses.
Results do not depend on batch size, order, sharding, device or resumption.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

MASK = 0xFFFFFFFF
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10

# noise(step) -> standard normal values, shaped like the images that it was made for
StepNoise = Callable[[int], Tensor]


def derive_seed(seed: int, *purpose: object) -> int:
    """A 64-bit seed for one purpose, so that (say) the attacker's draws and the evaluation's never coincide."""
    text = "/".join([str(seed), *map(str, purpose)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def image_key(image_id: str) -> int:
    """The 64-bit number that stands for an image id in the generator's counter (63 bits used: torch has int64)."""
    return int.from_bytes(hashlib.sha256(image_id.encode()).digest()[:8], "little") >> 1


def philox(counter: tuple[Tensor, Tensor, Tensor, Tensor], key: tuple[int, int]) -> tuple[Tensor, ...]:
    """Philox 4x32-10: four 32-bit counter words (int64 tensors) and two key words to four random 32-bit words."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(ROUNDS):
        product0, product1 = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]
        high0, low0 = (product0 >> 32) & MASK, product0 & MASK
        high1, low1 = (product1 >> 32) & MASK, product1 & MASK
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + WEYL[0]) & MASK, (k1 + WEYL[1]) & MASK
    return c0, c1, c2, c3


def normal(
    seed: int,
    keys: Tensor | Sequence[int],
    draws: Tensor | Sequence[int],
    step: int,
    shape: Sequence[int],
    device="cpu",
) -> Tensor:
    """Standard normal values, float32 (images, *shape); row i depends on (seed, keys[i], draws[i], step) alone.

    The counter is (block, key low, key high, draw and step), 16 bits each for draw and step.
    """
    keys = torch.as_tensor(keys, dtype=torch.int64, device=device)[:, None]
    draws = torch.as_tensor(draws, dtype=torch.int64, device=device)[:, None]
    if not 0 <= step < 1 << 16 or (len(draws) and not 0 <= int(draws.min()) <= int(draws.max()) < 1 << 16):
        raise ValueError(f"draws and steps must lie in 0..65535, found step {step}, draws up to {int(draws.max())}")
    count = math.prod(shape)
    blocks = torch.arange((count + 3) // 4, dtype=torch.int64, device=device)[None]
    counter = (blocks, keys & MASK, (keys >> 32) & MASK, (draws << 16) | step)
    words = philox(tuple(torch.broadcast_tensors(*counter)), (seed & MASK, (seed >> 32) & MASK))
    # Box-Muller in float64: log and cosine then agree across devices once rounded to float32.
    values = []
    for first, second in (words[:2], words[2:]):
        radius = torch.sqrt(-2 * torch.log((first.double() + 0.5) / 2**32))
        angle = (second.double() + 0.5) * (2 * math.pi / 2**32)
        values += [radius * torch.cos(angle), radius * torch.sin(angle)]
    return torch.stack(values, dim=-1).flatten(1)[:, :count].float().reshape(-1, *shape)


def step_noise(seed: int, keys: Tensor | Sequence[int], draws: Tensor | Sequence[int], like: Tensor) -> StepNoise:
    """The noise of one realisation of a stochastic defence: a function of the step; shape, type, place of `like`."""

    def noise(step: int) -> Tensor:
        return normal(seed, keys, draws, step, like.shape[1:], like.device).to(like.dtype)

    return noise
