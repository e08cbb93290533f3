"""The defended classifier: a defence then the classifier, one differentiable module."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from assay.logits import majority
from assay.noise import StepNoise
from assay.purifiers.purifier import Purify

Answer = Callable[[Tensor], Tensor]  # of logits (n, votes, classes): (n, classes)


class Defended(nn.Module):
    """Images in [0,1] and the noise of one draw an image to logits; the gradient is exact through both parts.

    With several votes the draw stands for as many realisations, of which `answer` makes one.
    """

    def __init__(self, purify: Purify, classifier: nn.Module, votes: int = 1, answer: Answer = majority) -> None:
        super().__init__()
        self.purify = purify
        self.classifier = classifier
        self.votes = votes
        self.answer = answer

    def forward(self, x: Tensor, noise: StepNoise) -> Tensor:
        if self.votes == 1:
            return self.classifier(self.purify(x, noise))
        found = [self.classifier(self.purify(x, noise.vote(number, self.votes))) for number in range(self.votes)]
        return self.answer(torch.stack(found, dim=1))


def mean_logits(logits: Tensor) -> Tensor:
    """What an attacker follows in place of a majority, whose gradient is zero: the votes' mean."""
    return logits.mean(1)
