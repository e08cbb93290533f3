"""Posterior sampling from sigma down to 0 (Ho et al. 2020), as in the PCam paper and DiffPure's DDPM runner."""

from __future__ import annotations

from assay.diffusion import samplers
from assay.inputs import Inputs
from assay.purifiers.purifier import Purify, sampled
from assay.study.purifiers import DdpmPurifier


def build(spec: DdpmPurifier, inputs: Inputs) -> Purify:
    """x -> posterior samples given x + sigma n."""
    denoiser = inputs.denoiser("diffusion")
    return sampled(denoiser, samplers.ddpm, denoiser.schedule.ladder(spec.sigma, spec.steps))
