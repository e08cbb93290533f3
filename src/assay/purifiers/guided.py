"""A guided reverse process: posterior sampling whose every step is led down an energy (Wang et al. 2022, GDMP).

On the network's data y, a step's mean moves by -variance * gradient of the energy (Dhariwal and Nichol 2021,
algorithm 1). The energy's own gradient is part of what an attacker differentiates.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor

from assay.diffusion.recompute import recomputed, slope
from assay.inputs import Inputs
from assay.modules import build as build_part
from assay.noise import StepNoise
from assay.purifiers.purifier import Purify, in_normal_mode
from assay.study.purifiers import GuidedPurifier


def build(spec: GuidedPurifier, inputs: Inputs) -> Purify:
    """x -> guided posterior samples given x + sigma n, in rounds that each begin at the end of the one before."""
    denoiser = inputs.denoiser("diffusion")
    energy = build_part(spec.energy, denoiser, inputs)
    sigmas, width = denoiser.schedule.ladder(spec.sigma, spec.steps), denoiser.schedule.width

    @in_normal_mode
    def purify(x: Tensor, noise: StepNoise) -> Tensor:
        if spec.sigma == 0:
            return x
        target = clean = denoiser.enter(x)
        there = noise.like(target)
        for number in range(spec.rounds):
            first = 2 * len(sigmas) * number  # of the round's noises: one and then the other of each step
            found = clean + sigmas[0] * there(first)
            for k, (s, r) in enumerate(pairwise(sigmas), start=1):

                def step(
                    found: Tensor, target: Tensor, s: float = s, r: float = r, k: int = first + k
                ) -> tuple[Tensor, ...]:
                    clean = denoiser(found, s)
                    if r == 0:
                        return (clean,)
                    variance = (r / s) ** 2 * (s**2 - r**2)
                    signal = ((1 + (width * s) ** 2) / (1 + (width * r) ** 2)) ** 0.5  # at r, by that at s
                    n = there(k + len(sigmas))
                    pull = slope(lambda at: energy(at, s, target, n), found)
                    mean = clean + (r / s) ** 2 * (found - clean) - variance * signal * pull
                    return (mean + (r / s) * (s**2 - r**2) ** 0.5 * there(k),)

                (found,) = recomputed(step, found, target)
            clean = found
        return denoiser.leave(clean, x).clamp(0, 1)

    return purify
