"""The threat `transfer`: the attacker knows the bare classifier and nothing of the defence."""

from __future__ import annotations

from torch import Tensor, nn

from assay.attacks.threats.victim import Query, Victim
from assay.inputs import Inputs
from assay.study.attacks import AttackSpec


class Bare(Victim):
    """The classifier itself."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, x: Tensor, keys: Tensor, query: Query) -> Tensor:
        return self.classifier(x)[:, None]


def build(spec: AttackSpec, inputs: Inputs) -> Bare:
    return Bare(inputs.classifier())
