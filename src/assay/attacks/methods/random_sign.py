"""The control: a random corner of the L-infinity ball, blind to the victim."""

from __future__ import annotations

import torch
from torch import Tensor

from assay.attacks.methods.method import Search
from assay.attacks.threats.victim import Victim
from assay.noise import normal
from assay.study.attacks import RandomSignAttack


def build(attack: RandomSignAttack, victim: Victim, classes: int, seed: int) -> Search:
    def search(images: Tensor, labels: Tensor, keys: Tensor) -> Tensor:
        coins = normal(seed, keys, torch.zeros_like(keys), 0, images.shape[1:], images.device)
        return (images + attack.radius * torch.sign(coins)).clamp(0, 1)

    return search
