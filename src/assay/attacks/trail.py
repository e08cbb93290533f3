"""The trajectory of an attack: what its victim says of each image after some of its steps."""

from __future__ import annotations

import torch
from torch import Tensor

from assay.attacks.methods.best import as_stored
from assay.attacks.queries import answers
from assay.attacks.threats.victim import Query, Victim, judgement
from assay.study.attacks import Attack


class Trail(Victim):
    """A victim that notes what it says of the points that a search has reached, as they would be stored.

    A search asks at its start first, and then after each step: its query k is of the points after k steps.
    """

    def __init__(self, victim: Victim, attack: Attack, images: Tensor) -> None:
        super().__init__()
        self.victim = victim
        self.attack = attack
        self.images = images
        self.noted: list[Tensor] = []

    def forward(self, x: Tensor, keys: Tensor, query: Query) -> Tensor:
        if not query.judges and query.draws.start in self.attack.noted_steps:
            stored = as_stored(x.detach(), self.images, self.attack)
            logits = answers(self.victim, stored, keys, judgement("trajectory", 1), room=len(x))
            self.noted.append(_named(logits))
        return self.victim(x, keys, query)

    def classes(self, last: Tensor) -> Tensor:
        """The class of each image after each noted step and the last one, of which the logits are given: (n, steps)."""
        return torch.stack([*self.noted, _named(last)], dim=1)


def _named(logits: Tensor) -> Tensor:
    """The classes (n,) that logits (n, draws, classes) name."""
    return logits.mean(1).argmax(1)
