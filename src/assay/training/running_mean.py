"""The running mean of networks' weights (EMA), which is often better than the weights themselves."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn


class RunningMean:
    """The running mean of all parameters and statistics of networks, m <- d m + (1 - d) w after each step.

    d rises with the number of steps t done before, to `decay`: d = min(decay, (1 + t) / (10 + t)), and 0 at first, as
    in diffusers. Without a decay the mean is the weights.
    """

    def __init__(self, networks: nn.Module, decay: float | None) -> None:
        self.decay = decay
        self.steps = 0
        held = [] if decay is None else [*networks.parameters(), *networks.buffers()]
        self.live = [value.detach() for value in held if value.is_floating_point()]
        self.mean = [value.clone() for value in self.live]

    @torch.no_grad()
    def update(self) -> None:
        """Take the weights of one more step in."""
        if self.live:
            decay = min(self.decay, (1 + self.steps) / (10 + self.steps)) if self.steps else 0.0
            torch._foreach_lerp_(self.mean, self.live, 1 - decay)
            self.steps += 1

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Within this, the networks have the mean's weights."""
        own = [value.clone() for value in self.live]
        self.put()
        yield
        self._copy(own)

    def put(self) -> None:
        """Give the networks the mean's weights."""
        self._copy(self.mean)

    def _copy(self, values: list[Tensor]) -> None:
        for live, value in zip(self.live, values, strict=True):
            live.copy_(value)

    def state(self) -> dict[str, object]:
        """What a checkpoint must hold."""
        return {"mean": self.mean, "steps": self.steps}

    def restore(self, state: dict[str, object]) -> None:
        """Take up what a checkpoint held."""
        self.steps = state["steps"]
        for mean, value in zip(self.mean, state["mean"], strict=True):
            mean.copy_(value)
