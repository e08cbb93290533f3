"""Deterministic sampling from sigma down to 0 (Song et al. 2021): the forward noise is the only randomness."""

from __future__ import annotations

from assay.diffusion import samplers
from assay.inputs import Inputs
from assay.purifiers.purifier import Purify, sampled
from assay.study.purifiers import DdimPurifier


def build(spec: DdimPurifier, inputs: Inputs) -> Purify:
    """x -> the DDIM trajectory's end, begun at x + sigma n."""
    denoiser = inputs.denoiser("diffusion")
    return sampled(denoiser, samplers.ddim, denoiser.schedule.ladder(spec.sigma, spec.steps))
