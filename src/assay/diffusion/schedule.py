"""A diffusion's noise schedule, seen from pixel units: time step t <-> sigma.

DDPM (Ho et al. 2020) has x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) n; its noise-to-signal ratio
sqrt((1 - abar_t) / abar_t), in the units of the network's data, is sigma once divided by the width of the data range.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from assay.files import AssayError
from assay.study.schedules import noise_levels, signal_shares

if TYPE_CHECKING:
    from assay.study.diffusions import ScheduleKind


class Schedule:
    """Noise levels by time step (0-based), in pixel units, for a network trained on images in `data_range`."""

    def __init__(self, kind: ScheduleKind, time_steps: int, data_range: tuple[float, float] = (-1.0, 1.0)) -> None:
        self.kind, self.time_steps = kind, time_steps
        self.abar = signal_shares(kind, time_steps)
        self.data_range = data_range
        self.width = data_range[1] - data_range[0]
        self.sigmas = noise_levels(self.abar, data_range)

    @property
    def highest(self) -> float:
        """The sigma of the last time step."""
        return float(self.sigmas[-1])

    def time_of(self, sigma: float | np.ndarray) -> float | np.ndarray:
        """The time step of each sigma: linear between the schedule's own steps in log sigma; 0 below the first."""
        sigmas = np.atleast_1d(sigma)
        inside = (sigmas > 0) & (sigmas <= self.highest * (1 + 1e-6))  # a float32 may round up
        if not inside.all():
            found = sigmas[~inside][0]
            raise AssayError(f"sigma {found:g} lies outside the diffusion's schedule (0, {self.highest:.4g}]")
        return np.interp(np.log(sigma), np.log(self.sigmas), np.arange(len(self.sigmas)))

    def last_step(self, sigma: float) -> int:
        """The first time step whose noise is at least sigma: training up to it covers sigma."""
        return min(math.ceil(self.time_of(sigma) - 1e-9), len(self.sigmas) - 1)

    def ladder(self, sigma: float, steps: int | None) -> list[float]:
        """The sigmas of a sampler, from sigma down to 0: every time step on the way, or `steps` even steps of time.

        Below the schedule's first step there is one step only.
        """
        if sigma == 0:
            return [0.0]
        time = self.time_of(sigma)
        if time == 0:
            return [sigma, 0.0]
        if steps is None:
            times = np.arange(math.ceil(time - 1e-9) - 1, -1, -1)
            return [sigma, *self.sigmas[times].tolist(), 0.0]
        times = np.linspace(time, 0, steps + 1)[1:-1]
        levels = np.exp(np.interp(times, np.arange(len(self.sigmas)), np.log(self.sigmas)))
        return [sigma, *levels.tolist(), 0.0]
