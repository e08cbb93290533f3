"""The fast gradient sign method (Goodfellow et al. 2015), torchattacks'."""

from __future__ import annotations

import torchattacks

from assay.attacks.methods.method import Search, for_gradients
from assay.attacks.victims.victim import Victim
from assay.study.attacks import FgsmAttack


def build(attack: FgsmAttack, victim: Victim, classes: int) -> Search:
    search = torchattacks.FGSM(for_gradients(victim, classes), eps=attack.radius)
    return lambda images, labels, keys: search(images, labels)
