"""How searches ask a victim: in turn where not all draws fit, counted, and with the gradient of the mean loss."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from assay.attacks.threats.victim import Query, Victim
from assay.logits import margin
from assay.study.attacks import Objective

Loss = Callable[[Tensor, Tensor], Tensor]  # logits (n, classes) and labels (n,) to values (n,), to be raised


class Counted(Victim):
    """A victim whose queries are counted: images that go through, each once a draw, with and without gradient."""

    def __init__(self, victim: Victim) -> None:
        super().__init__()
        self.victim = victim
        self.with_gradient = self.without_gradient = 0

    def forward(self, x: Tensor, keys: Tensor, query: Query) -> Tensor:
        logits = self.victim(x, keys, query)
        images = len(x) * logits.shape[1]
        if x.requires_grad:
            self.with_gradient += images
        else:
            self.without_gradient += images
        return logits


@torch.no_grad()
def answers(victim: Victim, x: Tensor, keys: Tensor, query: Query, room: int) -> Tensor:
    """Logits (n, draws, classes) without gradient; no more than `room` images go through at once."""
    return torch.cat([victim(x, keys, part) for part in query.in_turn(max(1, room // len(x)))], dim=1)


def mean_gradient(
    victim: Victim, x: Tensor, labels: Tensor, keys: Tensor, query: Query, loss: Loss, room: int
) -> tuple[Tensor, Tensor]:
    """The mean loss (n,) over the draws of a query, and its gradient (n, 3, h, w).

    No more than `room` images go through at once. Gradients of the draws that go in turn are added up, so that memory
    does not grow with the draws.
    """
    leaf = x.detach().requires_grad_()
    values, gradient = [], torch.zeros_like(leaf)
    for part in query.in_turn(max(1, room // len(x))):
        logits = victim(leaf, keys, part)
        value = loss(logits.flatten(0, 1), labels.repeat_interleave(logits.shape[1]))
        if value.requires_grad:  # a victim that is cut off from its images has the gradient zero, which probes report
            gradient += torch.autograd.grad(value.sum(), leaf)[0]
        values.append(value.detach().unflatten(0, logits.shape[:2]))
    value = torch.cat(values, dim=1)
    return value.mean(1), gradient / value.shape[1]


def gradient_of_mean(
    victim: Victim, x: Tensor, labels: Tensor, keys: Tensor, query: Query, loss: Loss, room: int
) -> tuple[Tensor, Tensor]:
    """The loss (n,) of the mean logits over the draws of a query, and its gradient (n, 3, h, w).

    It goes where most draws agree on one wrong class, while the mean loss may have each of them in a class of its own.
    The mean is known after all draws, so they are asked once without gradient first.
    """
    mean = answers(victim, x, keys, query, room).mean(1).requires_grad_()
    value = loss(mean, labels)
    towards = torch.autograd.grad(value.sum(), mean)[0]
    leaf = x.detach().requires_grad_()
    gradient = torch.zeros_like(leaf)
    for part in query.in_turn(max(1, room // len(x))):
        along = (victim(leaf, keys, part) * towards[:, None]).sum()
        gradient += torch.autograd.grad(along, leaf)[0]
    return value.detach(), gradient / len(query.draws)


GRADIENTS: dict[Objective, Callable[..., tuple[Tensor, Tensor]]] = {
    "expected": mean_gradient,
    "majority": gradient_of_mean,
}


def margins(logits: Tensor, labels: Tensor) -> Tensor:
    """Margins (n, draws) of logits (n, draws, classes)."""
    draws = logits.shape[1]
    return margin(logits.float().flatten(0, 1), labels.repeat_interleave(draws)).unflatten(0, (-1, draws))


def vote_margins(logits: Tensor, labels: Tensor) -> Tensor:
    """By how much of all draws the votes for the label exceed those for any other class (n,), between -1 and 1.

    Each draw of `logits` (n, draws, classes) votes for its highest logit; the mean logits break ties, as they do where
    the vote is judged.
    """
    draws, classes = logits.shape[1:]
    votes = functional.one_hot(logits.argmax(2), classes).float().mean(1)
    decides = torch.tanh(margin(logits.float().mean(1), labels)) / (2 * draws)
    return margin(votes, labels) + decides
