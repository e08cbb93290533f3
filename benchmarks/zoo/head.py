"""A trained network whose answers are squashed, scaled or noisy: classes change little, gradients do."""

from __future__ import annotations

from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from assay.networks import classifier
from assay.study.classifiers import PythonClassifier
from assay.study.networks import Network


class Head(PythonClassifier):
    """A network of timm or torchvision, and what is done to its logits."""

    inner: dict[str, Any] = Field(description="The network's keys: `network`, `arguments`, `small_stem`.")
    head: Literal["tanh", "softmax", "scale", "noise"] = Field(description="What is done to the logits.")
    amount: float = Field(1.0, gt=0, description="The factor before `tanh`, `softmax` or alone; or the noise's level.")


class Headed(nn.Module):
    """Images in [0,1] (n, 3, h, w) to answers (n, classes); the weights are called as those of the network alone."""

    def __init__(self, inner: classifier.Normalised, head: str, amount: float) -> None:
        super().__init__()
        self.network = inner.network
        self.register_buffer("mean", inner.mean, persistent=False)
        self.register_buffer("std", inner.std, persistent=False)
        self.head, self.amount = head, amount

    def forward(self, x: Tensor) -> Tensor:
        logits = self.network((x - self.mean) / self.std)
        if self.head == "noise":
            return logits + self.amount * torch.randn_like(logits)
        scaled = self.amount * logits
        return {"scale": scaled, "tanh": scaled.tanh(), "softmax": scaled.softmax(1)}[self.head]


def build(spec: Head, classes: int) -> Headed:
    return Headed(classifier.build(Network.model_validate(spec.inner), classes), spec.head, spec.amount)
