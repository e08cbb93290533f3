"""The square attack (Andriushchenko et al. 2020), black box: torchattacks' single run, kept where it fails too.

torchattacks' own `perturb` returns the clean image wherever the search failed; here its best candidate is kept.
"""

from __future__ import annotations

import torch
import torchattacks
from torch import Tensor

from assay.attacks.methods.best import margins
from assay.attacks.methods.method import Search
from assay.attacks.threats.victim import Victim
from assay.study.attacks import SquareAttack


class Whole(torchattacks.Square):
    """Square behind a defence: by mean margin over a query's draws, on the whole batch to the end.

    torchattacks drops an image at its first misclassification, which of a stochastic victim may be luck.
    """

    def margin_and_loss(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """What drops images, here never (n,), and what is lowered (n,)."""
        mean = margins(torch.cat(list(self.model.query(x)), dim=1), y).mean(1)
        return torch.ones_like(mean), mean


def build(attack: SquareAttack, victim: Victim, classes: int, seed: int) -> Search:
    kind = torchattacks.Square if victim.shared else Whole
    runner = kind(victim, norm=attack.norm, eps=attack.radius, n_queries=attack.queries)

    def search(images: Tensor, labels: Tensor, keys: Tensor) -> Tensor:
        runner.init_hyperparam(images)
        _, found = runner.attack_single_run(images, labels)
        return found

    return search
