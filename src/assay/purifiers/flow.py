"""FlowPure's Gaussian variant (Collaert et al. 2025): noise, then Euler steps along a flow from noisy to clean images.

With x_s = x + s n and the velocity -S n over s from S to 0, a step from s to r adds -(s - r) n: as DDIM does.
"""

from __future__ import annotations

from assay.diffusion import samplers
from assay.inputs import Inputs
from assay.purifiers.purifier import Purify, sampled
from assay.study.purifiers import FlowPurifier


def build(spec: FlowPurifier, inputs: Inputs) -> Purify:
    """x -> the flow's end, begun at x + sigma n."""
    denoiser = inputs.denoiser("diffusion")
    return sampled(denoiser, samplers.ddim, denoiser.schedule.ladder(spec.sigma, spec.steps))
