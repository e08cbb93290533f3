"""Samplers: short functions of a denoiser, all with one calling shape `sample(denoise, x, sigmas, noise)`.

`x` (n, 3, h, w), of the size that the denoiser's network works on, has noise of level sigmas[0]; `sigmas` descend to 0;
`noise(k)` is the new noise of the k-th step. Each of several steps is checkpointed when gradients are on: memory does
not grow with their number, and the noise, a pure function, replays exactly.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from assay.noise import StepNoise

Denoise = Callable[[Tensor, float], Tensor]
Sampler = Callable[[Denoise, Tensor, Sequence[float], StepNoise], Tensor]


def ddpm(denoise: Denoise, x: Tensor, sigmas: Sequence[float], noise: StepNoise) -> Tensor:
    """Posterior sampling, Ho et al. (2020) eq. 6-7 in pixel units (variance `fixed_small`)."""

    def step(x: Tensor, s: float, r: float, k: int) -> Tensor:
        clean = denoise(x, s)
        mean = clean + (r / s) ** 2 * (x - clean)
        return mean + (r / s) * (s**2 - r**2) ** 0.5 * noise(k) if r > 0 else mean

    return _descend(step, x, sigmas)


def ddim(denoise: Denoise, x: Tensor, sigmas: Sequence[float], noise: StepNoise) -> Tensor:
    """Deterministic sampling, Song et al. (2021) eq. 12 with no new noise; one step from s to 0 is D(x, s)."""

    def step(x: Tensor, s: float, r: float, k: int) -> Tensor:
        clean = denoise(x, s)
        return clean + (r / s) * (x - clean)

    return _descend(step, x, sigmas)


def sde(data_range: tuple[float, float]) -> Sampler:
    """Euler-Maruyama steps of the reverse VP-SDE, Song et al. (2021b) eq. 6 and 11, as in DiffPure (Nie et al. 2022).

    On data y = low + width x of the network's range, dy = -1/2 beta y dt + sqrt(beta) dw has the reverse
    dy = (-1/2 beta y - beta score) dt + sqrt(beta) dw. A step's beta dt is its exact integral, log(abar_r / abar_s).
    The last step, to no noise, is the denoiser's estimate: an Euler step would leave noise in the image.
    """
    return _variance_preserving(data_range, score_share=1.0, noise_share=1.0)


def ode(data_range: tuple[float, float]) -> Sampler:
    """Euler steps of the VP-SDE's probability flow, Song et al. (2021b) eq. 13: half the score, and no new noise."""
    return _variance_preserving(data_range, score_share=0.5, noise_share=0.0)


def _variance_preserving(data_range: tuple[float, float], score_share: float, noise_share: float) -> Sampler:
    low, width = data_range[0], data_range[1] - data_range[0]
    centre = -low / width  # where y is 0

    def step(denoise: Denoise, noise: StepNoise, x: Tensor, s: float, r: float, k: int) -> Tensor:
        clean = denoise(x, s)
        if r == 0:
            return clean
        abar, below = (1 / (1 + (width * level) ** 2) for level in (s, r))
        beta = math.log(below / abar)
        score = (clean - x) / (1 - abar)  # of y, as a change of x
        moved = (x - centre) * (1 + beta / 2) + score_share * beta * score
        return centre + (abar / below) ** 0.5 * moved + noise_share * (beta / below) ** 0.5 / width * noise(k)

    def sample(denoise: Denoise, x: Tensor, sigmas: Sequence[float], noise: StepNoise) -> Tensor:
        return _descend(functools.partial(step, denoise, noise), x, sigmas)

    return sample


def _descend(step: Callable[[Tensor, float, float, int], Tensor], x: Tensor, sigmas: Sequence[float]) -> Tensor:
    several = len(sigmas) > 2  # checkpointing a single step would save nothing and cost a forward pass
    for k, (s, r) in enumerate(pairwise(sigmas), start=1):
        if several and torch.is_grad_enabled() and x.requires_grad:
            x = checkpoint(step, x, s, r, k, use_reentrant=False, preserve_rng_state=False)
        else:
            x = step(x, s, r, k)
    return x
