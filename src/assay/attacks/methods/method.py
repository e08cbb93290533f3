"""What every attack is: a search for a perturbation inside the ball, against a victim.

Each method is one module, `assay.attacks.methods.<method>` or a user's own, with
`build(attack, victim, classes, seed)`, found by name.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from assay.attacks.threats.victim import Victim
from assay.modules import build
from assay.noise import derive_seed, normal
from assay.study.attacks import Attack

# search(images, labels, keys): images (n, 3, h, w) in [0,1] to perturbed images; keys seed the attack's own noise.
# The labels (n,) are the classes to leave, or those to reach if the attack has a target.
Search = Callable[[Tensor, Tensor, Tensor], Tensor]


def build_search(attack: Attack, victim: Victim, classes: int, seed: int = 0) -> Search:
    """The search of an attack's spec; `seed` is of its own noise."""
    return build(attack, victim, classes, seed)


def random_targets(labels: Tensor, keys: Tensor, classes: int, seed: int) -> Tensor:
    """A wrong class (n,) of each image, uniform over the others: a function of seed, key and label."""
    coins = normal(derive_seed(seed, "attack", "target"), keys, torch.zeros_like(keys), 0, (1,), labels.device)
    others = (torch.special.ndtr(coins[:, 0].double()) * (classes - 1)).long().clamp_max(classes - 2)
    return (labels + 1 + others) % classes


def aims(attack: Attack, labels: Tensor, keys: Tensor, classes: int, seed: int) -> Tensor:
    """The labels (n,) that a search is given: the images' own, or those of their targets."""
    return random_targets(labels, keys, classes, seed) if attack.target else labels
