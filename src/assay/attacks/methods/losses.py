"""Losses that attacks ascend, an image and a draw: logits (n, classes) and labels (n,) to values (n,)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from assay.attacks.methods.method import margin
from assay.attacks.threats.victim import Victim
from assay.files import AssayError

Loss = Callable[[Tensor, Tensor], Tensor]


def negative_margin(logits: Tensor, labels: Tensor) -> Tensor:
    """The highest other logit minus z_y; its gradient never saturates."""
    return -margin(logits, labels)


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    return functional.cross_entropy(logits, labels, reduction="none")


def logits_ratio(logits: Tensor, labels: Tensor) -> Tensor:
    """The difference of logits ratio of Croce and Hein (2020), eq. 6: -margin / (highest - third highest logit)."""
    highest = logits.topk(3, dim=1).values
    return -margin(logits, labels) / (highest[:, 0] - highest[:, 2] + 1e-12)


LOSSES: dict[str, Loss] = {"margin": negative_margin, "ce": cross_entropy, "dlr": logits_ratio}


def named_loss(name: str, classes: int) -> Loss:
    """The loss of a name, if so many classes have it."""
    if name == "dlr" and classes < 3:
        raise AssayError(f"loss: dlr needs three classes or more, the classifier has {classes}; set loss: margin")
    return LOSSES[name]


def usual_loss(classes: int) -> Loss:
    """The cross-entropy; for two classes the margin, which has its direction."""
    return negative_margin if classes == 2 else cross_entropy


def mean_gradient(victim: Victim, x: Tensor, labels: Tensor, loss: Loss) -> tuple[Tensor, Tensor]:
    """The mean loss (n,) over the draws of one query, and its gradient (n, 3, h, w).

    Gradients of the draws that go through at once are added up, so that memory does not grow with the draws.
    """
    leaf = x.detach().requires_grad_()
    values, gradient = [], torch.zeros_like(leaf)
    for logits in victim.query(leaf):
        value = loss(logits.flatten(0, 1), labels.repeat_interleave(logits.shape[1]))
        gradient += torch.autograd.grad(value.sum(), leaf)[0]
        values.append(value.detach().unflatten(0, logits.shape[:2]))
    value = torch.cat(values, dim=1)
    return value.mean(1), gradient / value.shape[1]
