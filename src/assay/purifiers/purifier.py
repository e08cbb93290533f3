"""What every purifier is: images in [0,1] to images in [0,1], given the noise of one draw an image.

Each method is one module, `assay.purifiers.<method>`, with `build(spec, diffusion, device)`; it is found by name, so
that the code fingerprint of a job holds just the method that the job runs.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from assay.diffusion.denoiser import Denoiser
from assay.diffusion.samplers import Sampler
from assay.noise import StepNoise, derive_seed, step_noise
from assay.study.purifiers import Purifier

# purify(x, noise): x (n, 3, h, w) in [0,1]; noise(0) is the forward noise, noise(k) that of the k-th step down
Purify = Callable[[Tensor, StepNoise], Tensor]


def build_purifier(spec: Purifier, diffusion: Path | None, device: torch.device) -> Purify:
    """The purifier of a spec; `diffusion` is the folder of its diffusion, where it has one."""
    return importlib.import_module(f"assay.purifiers.{spec.method}").build(spec, diffusion, device)


def evaluation_noise(seed: int, keys: Tensor, draw: int, like: Tensor) -> StepNoise:
    """The noise of one draw of the evaluation, of a study's seed; all purifiers, sigmas and stacks share it."""
    return step_noise(derive_seed(seed, "purify"), keys, [draw] * len(like), like)


def sampled(denoiser: Denoiser, sampler: Sampler, sigmas: Sequence[float]) -> Purify:
    """Add noise of level sigmas[0], go down with a sampler, clip; all at the size that the denoiser's network works on.

    At sigma 0 it is the identity.
    """

    def purify(x: Tensor, noise: StepNoise) -> Tensor:
        if sigmas[0] == 0:
            return x
        entered = denoiser.enter(x)
        there = noise.like(entered)
        clean = sampler(denoiser, entered + sigmas[0] * there(0), sigmas, there)
        return denoiser.leave(clean, x).clamp(0, 1)

    return purify
