"""What is told from logits."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

LEAST = 1e-30  # a probability, so that its logarithm is finite


def majority(logits: Tensor) -> Tensor:
    """The answer (n, classes) of a vote of draws (n, votes, classes), as logits: the logarithm of each class's share.

    Of classes with as many votes, that one is first whose mean probability is higher: it counts for half a vote.
    """
    votes, classes = logits.shape[1:]
    counted = F.one_hot(logits.argmax(2), classes).to(logits).mean(1)
    return (counted + logits.softmax(2).mean(1) / (2 * votes)).clamp_min(LEAST).log()


def margin(logits: Tensor, labels: Tensor) -> Tensor:
    """z_y minus the highest other logit (n): negative where the image is misclassified."""
    own = logits.gather(1, labels[:, None])[:, 0]
    others = logits.scatter(1, labels[:, None], float("-inf"))
    return own - others.amax(1)
