"""Projected gradient ascent (Madry et al. 2018) in either norm, with the mean gradient over a victim's draws (EOT)."""

from __future__ import annotations

from torch import Tensor

from assay.attacks.methods.best import Best
from assay.attacks.methods.geometry import ascent, into_ball, random_point
from assay.attacks.methods.losses import mean_gradient, usual_loss
from assay.attacks.methods.method import Search, step_size
from assay.attacks.threats.victim import Victim
from assay.study.attacks import PgdAttack, PgdL2Attack


def projected_gradient(attack: PgdAttack | PgdL2Attack, victim: Victim, classes: int, seed: int) -> Search:
    """PGD whose point is the last one on the bare classifier, as torchattacks has it, and the best one on any other.

    A stack of the bare classifier is shown to every defence, and a point that goes on after it fools that classifier
    carries over better. Behind a defence the last point has no merit over the others: the best by mean margin is taken.
    """
    norm, eps, size, loss = attack.ball, attack.radius, step_size(attack), usual_loss(classes)

    def step(x: Tensor, images: Tensor, labels: Tensor) -> Tensor:
        _, gradient = mean_gradient(victim, x, labels, loss)
        return into_ball(x + size * ascent(gradient, norm), images, norm, eps)

    def start(images: Tensor, keys: Tensor) -> Tensor:
        return random_point(images, norm, eps, seed, keys, 0) if attack.random_start else images

    def last(images: Tensor, labels: Tensor, keys: Tensor) -> Tensor:
        x = start(images, keys)
        for _ in range(attack.steps):
            x = step(x, images, labels)
        return x

    def best(images: Tensor, labels: Tensor, keys: Tensor) -> Tensor:
        x, found = start(images, keys), Best(victim, attack, images, labels)
        for _ in range(attack.steps):
            x = step(x, images[found.rows], labels[found.rows])
            found.judge(x)
            if (going_on := found.leave()) is not None:
                x = x[going_on]
            if not len(x):
                break
        return found.points

    return last if victim.shared else best
