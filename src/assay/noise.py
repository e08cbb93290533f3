"""Noise as a pure function of (seed, image, draw, step): Philox 4x32-10 and Box-Muller in tensor operations.

Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011): a counter-based generator, the one CUDA uses.
Results do not depend on batch size, order, sharding, device or resumption.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

MASK = 0xFFFFFFFF
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10

BLOCK_BITS, STEP_BITS, DRAW_BITS = 20, 12, 32  # of the counter: block and step share a word, the draw has its own


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

    The counter is (step * 2^20 + block, draw, key low, key high): a block is four values, and an image has up to 2^22
    of them, a draw less than 2^32 others beside it, each of less than 2^12 steps.
    """
    keys = torch.as_tensor(keys, dtype=torch.int64, device=device)[:, None]
    draws = torch.as_tensor(draws, dtype=torch.int64, device=device)[:, None]
    count = math.prod(shape)
    _check_bounds(draws, step, count)
    blocks = torch.arange((count + 3) // 4, dtype=torch.int64, device=device)[None]
    counter = (step << BLOCK_BITS | blocks, draws, keys & MASK, (keys >> 32) & MASK)
    words = philox(counter, (seed & MASK, (seed >> 32) & MASK))
    # Box-Muller in float64: log and cosine then agree across devices once rounded to float32.
    values = []
    for first, second in (words[:2], words[2:]):
        radius = torch.sqrt(-2 * torch.log((first.double() + 0.5) / 2**32))
        angle = (second.double() + 0.5) * (2 * math.pi / 2**32)
        values += [radius * torch.cos(angle), radius * torch.sin(angle)]
    return torch.stack(values, dim=-1).flatten(1)[:, :count].float().reshape(-1, *shape)


def _check_bounds(draws: Tensor, step: int, count: int) -> None:
    """Refuse what the counter's words cannot hold: it would be the noise of another draw or step."""
    if not 0 <= step < 1 << STEP_BITS:
        raise ValueError(f"step {step} lies outside 0..{(1 << STEP_BITS) - 1}")
    if len(draws) and not 0 <= int(draws.min()) <= int(draws.max()) < 1 << DRAW_BITS:
        raise ValueError(f"draws {int(draws.min())} to {int(draws.max())} lie outside 0..{(1 << DRAW_BITS) - 1}")
    if count > 4 << BLOCK_BITS:
        raise ValueError(f"an image has {count} values; the noise has {4 << BLOCK_BITS} at most")


@dataclass(frozen=True)
class StepNoise:
    """The noise of one realisation of a stochastic defence: a function of the step, for images of one shape."""

    seed: int
    keys: Tensor | Sequence[int]
    draws: Tensor | Sequence[int]
    shape: torch.Size
    dtype: torch.dtype
    device: torch.device

    def __call__(self, step: int) -> Tensor:
        """Standard normal values (images, *shape) of a step; 0 is the forward noise, k that of the k-th step down."""
        return normal(self.seed, self.keys, self.draws, step, self.shape, self.device).to(self.dtype)

    def vote(self, number: int, votes: int) -> StepNoise:
        """The noise of one of the votes that each realisation here stands for; no two share a draw."""
        return replace(self, draws=torch.as_tensor(self.draws) * votes + number)

    def like(self, images: Tensor) -> StepNoise:
        """The noise of the same realisation for images of another size; shape, type and place of `images`."""
        return replace(self, shape=images.shape[1:], dtype=images.dtype, device=images.device)


def step_noise(seed: int, keys: Tensor | Sequence[int], draws: Tensor | Sequence[int], like: Tensor) -> StepNoise:
    """The noise of one realisation of a stochastic defence, of the shape, type and place of the images `like`."""
    return StepNoise(seed, keys, draws, like.shape[1:], like.dtype, like.device)
