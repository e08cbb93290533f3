"""The probability flow of DiffPure's VP-SDE by Euler steps: the forward noise is the only randomness."""

from __future__ import annotations

from assay.diffusion import samplers
from assay.inputs import Inputs
from assay.purifiers.purifier import Purify, sampled
from assay.study.purifiers import OdePurifier


def build(spec: OdePurifier, inputs: Inputs) -> Purify:
    """x -> the flow's end, begun at x + sigma n."""
    denoiser = inputs.denoiser("diffusion")
    schedule = denoiser.schedule
    return sampled(denoiser, samplers.ode(schedule.data_range), schedule.ladder(spec.sigma, spec.steps))
