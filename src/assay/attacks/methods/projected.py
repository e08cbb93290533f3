"""Projected gradient descent (Madry et al. 2018) with momentum and a decaying step, in L-infinity and in L2.

Behind a defence every gradient is of a few draws and mostly noise. Momentum averages it over steps (Dong et al. 2018,
eq. 6: each gradient is first brought to one size), and a step that decays ends close to where the averages point.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import torch
from torch import Tensor

from assay.attacks.methods.best import Best
from assay.attacks.methods.geometry import ascent, into_ball, random_point
from assay.attacks.methods.losses import named_loss
from assay.attacks.methods.method import Search
from assay.attacks.methods.transferability import Diverse, smooth
from assay.attacks.queries import GRADIENTS
from assay.attacks.threats.victim import Victim, search_query
from assay.study.attacks import NesAttack, PgdAttack, PgdL2Attack
from assay.study.fields import Norm

# The gradient (rows, 3, h, w) of what is to be raised, at points x (rows, 3, h, w) of these rows (rows,) of the batch.
Gradient = Callable[[Tensor, Tensor], Tensor]

# All steps together are so many eps long: four times as far as without momentum is usual (Madry et al. 2018), since
# momentum turns late, and what is left falls up to here (benchmarks/RESULTS.md).
TRAVEL = 10.0
DECAYS = {
    "none": lambda progress: 1.0,
    "linear": lambda progress: 2 * (1 - progress),
    "cosine": lambda progress: 1 + math.cos(math.pi * progress),
}


def projected_gradient(attack: PgdAttack | PgdL2Attack, victim: Victim, classes: int, seed: int) -> Search:
    """PGD whose point is the last one where the stack is shared, as torchattacks has it, and the best one otherwise.

    A stack of the bare classifier is shown to every defence, and a point that goes on after it fools that classifier
    carries over better. Behind a defence the last point has no merit over the others: the best by mean margin is taken.
    Of several restarts the best counts in either case.
    """
    norm, eps = attack.ball, attack.radius
    loss = named_loss(attack.loss, classes, towards=attack.target is not None)
    followed = GRADIENTS[attack.objective]
    asked = Diverse(victim, attack.diversity, seed) if attack.diversity else victim

    def search(images: Tensor, labels: Tensor, keys: Tensor) -> Tensor:
        found, numbers = Best(victim, attack, images, labels, keys), itertools.count()

        def gradient(x: Tensor, rows: Tensor) -> Tensor:
            query = search_query(next(numbers), attack.draws)
            found = followed(asked, x, labels[rows], keys[rows], query, loss, room=len(images))[1]
            return smooth(found, attack.smoothing) if attack.smoothing else found

        for restart in range(attack.restarts):
            found.restart()
            if not len(found.rows):
                break
            x = random_point(images, norm, eps, seed, keys, restart) if attack.random_start else images
            descend(attack, found, x[found.rows], gradient)
        return found.points

    return search


def descend(attack: PgdAttack | PgdL2Attack | NesAttack, found: Best, x: Tensor, gradient: Gradient) -> None:
    """Go from the points x (rows, 3, h, w) along gradients, and show `found` where they lead."""
    norm, velocity = attack.ball, torch.zeros_like(x)
    for size in step_sizes(attack):
        velocity = attack.momentum * velocity + to_one_size(gradient(x, found.rows), norm)
        x = into_ball(x + size * ascent(velocity, norm), found.images[found.rows], norm, attack.radius)
        if attack.threat.shared:
            continue
        found.judge(x)
        if (staying := found.leave()) is not None:
            x, velocity = x[staying], velocity[staying]
        if not len(x):
            break
    if attack.threat.shared:
        found.judge(x)


def step_sizes(attack: PgdAttack | PgdL2Attack | NesAttack) -> list[float]:
    """The size of each step, in pixel units: a decay changes how far each goes, and not how far all go together."""
    mean = TRAVEL * attack.radius / attack.steps if attack.step_size is None else attack.step_size
    return [mean * DECAYS[attack.decay]((number + 0.5) / attack.steps) for number in range(attack.steps)]


def to_one_size(gradient: Tensor, norm: Norm) -> Tensor:
    """Each image's gradient (n, 3, h, w) over the mean of its absolute values, or in L2 over its length."""
    if norm == "L2":
        return ascent(gradient, norm)
    return gradient / gradient.abs().mean(dim=(1, 2, 3), keepdim=True).clamp_min(torch.finfo(gradient.dtype).tiny)
