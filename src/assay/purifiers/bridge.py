"""ADBM's sampler (Li et al. 2025): the bridge from noised adversarial images to clean ones, on a diffusion of the
objective `adbm`.

The bridge's states are x_s = x_0 + (s/sigma)^2 d + s n, with d the perturbation and sigma where it begins; the network
estimates x_0. A posterior step with new noise leads from the state at s to that at r: (r/s)^2 of what is not x_0
remains, and of d that is (r/sigma)^2. The published sampler is DDIM, which leaves more of d, (r/s) (s/sigma)^2.
"""

from __future__ import annotations

from assay.diffusion import samplers
from assay.inputs import Inputs
from assay.purifiers.purifier import Purify, sampled
from assay.study.purifiers import BridgePurifier


def build(spec: BridgePurifier, inputs: Inputs) -> Purify:
    """x -> the bridge's end, begun at x + sigma n."""
    denoiser = inputs.denoiser("diffusion")
    sampler = samplers.ddpm if spec.new_noise else samplers.ddim
    return sampled(denoiser, sampler, denoiser.schedule.ladder(spec.sigma, spec.steps))
