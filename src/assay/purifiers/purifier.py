"""What every purifier is: images in [0,1] to images in [0,1], given the noise of one draw an image.

Each method is one module, `assay.purifiers.<method>` or a user's own, with `build(spec, inputs)`; it is found by name,
so that the code fingerprint of a job holds just the method that the job runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from assay.inputs import Inputs
from assay.modules import build
from assay.noise import StepNoise, derive_seed, step_noise
from assay.study.fields import SELECTED
from assay.study.purifiers import Purifier

if TYPE_CHECKING:  # a purifier without a diffusion does not depend on its code
    from assay.diffusion.denoiser import Denoiser
    from assay.diffusion.samplers import Sampler

# purify(x, noise): x (n, 3, h, w) in [0,1]; noise(0) is the forward noise, noise(k) that of the k-th step down
Purify = Callable[[Tensor, StepNoise], Tensor]


def build_purifier(spec: Purifier, inputs: Inputs) -> Purify:
    """The purifier of a spec, from the artifacts that it needs; a `selected` sigma is the one of the inputs."""
    return build(spec.at(sigma_of(spec, inputs)), inputs)


def sigma_of(spec: Purifier, inputs: Inputs) -> float:
    """The sigma of a spec as a number."""
    return inputs.sigma() if spec.sigma == SELECTED else spec.sigma


def evaluation_noise(seed: int, keys: Tensor, draw: int, like: Tensor) -> StepNoise:
    """The noise of one draw of the evaluation, of a study's seed; all purifiers, sigmas and stacks share it."""
    return step_noise(derive_seed(seed, "purify"), keys, [draw] * len(like), like)


def repaired(repair: Callable[[Tensor], Tensor], sigma: float) -> Purify:
    """Add noise of level sigma, if any, and repair the images without a diffusion; clip."""

    def purify(x: Tensor, noise: StepNoise) -> Tensor:
        return repair(x + sigma * noise(0) if sigma else x).clamp(0, 1)

    return purify


def in_normal_mode(purify: Purify) -> Purify:
    """A purifier that takes gradients itself, and so cannot run in inference mode; gradients flow through it only where
    they are on."""

    def run(x: Tensor, noise: StepNoise) -> Tensor:
        wanted = torch.is_grad_enabled()
        with torch.inference_mode(False), torch.set_grad_enabled(wanted):
            return purify(x.clone() if x.is_inference() else x, noise)

    return run


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
