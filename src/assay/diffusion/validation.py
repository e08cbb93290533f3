"""What a diffusion is on a stack: its loss, and a picture of what its denoiser does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from assay.diffusion.denoiser import Denoiser
from assay.diffusion.schedule import Schedule
from assay.noise import derive_seed, normal, step_noise
from assay.stacks import Stack, to_pixels

VALIDATION_IMAGES = 256
VALIDATION_BATCH = 64
SHEET_IMAGES = 8


def noise_loss(network: nn.Module, schedule: Schedule, images: Tensor, times: Tensor, noise: Tensor) -> Tensor:
    """Mean squared error of the predicted noise at x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) n."""
    abar = torch.from_numpy(schedule.abar).to(images.device)[times].view(-1, 1, 1, 1)
    noisy = abar.sqrt().float() * images + (1 - abar).sqrt().float() * noise
    return F.mse_loss(network(noisy, times).sample.float(), noise)


@torch.inference_mode()
def validate(
    network: nn.Module, schedule: Schedule, held_out: Stack, last: int, seed: int, device: torch.device
) -> float:
    """The loss on fixed images, times (even over the trained range) and noise."""
    network.eval()
    count = min(VALIDATION_IMAGES, len(held_out.table))
    times = torch.linspace(0, last, count).round().long()
    total = 0.0
    for start in range(0, count, VALIDATION_BATCH):
        rows = range(start, min(start + VALIDATION_BATCH, count))
        images = data(held_out.images[rows.start : rows.stop], schedule).to(device)
        noise = normal(derive_seed(seed, "validation"), list(rows), [0] * len(rows), 0, images.shape[1:], device)
        total += noise_loss(network, schedule, images, times[rows.start : rows.stop].to(device), noise).item() * len(
            rows
        )
    return total / count


@torch.inference_mode()
def denoising_error(denoiser: Denoiser, held_out: Stack, sigma: float, seed: int) -> float:
    """Root mean square of D(x + sigma n, sigma) - x over the first images, in pixel units.

    Unlike the loss, it compares denoisers of different data ranges: they have the same task.
    """
    images = torch.from_numpy(held_out.pixels(0, VALIDATION_BATCH)).to(next(denoiser.parameters()).device)
    noise = step_noise(derive_seed(seed, "error"), range(len(images)), [0] * len(images), images)
    return (denoiser(images + sigma * noise(0), sigma) - images).square().mean().sqrt().item()


@torch.inference_mode()
def write_sheet(path: Path, denoiser: Denoiser, held_out: Stack, top: float, seed: int) -> None:
    """A picture of what the denoiser does: held-out images, and at three sigmas the noised and the denoised ones."""
    from PIL import Image

    images = torch.from_numpy(held_out.pixels(0, SHEET_IMAGES)).to(next(denoiser.parameters()).device)
    noise = step_noise(derive_seed(seed, "sheet"), range(len(images)), [0] * len(images), images)
    rows = [images]
    for sigma in (top / 4, top / 2, top):
        noised = images + sigma * noise(0)
        rows += [noised.clamp(0, 1), denoiser(noised, sigma)]
    grid = torch.cat([torch.cat(list(row), dim=2) for row in rows], dim=1)
    sheet = Image.fromarray((grid.permute(1, 2, 0).cpu().numpy() * 255).round().astype(np.uint8))
    scale = max(1, 96 // images.shape[-1])
    sheet.resize((sheet.width * scale, sheet.height * scale), Image.Resampling.NEAREST).save(path)


def data(stored: np.ndarray, schedule: Schedule) -> Tensor:
    """Stored integers (n, h, w, 3) as the network's data (n, 3, h, w) in its data range."""
    return schedule.data_range[0] + schedule.width * torch.from_numpy(to_pixels(stored))
