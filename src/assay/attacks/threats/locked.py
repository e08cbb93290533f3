"""The threat `locked`: the exact gradient, and the attacker knows the noise: the deterministic white box.

The noise is the evaluation's own draw 0, on which alone the attacked stack is then judged (Liu et al. 2025, DW-box). Of
a defence that votes it is that of every vote; the attack follows their mean.
"""

from __future__ import annotations

from torch import Tensor, nn

from assay.attacks.threats.defended import load_purify, purifier_of
from assay.attacks.threats.victim import Query, Victim
from assay.defended import Defended, mean_logits
from assay.inputs import Inputs
from assay.purifiers.purifier import evaluation_noise
from assay.study.attacks import AttackSpec


class Locked(Victim):
    """The defended classifier with the noise of the evaluation's draw 0; `seed` is the study's."""

    def __init__(self, attacked: nn.Module, judged: nn.Module, seed: int) -> None:
        super().__init__()
        self.attacked = attacked
        self.judged = judged
        self.seed = seed

    def forward(self, x: Tensor, keys: Tensor, query: Query) -> Tensor:
        defended = self.judged if query.judges else self.attacked
        return defended(x, evaluation_noise(self.seed, keys, 0, x))[:, None]


def build(spec: AttackSpec, inputs: Inputs) -> Locked:
    purify, network, votes = load_purify(spec, inputs), inputs.classifier(), purifier_of(spec).votes
    followed = Defended(purify, network, votes, mean_logits)
    return Locked(followed, Defended(purify, network, votes), spec.seed)
