"""One call of the denoiser (Carlini et al. 2023, "(Certified!!) Adversarial Robustness for Free!")."""

from __future__ import annotations

from assay.diffusion import samplers
from assay.inputs import Inputs
from assay.purifiers.purifier import Purify, sampled
from assay.study.purifiers import OneshotPurifier


def build(spec: OneshotPurifier, inputs: Inputs) -> Purify:
    """x -> D(x + sigma n, sigma)."""
    denoiser = inputs.denoiser("diffusion")
    return sampled(denoiser, samplers.ddim, denoiser.schedule.ladder(spec.sigma, 1))
