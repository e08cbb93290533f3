"""Posterior sampling from sigma down to 0 (Ho et al. 2020), as in the PCam paper and DiffPure's DDPM runner."""

from __future__ import annotations

from pathlib import Path

import torch

from assay.diffusion import samplers
from assay.diffusion.denoiser import load_denoiser
from assay.purifiers.purifier import Purify, sampled
from assay.study.purifiers import DdpmPurifier


def build(spec: DdpmPurifier, diffusion: Path, device: torch.device) -> Purify:
    """x -> posterior samples given x + sigma n."""
    denoiser = load_denoiser(diffusion, device)
    return sampled(denoiser, samplers.ddpm, denoiser.schedule.ladder(spec.sigma, spec.steps))
