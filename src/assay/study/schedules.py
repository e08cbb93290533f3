"""The noise schedules of diffusions as numbers: all that can be said of them without a network."""

from __future__ import annotations

import math

import numpy as np

from assay.study.diffusions import AnyDiffusion, ScheduleKind

FLOW_TOP = 0.6  # noise-to-signal ratio of flow matching's last time step, on the network's data


def signal_shares(kind: ScheduleKind, time_steps: int) -> np.ndarray:
    """The share of signal abar_t by time step (0-based), as float64.

    DDPM's linear schedule (Ho et al. 2020), the cosine schedule of Nichol and Dhariwal (2021), eq. 17, or flow
    matching's, whose noise-to-signal ratio rises evenly (to FlowPure's 0.3 in pixel units, Collaert et al. 2025).
    """
    if kind == "flow":
        return 1 / (1 + (FLOW_TOP * np.arange(1, time_steps + 1) / time_steps) ** 2)
    if kind == "linear":
        return np.cumprod(1 - np.linspace(1e-4, 0.02, time_steps))

    def abar(time: np.ndarray) -> np.ndarray:
        return np.cos((time + 0.008) / 1.008 * math.pi / 2) ** 2

    steps = np.arange(time_steps)
    betas = np.minimum(1 - abar((steps + 1) / time_steps) / abar(steps / time_steps), 0.999)
    return np.cumprod(1 - betas)


def noise_levels(abar: np.ndarray, data_range: tuple[float, float]) -> np.ndarray:
    """The sigma of each time step in pixel units: sqrt((1 - abar_t) / abar_t), divided by the width of the range."""
    return np.sqrt((1 - abar) / abar) / (data_range[1] - data_range[0])


def steps_down(diffusion: AnyDiffusion, sigma: float) -> int:
    """How many calls of the denoiser a sampler takes from sigma down to 0 if it takes every time step on the way."""
    levels = noise_levels(signal_shares(diffusion.schedule, diffusion.time_steps), diffusion.data_range)
    return 1 + int((levels < sigma * (1 - 1e-9)).sum()) if sigma else 0
