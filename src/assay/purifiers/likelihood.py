"""Likelihood maximisation (Chen et al. 2024): the image itself is moved, by Adam, to where the denoiser changes it
least under noise, which is where the diffusion's bound of its likelihood is highest.

The gradient of each step has the denoiser's in it; an attacker differentiates that once more.
"""

from __future__ import annotations

import torch
from torch import Tensor

from assay.diffusion.recompute import recomputed, slope
from assay.inputs import Inputs
from assay.noise import StepNoise
from assay.purifiers.purifier import Purify, in_normal_mode
from assay.study.purifiers import LikelihoodPurifier

MOMENTUM, SQUARES, SMALL = 0.9, 0.999, 1e-8  # Adam's usual constants (Kingma and Ba 2015)
SPREAD = 0.2  # the noise's level lies between so much less and so much more than sigma (.4 to .6 on [-1, 1])


def build(spec: LikelihoodPurifier, inputs: Inputs) -> Purify:
    """x -> x after some steps down |D(x + s n, s) - x|^2, with a level s and noise of its own each step."""
    denoiser = inputs.denoiser("diffusion")

    @in_normal_mode
    def purify(x: Tensor, noise: StepNoise) -> Tensor:
        if spec.sigma == 0:
            return x
        moved = denoiser.enter(x)
        there = noise.like(moved)
        state = (moved, torch.zeros_like(moved), torch.zeros_like(moved))
        for k in range(1, spec.steps + 1):

            def step(moved: Tensor, mean: Tensor, square: Tensor, k: int = k) -> tuple[Tensor, Tensor, Tensor]:
                level, n = levels(spec.sigma, there(spec.steps + k)), there(k)
                column = level.view(-1, 1, 1, 1)

                def loss(at: Tensor) -> Tensor:
                    return (denoiser(at + column * n, level) - at).square().mean((1, 2, 3))

                gradient = slope(loss, moved)
                mean = MOMENTUM * mean + (1 - MOMENTUM) * gradient
                square = SQUARES * square + (1 - SQUARES) * gradient**2
                size = (square / (1 - SQUARES**k)).clamp_min(1e-30).sqrt() + SMALL
                return moved - spec.step_size * mean / (1 - MOMENTUM**k) / size, mean, square

            state = recomputed(step, *state)
        return denoiser.leave(state[0], x).clamp(0, 1)

    return purify


def levels(sigma: float, noise: Tensor) -> Tensor:
    """Levels (n,) drawn evenly from about sigma, one an image, by the first value of its noise."""
    even = torch.special.ndtr(noise[:, 0, 0, 0])
    return sigma * (1 - SPREAD + 2 * SPREAD * even)
