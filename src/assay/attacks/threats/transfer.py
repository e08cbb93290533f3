"""The threat `transfer`: the attacker knows the bare classifier and nothing of the defence."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from assay.attacks.threats.victim import Victim
from assay.inputs import Inputs
from assay.study.attacks import AttackSpec


class Bare(Victim):
    """The classifier itself."""

    shared = True

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier

    def query(self, x: Tensor) -> Iterator[Tensor]:
        self.count(len(x), x.requires_grad)
        yield self.classifier(x)[:, None]

    @torch.no_grad()
    def judge(self, x: Tensor, draws: int, purpose: str) -> Tensor:
        self.count(len(x), False)
        return self.classifier(x)[:, None]


def build(spec: AttackSpec, inputs: Inputs) -> Bare:
    return Bare(inputs.classifier())
