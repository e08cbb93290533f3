"""Deterministic sampling from sigma down to 0 (Song et al. 2021): the forward noise is the only randomness."""

from __future__ import annotations

from pathlib import Path

import torch

from assay.diffusion import samplers
from assay.diffusion.denoiser import load_denoiser
from assay.purifiers.purifier import Purify, sampled
from assay.study.purifiers import DdimPurifier


def build(spec: DdimPurifier, diffusion: Path, device: torch.device) -> Purify:
    """x -> the DDIM trajectory's end, begun at x + sigma n."""
    denoiser = load_denoiser(diffusion, device)
    return sampled(denoiser, samplers.ddim, denoiser.schedule.ladder(spec.sigma, spec.steps))
