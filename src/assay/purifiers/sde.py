"""DiffPure (Nie et al. 2022): noise, then the reverse VP-SDE by Euler-Maruyama."""

from __future__ import annotations

from assay.diffusion import samplers
from assay.inputs import Inputs
from assay.purifiers.purifier import Purify, sampled
from assay.study.purifiers import SdePurifier


def build(spec: SdePurifier, inputs: Inputs) -> Purify:
    """x -> the SDE's end, begun at x + sigma n."""
    denoiser = inputs.denoiser("diffusion")
    schedule = denoiser.schedule
    return sampled(denoiser, samplers.sde(schedule.data_range), schedule.ladder(spec.sigma, spec.steps))
