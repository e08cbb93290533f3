"""What a training minimises, as the loop sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from assay.artifacts import Draft
from assay.inputs import Inputs
from assay.stacks import FLOAT_FORMAT, Stack
from assay.study.training import Recipe
from assay.training.draws import normal, uniform

History = list[dict[str, float]]
NO_HISTORY = ["step", "train_loss", "validation_loss", "learning_rate"]  # columns where there is not one validation


@dataclass(frozen=True)
class Task:
    """What an objective is built for."""

    network: nn.Module  # the classifier or denoiser that is trained, on the device
    recipe: Recipe  # the keys of its training
    held_out: Stack  # the validation images
    inputs: Inputs  # the other artifacts that the objective asks for, by role: `inputs.classifier("teacher")`
    seed: int
    device: torch.device


@dataclass(frozen=True)
class Batch:
    """The images that one rank computes at a time: its share of a step's batch, or a part of it."""

    images: Tensor  # float32 (n, 3, h, w) in [0,1], augmented, on the device
    labels: Tensor  # int64 (n,), on the device
    places: Tensor  # int64 (n,): where in the step's whole batch these images stand
    step: int
    epochs: float  # passes over the training images that were finished before this step
    seed: int

    def uniform(self, purpose: str, *shape: int) -> Tensor:
        """Values in [0, 1), float32 (n, *shape): functions of (seed, purpose, step) and each image's place."""
        return uniform(self.seed, self.places, shape, purpose, self.step).to(self.images.device)

    def normal(self, purpose: str, *shape: int) -> Tensor:
        """Standard normal values, float32 (n, *shape), likewise."""
        return normal(self.seed, self.places, shape, purpose, self.step).to(self.images.device)


class Objective(nn.Module):
    """What a training minimises; its submodules are the networks whose weights the loop trains, averages and keeps.

    Keep a network that is only asked, such as a teacher, in a dict or tuple: then it is no submodule. The loop does
    everything else: the optimiser, resuming, ranks, checkpoints, the running mean of the weights.
    """

    def forward(self, batch: Batch) -> Tensor:
        """The mean loss of a batch's images."""
        raise NotImplementedError

    def judge(self) -> dict[str, float]:
        """The networks on the validation images: columns of the history, with at least `validation_loss`.

        Every rank computes it. The networks have the weights that would be kept, and are in training mode. A
        `validation_loss` that is not finite means that the training diverged.
        """
        raise NotImplementedError

    def ended(self) -> bool:
        """Whether training ends after what was judged last, before its time."""
        return False

    def finish(self) -> None:
        """Give the networks other weights than the last ones, if others are to be kept."""

    def write(self, draft: Draft, history: History) -> None:
        """Add to the artifact: facts for its manifest, files of its own. The network itself is already in it."""

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold beside the networks' weights: numbers, texts, tensors, and lists of them."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what a checkpoint held."""


def write_history(draft: Draft, history: History) -> None:
    """Write a training's history into its artifact, a row for each validation."""
    table = pd.DataFrame(history, columns=None if history else NO_HISTORY)
    table.to_csv(draft.path("history.csv"), index=False, lineterminator="\n", float_format=FLOAT_FORMAT)
