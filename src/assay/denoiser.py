"""The denoiser: D(x, sigma), the estimate of the clean image; hides a diffusion's schedule, times and data range."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from assay.diffusion.network import load_network
from assay.files import check
from assay.schedule import Schedule


class Denoiser(nn.Module):
    """D(x, sigma) of a network that predicts the noise.

    In pixel units x_sigma = x + sigma n. The network sees sqrt(abar) (lo + (hi - lo) x_sigma) at the time whose noise
    is sigma, and its estimate of n gives D = x_sigma - sigma n, clipped to [0,1] (DDPM's clip_sample).
    """

    def __init__(self, network: nn.Module, schedule: Schedule) -> None:
        super().__init__()
        self.network = network
        self.schedule = schedule

    def forward(self, x: Tensor, sigma: float) -> Tensor:
        """Images with noise of level sigma (n, 3, h, w) to estimates of the clean ones, in [0,1]."""
        low, width = self.schedule.data_range[0], self.schedule.width
        scale = (1 + (sigma * width) ** 2) ** -0.5  # sqrt(abar)
        time = torch.full((len(x),), self.schedule.time_of(sigma), device=x.device)
        noise = self.network((low + width * x) * scale, time).sample
        return (x - sigma * noise).clamp(0, 1)


def load_denoiser(folder: Path, device: torch.device) -> Denoiser:
    """The denoiser of a diffusion's folder, frozen and in evaluation mode."""
    diffusion = check(folder, "diffusion")["spec"]["diffusion"]
    schedule = Schedule(diffusion["schedule"], diffusion["time_steps"], tuple(diffusion["data_range"]))
    network = load_network(folder).to(device, memory_format=torch.channels_last)
    return Denoiser(network, schedule).eval().requires_grad_(False)
