"""One call of the denoiser (Carlini et al. 2023, "(Certified!!) Adversarial Robustness for Free!")."""

from __future__ import annotations

from pathlib import Path

import torch

from assay.diffusion import samplers
from assay.diffusion.denoiser import load_denoiser
from assay.purifiers.purifier import Purify, sampled
from assay.study.purifiers import OneshotPurifier


def build(spec: OneshotPurifier, diffusion: Path, device: torch.device) -> Purify:
    """x -> D(x + sigma n, sigma)."""
    denoiser = load_denoiser(diffusion, device)
    return sampled(denoiser, samplers.ddim, denoiser.schedule.ladder(spec.sigma, 1))
