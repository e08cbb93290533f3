"""Losses that attacks ascend, of an image and a draw: logits (n, classes) and labels (n,) to values (n,).

Of a targeted attack the labels are those of the targets, and the loss is the negative one of theirs.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from assay.attacks.queries import Loss
from assay.files import AssayError
from assay.logits import margin


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


def named_loss(name: str, classes: int, towards: bool = False) -> Loss:
    """The loss of a name, if so many classes have it: away from the labels, or towards them."""
    if name == "dlr" and classes < 3:
        raise AssayError(f"loss: dlr needs three classes or more, the classifier has {classes}; set loss: margin")
    away = LOSSES[name]
    return (lambda logits, labels: -away(logits, labels)) if towards else away
