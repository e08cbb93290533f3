"""The square attack (Andriushchenko et al. 2020), black box: torchattacks' single run, kept where it fails too.

torchattacks' own `perturb` returns the clean image wherever the search failed; here its best candidate is kept.
"""

from __future__ import annotations

import torchattacks
from torch import Tensor

from assay.attacks.methods.method import Search
from assay.attacks.victims.victim import Victim
from assay.study.attacks import SquareAttack


def build(attack: SquareAttack, victim: Victim, classes: int) -> Search:
    runner = torchattacks.Square(victim, norm=attack.norm, eps=attack.radius, n_queries=attack.queries)

    def search(images: Tensor, labels: Tensor, keys: Tensor) -> Tensor:
        runner.init_hyperparam(images)
        _, found = runner.attack_single_run(images, labels)
        return found

    return search
