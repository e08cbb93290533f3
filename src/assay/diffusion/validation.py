"""What a diffusion is on a stack: its loss, and a picture of what its denoiser does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from assay.diffusion.denoiser import Denoiser
from assay.noise import derive_seed, step_noise
from assay.stacks import Stack

VALIDATION_IMAGES = 256
VALIDATION_BATCH = 64
SHEET_IMAGES = 8


@torch.inference_mode()
def validate(denoiser: Denoiser, held_out: Stack, top: float, seed: int) -> float:
    """The loss on fixed images, levels (even over the range up to sigma `top`) and noise."""
    denoiser.eval()
    count = min(VALIDATION_IMAGES, len(held_out.table))
    places = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    losses = []
    for start in range(0, count, VALIDATION_BATCH):
        rows = range(start, min(start + VALIDATION_BATCH, count))
        clean = _entered(denoiser, held_out, rows)
        noise = step_noise(derive_seed(seed, "validation"), rows, [0] * len(rows), clean)(0)
        losses.append(denoiser.loss(clean, places[rows.start : rows.stop].to(clean.device), noise, top))
    return torch.cat(losses).mean().item()


@torch.inference_mode()
def denoising_error(denoiser: Denoiser, held_out: Stack, sigma: float, seed: int) -> float:
    """Root mean square of D(x + sigma n, sigma) - x over the first images, in pixel units.

    Unlike the loss, it compares denoisers of different data ranges: they have the same task.
    """
    images = _entered(denoiser, held_out, range(min(VALIDATION_BATCH, len(held_out.table))))
    noise = step_noise(derive_seed(seed, "error"), range(len(images)), [0] * len(images), images)
    return (denoiser(images + sigma * noise(0), sigma) - images).square().mean().sqrt().item()


@torch.inference_mode()
def difference(denoiser: Denoiser, other: Denoiser, held_out: Stack, sigma: float, seed: int) -> float:
    """Root mean square of the difference of two denoisers' estimates of the first images, in pixel units."""
    images = _entered(denoiser, held_out, range(min(VALIDATION_BATCH, len(held_out.table))))
    noise = step_noise(derive_seed(seed, "error"), range(len(images)), [0] * len(images), images)
    noisy = images + sigma * noise(0)
    return (denoiser(noisy, sigma) - other(noisy, sigma)).square().mean().sqrt().item()


@torch.inference_mode()
def write_sheet(path: Path, denoiser: Denoiser, held_out: Stack, top: float, seed: int) -> None:
    """A picture of what the denoiser does: held-out images, and at three sigmas the noised and the denoised ones."""
    from PIL import Image

    images = _entered(denoiser, held_out, range(min(SHEET_IMAGES, len(held_out.table))))
    noise = step_noise(derive_seed(seed, "sheet"), range(len(images)), [0] * len(images), images)
    rows = [images.clamp(0, 1)]
    for sigma in (top / 4, top / 2, top):
        noised = images + sigma * noise(0)
        rows += [noised.clamp(0, 1), denoiser(noised, sigma).clamp(0, 1)]
    grid = torch.cat([torch.cat(list(row), dim=2) for row in rows], dim=1)
    sheet = Image.fromarray((grid.permute(1, 2, 0).cpu().numpy() * 255).round().astype(np.uint8))
    scale = max(1, 96 // images.shape[-1])
    sheet.resize((sheet.width * scale, sheet.height * scale), Image.Resampling.NEAREST).save(path)


def _entered(denoiser: Denoiser, held_out: Stack, rows: range) -> Tensor:
    """Rows of a stack as images (n, 3, h, w) on the denoiser's device, of its network's size."""
    images = torch.from_numpy(held_out.pixels(rows.start, rows.stop))
    return denoiser.enter(images.to(next(denoiser.parameters()).device))
