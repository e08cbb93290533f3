"""Projected gradient descent in the L2 ball, torchattacks'."""

from __future__ import annotations

import torchattacks

from assay.attacks.methods.method import Search, for_gradients, step_size
from assay.attacks.victims.victim import Victim
from assay.study.attacks import PgdL2Attack


def build(attack: PgdL2Attack, victim: Victim, classes: int) -> Search:
    search = torchattacks.PGDL2(
        for_gradients(victim, classes),
        eps=attack.radius,
        alpha=step_size(attack),
        steps=attack.steps,
        random_start=attack.random_start,
    )
    return lambda images, labels, keys: search(images, labels)
