"""The square attack (Andriushchenko et al. 2020), black box: torchattacks' single run, kept where it fails too.

torchattacks' own `perturb` returns the clean image wherever the search failed; here its best candidate is kept.
"""

from __future__ import annotations

import torch
import torchattacks
from torch import Tensor

from assay.attacks.methods.best import margins
from assay.attacks.methods.method import Search
from assay.attacks.victims.victim import Victim
from assay.study.attacks import SquareAttack


class Whole(torchattacks.Square):
    """Square behind a defence: the search goes on with the whole batch, and compares a candidate with the best so far.

    torchattacks keeps a candidate whose loss is below the lowest seen, and drops an image at its first
    misclassification; of a stochastic victim both are luck. Here the best so far is queried again beside each
    candidate, which takes its place if its mean margin is lower, and no image is dropped.
    """

    best: Tensor
    asked: int

    def init_hyperparam(self, x: Tensor) -> None:
        super().init_hyperparam(x)
        self.asked = 0

    def margin_and_loss(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Margins that drop no image, and losses: falling from query to query where the candidate is better."""
        if self.asked == 0:
            self.best, better = x.clone(), torch.ones(len(x), dtype=torch.bool, device=x.device)
        else:
            better = self._mean_margins(x, y) < self._mean_margins(self.best, y)
            self.best = torch.where(better.view(-1, 1, 1, 1), x, self.best)
        self.asked += 1
        return torch.ones(len(x), device=x.device), torch.where(better, -float(self.asked), 1.0)

    def _mean_margins(self, x: Tensor, y: Tensor) -> Tensor:
        return margins(torch.cat(list(self.model.query(x)), dim=1), y).mean(1)


def build(attack: SquareAttack, victim: Victim, classes: int, seed: int) -> Search:
    kind = torchattacks.Square if victim.shared else Whole
    runner = kind(victim, norm=attack.norm, eps=attack.radius, n_queries=attack.queries)

    def search(images: Tensor, labels: Tensor, keys: Tensor) -> Tensor:
        runner.init_hyperparam(images)
        _, found = runner.attack_single_run(images, labels)
        return found

    return search
