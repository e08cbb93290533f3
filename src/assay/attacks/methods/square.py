"""The square attack (Andriushchenko et al. 2020), black box: torchattacks' single run, kept where it fails too.

torchattacks' own `perturb` returns the clean image wherever the search failed; here its best candidate is kept.
"""

from __future__ import annotations

import itertools

import torch
import torchattacks
from torch import Tensor

from assay.attacks.methods.method import Search
from assay.attacks.queries import answers, margins
from assay.attacks.threats.victim import Victim, search_query
from assay.study.attacks import SquareAttack


class Square(torchattacks.Square):
    """torchattacks' Square with a victim of several draws, by the mean margin over the draws of a query.

    In place of labels its run is given the images' places in the batch, which tell labels and noise keys. torchattacks
    drops an image at its first misclassification. Behind a defence, where that may be luck, none is dropped.
    """

    def __init__(self, attack: SquareAttack, victim: Victim, labels: Tensor, keys: Tensor) -> None:
        super().__init__(victim, norm=attack.norm, eps=attack.radius, n_queries=attack.queries)
        self.victim, self.attack_spec, self.labels, self.keys = victim, attack, labels, keys
        self.numbers = itertools.count()

    def margin_and_loss(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """What drops images once it is negative (n,), and what is lowered (n,)."""
        query = search_query(next(self.numbers), self.attack_spec.draws)
        logits = answers(self.victim, x, self.keys[y], query, room=len(self.keys))
        mean = margins(logits, self.labels[y]).mean(1) * (-1 if self.attack_spec.target else 1)
        return mean if self.attack_spec.threat.shared else torch.ones_like(mean), mean


def build(attack: SquareAttack, victim: Victim, classes: int, seed: int) -> Search:
    def search(images: Tensor, labels: Tensor, keys: Tensor) -> Tensor:
        runner = Square(attack, victim, labels, keys)
        runner.init_hyperparam(images)
        _, found = runner.attack_single_run(images, torch.arange(len(images), device=images.device))
        return found

    return search
