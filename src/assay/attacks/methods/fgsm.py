"""The fast gradient sign method (Goodfellow et al. 2015): one step of size eps along the gradient's sign."""

from __future__ import annotations

from torch import Tensor

from assay.attacks.methods.geometry import ascent
from assay.attacks.methods.losses import named_loss
from assay.attacks.methods.method import Search
from assay.attacks.queries import mean_gradient
from assay.attacks.threats.victim import Victim, search_query
from assay.study.attacks import FgsmAttack


def build(attack: FgsmAttack, victim: Victim, classes: int, seed: int) -> Search:
    loss = named_loss(attack.loss, classes, towards=attack.target is not None)

    def search(images: Tensor, labels: Tensor, keys: Tensor) -> Tensor:
        query = search_query(0, attack.draws)
        _, gradient = mean_gradient(victim, images, labels, keys, query, loss, room=len(images))
        return (images + attack.radius * ascent(gradient, attack.ball)).clamp(0, 1)

    return search
