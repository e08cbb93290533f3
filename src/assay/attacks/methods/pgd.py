"""Projected gradient descent in the L-infinity ball (Madry et al. 2018); torchattacks' on the bare classifier."""

from __future__ import annotations

import torchattacks

from assay.attacks.methods.method import Search, for_gradients, step_size
from assay.attacks.methods.projected import projected_gradient
from assay.attacks.threats.victim import Victim
from assay.study.attacks import PgdAttack


def build(attack: PgdAttack, victim: Victim, classes: int, seed: int) -> Search:
    if not victim.shared:
        return projected_gradient(attack, victim, classes, seed)
    search = torchattacks.PGD(
        for_gradients(victim, classes),
        eps=attack.radius,
        alpha=step_size(attack),
        steps=attack.steps,
        random_start=attack.random_start,
    )
    return lambda images, labels, keys: search(images, labels)
