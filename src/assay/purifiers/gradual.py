"""Gradual noising (Lee and Kim 2023): small noisings first, each brought back down before the next, larger one."""

from __future__ import annotations

from torch import Tensor

from assay.diffusion import samplers
from assay.inputs import Inputs
from assay.noise import StepNoise
from assay.purifiers.purifier import Purify
from assay.study.purifiers import GradualPurifier


def build(spec: GradualPurifier, inputs: Inputs) -> Purify:
    """x -> the last of several rounds of noise and posterior sampling, each begun at the end of the one before."""
    denoiser = inputs.denoiser("diffusion")
    ladders = [denoiser.schedule.ladder(sigma, spec.steps) for sigma in spec.rounds(spec.sigma)]

    def purify(x: Tensor, noise: StepNoise) -> Tensor:
        if spec.sigma == 0:
            return x
        clean = denoiser.enter(x)
        there = noise.like(clean)
        for number, sigmas in enumerate(ladders):
            first = sum(map(len, ladders[:number]))  # of the round's noises
            noisy = clean + sigmas[0] * there(first)
            clean = samplers.ddpm(denoiser, noisy, sigmas, lambda k, first=first: there(first + k))
        return denoiser.leave(clean, x).clamp(0, 1)

    return purify
