"""The attack inside adversarial training: steps along the sign of a gradient, within a box around each image."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from assay.logits import margin

STEPS_OF_TRAVEL = 2.5  # default step size 2.5 eps / steps (Madry et al. 2018): the whole ball is within reach

Harm = Callable[[Tensor], Tensor]  # logits (n, classes) to the number that an attack raises


def perturb(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    coins: Tensor,
    eps: float,
    step: float,
    steps: int,
    targeted: bool = False,
) -> Tensor:
    """PGD in the L-infinity ball (Madry et al. 2018), from the point of the ball that coins in [-1,1] say.

    Images (n, 3, h, w) in [0,1] to images in [0,1] no farther than eps from them, away from their labels or, if
    `targeted`, towards them.
    """
    low, high = (images - eps).clamp(0, 1), (images + eps).clamp(0, 1)
    start = (images + eps * coins).clamp(low, high)
    return ascend(model, start, low, high, towards(labels) if targeted else away_from(labels), step, steps)


def ascend(model: nn.Module, start: Tensor, low: Tensor, high: Tensor, harm: Harm, step: float, steps: int) -> Tensor:
    """So many steps of one size along the sign of the gradient of harm(logits), clipped to low..high after each.

    The model is attacked in evaluation mode, so that its batch statistics stay as they are, and in float32: an attack
    that rounds its gradient is weaker.
    """
    training = model.training
    model.eval()
    found = start
    with torch.autocast(start.device.type, enabled=False):
        for _ in range(steps):
            found.requires_grad_()
            (gradient,) = torch.autograd.grad(harm(model(found)), found)
            found = (found.detach() + step * gradient.sign()).clamp(low, high)
    model.train(training)
    return found.detach()


def answers(model: nn.Module, images: Tensor) -> Tensor:
    """The logits (n, classes) of images as an attack meets them: in evaluation mode and float32."""
    training = model.training
    model.eval()
    with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
        logits = model(images)
    model.train(training)
    return logits


def away_from_answer(model: nn.Module, images: Tensor) -> Harm:
    """The divergence of what the model answers on images from what it answers elsewhere (Zhang et al. 2019)."""
    known = answers(model, images)
    return lambda logits: divergence(known, logits).sum()


def divergence(logits: Tensor, others: Tensor) -> Tensor:
    """KL(p || q) of the softmaxes p and q of two tables of logits (n, classes), for each row."""
    log_p, log_q = logits.log_softmax(1), others.log_softmax(1)
    return (log_p.exp() * (log_p - log_q)).sum(1)


def away_from(labels: Tensor) -> Harm:
    """The cross-entropy; of two classes the negative margin, which has its direction and never saturates."""

    def harm(logits: Tensor) -> Tensor:
        if logits.shape[1] == 2:
            return -margin(logits, labels).sum()
        return F.cross_entropy(logits, labels, reduction="sum")

    return harm


def towards(targets: Tensor) -> Harm:
    """The negative cross-entropy of the classes to reach."""
    return lambda logits: -away_from(targets)(logits)


def step_size(eps: float, steps: int) -> float:
    """The size of each of so many steps, if nobody chose one: together they cover the ball."""
    return STEPS_OF_TRAVEL * eps / steps
