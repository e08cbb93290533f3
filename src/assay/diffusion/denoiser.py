"""The denoiser: D(x, sigma), the estimate of the clean image; hides a diffusion's schedule, times and data range."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from assay.diffusion.schedule import Schedule
from assay.files import AssayError, check
from assay.networks.unet import load_network


class Denoiser(nn.Module):
    """D(x, sigma) of a network that predicts the noise.

    In pixel units x_sigma = x + sigma n. The network sees sqrt(abar) (lo + (hi - lo) x_sigma) at the time whose noise
    is sigma, and its estimate of n gives D = x_sigma - sigma n, clipped to [0,1] (DDPM's clip_sample). The sides of
    images must be multiples of `multiple`.
    """

    def __init__(self, network: nn.Module, schedule: Schedule, multiple: int = 1) -> None:
        super().__init__()
        self.network = network
        self.schedule = schedule
        self.multiple = multiple

    def forward(self, x: Tensor, sigma: float) -> Tensor:
        """Images with noise of level sigma (n, 3, h, w) to estimates of the clean ones, in [0,1]."""
        if any(side % self.multiple for side in x.shape[2:]):
            raise AssayError(
                f"the diffusion takes images whose sides are multiples of {self.multiple}, found "
                f"{x.shape[2]} by {x.shape[3]} pixels; name another diffusion"
            )
        low, width = self.schedule.data_range[0], self.schedule.width
        scale = (1 + (sigma * width) ** 2) ** -0.5  # sqrt(abar)
        time = torch.full((len(x),), self.schedule.time_of(sigma), device=x.device)
        noise = self.network((low + width * x) * scale, time).sample
        return (x - sigma * noise).clamp(0, 1)


def load_denoiser(folder: Path | None, device: torch.device) -> Denoiser:
    """The denoiser of a diffusion's folder, trained or published, frozen and in evaluation mode."""
    if folder is None:
        raise AssayError("--diffusion: missing; the purifier needs the folder of its diffusion")
    facts = check(folder, "diffusion")["facts"]
    schedule = Schedule(facts["schedule"], facts["time_steps"], tuple(facts["data_range"]))
    network = load_network(folder).to(device, memory_format=torch.channels_last)
    return Denoiser(network, schedule, 2 ** (len(network.config.block_out_channels) - 1)).eval().requires_grad_(False)
