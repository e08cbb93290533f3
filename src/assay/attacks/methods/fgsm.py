"""The fast gradient sign method (Goodfellow et al. 2015); torchattacks' on the bare classifier."""

from __future__ import annotations

import torchattacks
from torch import Tensor

from assay.attacks.methods.geometry import ascent, into_ball
from assay.attacks.methods.losses import mean_gradient, usual_loss
from assay.attacks.methods.method import Search, for_gradients
from assay.attacks.threats.victim import Victim
from assay.study.attacks import FgsmAttack


def build(attack: FgsmAttack, victim: Victim, classes: int, seed: int) -> Search:
    if victim.shared:
        theirs = torchattacks.FGSM(for_gradients(victim, classes), eps=attack.radius)
        return lambda images, labels, keys: theirs(images, labels)

    def search(images: Tensor, labels: Tensor, keys: Tensor) -> Tensor:
        _, gradient = mean_gradient(victim, images, labels, usual_loss(classes))
        return into_ball(images + attack.radius * ascent(gradient, "Linf"), images, "Linf", attack.radius)

    return search
