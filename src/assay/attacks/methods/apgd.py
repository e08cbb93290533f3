"""Auto-PGD (Croce and Hein 2020): torchattacks' single run, kept where it fails too.

torchattacks' own `perturb` returns the clean image wherever the run did not fool the victim; judged against another
defence, such a file would flatter it. Here every image gets a perturbation: one that fools the victim where the runs
found one, else the iterate of highest loss.
"""

from __future__ import annotations

import torch
import torchattacks
from torch import Tensor

from assay.attacks.methods.method import Search, margin
from assay.attacks.victims.victim import Victim
from assay.study.attacks import ApgdAttack


class MarginApgd(torchattacks.APGD):
    """APGD on the margin, which does not saturate; it takes the place of torchattacks' second loss."""

    def dlr_loss(self, x: Tensor, y: Tensor) -> Tensor:
        return -margin(x, y)


def build(attack: ApgdAttack, victim: Victim, classes: int) -> Search:
    kind, loss = (MarginApgd, "dlr") if classes == 2 else (torchattacks.APGD, "ce")
    runner = kind(victim, norm=attack.norm, eps=attack.radius, steps=attack.steps, loss=loss)

    def search(images: Tensor, labels: Tensor, keys: Tensor) -> Tensor:
        found = images.clone()
        best = torch.full((len(images),), float("-inf"), device=images.device)
        for _ in range(attack.restarts):
            highest, right, loss, fooling = (part.detach() for part in runner.attack_single_run(images, labels))
            fooled = ~right.bool()
            score = torch.where(fooled, torch.inf, loss)
            better = (score > best).view(-1, 1, 1, 1)
            found = torch.where(better, torch.where(fooled.view(-1, 1, 1, 1), fooling, highest), found)
            best = torch.maximum(best, score)
        return found

    return search
