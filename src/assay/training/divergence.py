"""Divergence: a training whose loss or weights are no longer finite is stopped at that step.

Where it stops must not depend on the clock, so that a training which was resumed stops at the same step: every step's
loss is looked at, and at each validation the weights and the validation loss. Before a checkpoint, whose moment does
depend on the clock, weights that are not finite only mean that none is saved.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from assay.files import AssayError
from assay.study.training import Recipe
from assay.training.running_mean import RunningMean

WORDS = {"loss": "the loss", "weights": "a weight or its running mean", "validation_loss": "the validation loss"}


class Diverged(AssayError):
    """A training diverged; the `facts` say where, in JSON."""

    def __init__(self, message: str, facts: dict[str, Any]) -> None:
        super().__init__(message)
        self.facts = facts


@dataclass(frozen=True)
class Watch:
    """What stops a training that diverges. `label` names the training in the message."""

    label: str
    recipe: Recipe
    steps: int

    def check(self, what: str, value: float, step: int) -> None:
        """Raise `Diverged` if a value, which must be the same on all ranks, is not finite after so many steps."""
        if math.isfinite(value):
            return
        clip = self.recipe.gradient_clip
        raise Diverged(
            f"{self.label}: {WORDS[what]} is {value} at step {step} of {self.steps}; lower learning_rate "
            f"({self.recipe.learning_rate:g}) or {f'gradient_clip ({clip:g})' if clip else 'set gradient_clip'}",
            {"step": step, "steps": self.steps, what: str(value)},
        )


def largest(networks: nn.Module, mean: RunningMean) -> Tensor:
    """The largest size of a weight, a statistic or a running mean of networks: nan or inf if that of any is."""
    held = [*networks.state_dict().values(), *mean.mean]
    values = [value for value in held if value.is_floating_point() and value.numel()]
    return nn.utils.get_total_norm(values, math.inf).double()
