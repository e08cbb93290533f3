"""What a regime of training decides: the images of a step, further scores of an epoch, when to end, what to keep."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from assay.networks.classifier import Normalised


class Regime:
    """Plain training: images as they are, and the weights of the last epoch."""

    def show(
        self, model: Normalised, images: Tensor, labels: Tensor, batch_size: int, step: int, epochs: float
    ) -> Tensor:
        """The images of a step after `epochs` epochs: of this rank's share of a batch of `batch_size`."""
        return images

    def judge(self, model: Normalised, epoch: int, device: torch.device) -> dict[str, float]:
        """Further columns of the history, for epoch number `epoch` (from 0), which has just ended."""
        return {}

    def ended(self, epochs: int) -> bool:
        """Whether training ends here, after so many epochs, before its time."""
        return False

    def finish(self, model: Normalised) -> None:
        """Give the model the weights that are kept."""

    def facts(self, history: list[dict[str, float]]) -> dict[str, float]:
        """Of the weights that are kept, for the manifest."""
        return {"validation_accuracy": history[-1]["validation_accuracy"]}

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what a checkpoint held."""
