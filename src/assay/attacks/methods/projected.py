"""Projected gradient ascent (Madry et al. 2018) in either norm, with the mean gradient over a victim's draws (EOT).

In L-infinity it goes where torchattacks' PGD goes from the same start. In L2 theirs takes the gradient of the batch's
mean loss, so that where it is small the step depends on the batch's size; and at eps 0 it divides zero by zero.
"""

from __future__ import annotations

from torch import Tensor

from assay.attacks.methods.best import Best
from assay.attacks.methods.geometry import ascent, into_ball, random_point
from assay.attacks.methods.losses import usual_loss
from assay.attacks.methods.method import Search, step_size
from assay.attacks.queries import mean_gradient
from assay.attacks.threats.victim import Victim, search_query
from assay.study.attacks import PgdAttack, PgdL2Attack


def projected_gradient(attack: PgdAttack | PgdL2Attack, victim: Victim, classes: int, seed: int) -> Search:
    """PGD whose point is the last one where the stack is shared, as torchattacks has it, and the best one otherwise.

    A stack of the bare classifier is shown to every defence, and a point that goes on after it fools that classifier
    carries over better. Behind a defence the last point has no merit over the others: the best by mean margin is taken.
    """
    norm, eps, size = attack.ball, attack.radius, step_size(attack)
    loss = usual_loss(classes, towards=attack.target is not None)

    def search(images: Tensor, labels: Tensor, keys: Tensor) -> Tensor:
        x = random_point(images, norm, eps, seed, keys, 0) if attack.random_start else images
        found = None if attack.threat.shared else Best(victim, attack, images, labels, keys)
        own, own_labels, own_keys = images, labels, keys  # of the images that are still searched for
        for number in range(attack.steps):
            query = search_query(number, attack.draws)
            _, gradient = mean_gradient(victim, x, own_labels, own_keys, query, loss, room=len(images))
            x = into_ball(x + size * ascent(gradient, norm), own, norm, eps)
            if found is None:
                continue
            found.judge(x)
            if (going_on := found.leave()) is not None:
                x, own, own_labels, own_keys = (part[going_on] for part in (x, own, own_labels, own_keys))
            if not len(x):
                break
        return x if found is None else found.points

    return search
