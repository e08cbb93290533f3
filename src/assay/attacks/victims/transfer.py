"""The threat `transfer`: the attacker knows the bare classifier and nothing of the defence."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from assay.attacks.victims.victim import Victim
from assay.classifiers.network import load_classifier
from assay.study.attacks import AttackSpec


class Bare(Victim):
    """The classifier itself."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(x)


def build(spec: AttackSpec, classifier: Path, diffusion: Path | None, device: torch.device) -> Bare:
    return Bare(load_classifier(classifier, device))
