"""Auto-PGD (Croce and Hein 2020), alg. 1: PGD with momentum whose step is halved where it no longer gains.

Progress is measured on the judge's draws, the same at every point, so that the rule sees one function and not the luck
of a query; gradients are of fresh draws. The best point by mean margin is kept, of every image, broken or not:
torchattacks' own gives back the clean image where it failed, which would flatter a defence that is shown it, and of a
stochastic victim keeps what a single draw misclassified.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from assay.attacks.methods.best import Best
from assay.attacks.methods.geometry import ascent, into_ball, random_point
from assay.attacks.methods.losses import named_loss
from assay.attacks.methods.method import Search
from assay.attacks.queries import GRADIENTS
from assay.attacks.threats.victim import Victim, search_query
from assay.study.attacks import ApgdAttack
from assay.study.fields import Norm

MOMENTUM = 0.75  # the weight of the new step; the rest is the last one's
RISES = 0.75  # a step size is kept while it gains in this share of its steps
FIRST_WINDOW, SMALLEST_WINDOW, WINDOW_DECREASE = 0.22, 0.06, 0.03  # of all steps

# observe(x): points of the rows to their values (rows,), to be raised, and the directions to go in (rows, 3, h, w)
Observe = Callable[[Tensor], tuple[Tensor, Tensor]]


def build(attack: ApgdAttack, victim: Victim, classes: int, seed: int) -> Search:
    loss = named_loss(attack.loss, classes, towards=attack.target is not None)
    followed = GRADIENTS[attack.objective]

    def search(images: Tensor, labels: Tensor, keys: Tensor) -> Tensor:
        found, numbers = Best(victim, attack, images, labels, keys), itertools.count()

        def observe(x: Tensor) -> tuple[Tensor, Tensor]:
            margins, rows, query = found.judge(x), found.rows, search_query(next(numbers), attack.draws)
            return -margins, followed(victim, x, labels[rows], keys[rows], query, loss, room=len(images))[1]

        for restart in range(attack.restarts):
            found.restart()
            if not len(found.rows):
                break
            start = random_point(images, attack.ball, attack.radius, seed, keys, restart)[found.rows]
            auto_pgd(observe, found.leave, start, images[found.rows], attack.ball, attack.radius, attack.steps)
        return found.points

    return search


@dataclass
class _Run:
    """One run's state, an image a row."""

    images: Tensor
    x: Tensor
    before: Tensor  # the point before x
    gradient: Tensor
    value: Tensor
    best_x: Tensor
    best_gradient: Tensor
    best_value: Tensor
    size: Tensor  # of a step
    rises: Tensor  # steps of the window that gained
    best_at_check: Tensor  # best value at the last window's end
    halved: Tensor  # whether the step was halved then

    def rows(self, places: Tensor) -> _Run:
        return _Run(*(getattr(self, field.name)[places] for field in fields(self)))


def auto_pgd(
    observe: Observe,
    leave: Callable[[], Tensor | None],
    start: Tensor,
    images: Tensor,
    norm: Norm,
    eps: float,
    steps: int,
) -> Tensor:
    """One run from `start`; the points of highest value of the rows that stayed. `leave` says which rows go on."""
    value, gradient = observe(start)
    size = torch.full_like(value, 2 * eps).view(-1, 1, 1, 1)
    zero, halved = torch.zeros_like(value), torch.ones_like(value, dtype=torch.bool)
    run = _Run(images, start, start, gradient, value, start, gradient, value, size, zero, value, halved)
    window, since_check = _share(FIRST_WINDOW, steps), 0
    for index in range(steps):
        if (places := leave()) is not None:
            run = run.rows(places)
        if not len(run.x):
            break
        _step(run, norm, eps, MOMENTUM if index else 1.0)
        value, run.gradient = observe(run.x)
        run.rises = run.rises + (value > run.value)
        run.value = value
        better = value > run.best_value
        run.best_x = _choose(better, run.x, run.best_x)
        run.best_gradient = _choose(better, run.gradient, run.best_gradient)
        run.best_value = torch.where(better, value, run.best_value)
        since_check += 1
        if since_check == window:
            _halve_where_stuck(run, window)
            since_check = 0
            window = max(window - _share(WINDOW_DECREASE, steps), _share(SMALLEST_WINDOW, steps))
    return run.best_x


def _step(run: _Run, norm: Norm, eps: float, momentum: float) -> None:
    """z = P(x + size ascent), x <- P(x + momentum (z - x) + (1 - momentum) (x - the point before))."""
    along = into_ball(run.x + run.size * ascent(run.gradient, norm), run.images, norm, eps)
    moved = run.x + momentum * (along - run.x) + (1 - momentum) * (run.x - run.before)
    run.before, run.x = run.x, into_ball(moved, run.images, norm, eps)


def _halve_where_stuck(run: _Run, window: int) -> None:
    """Halve the step and go back to the best point where too few steps gained, or the best is that of last time."""
    no_gain = ~run.halved & (run.best_at_check >= run.best_value)
    stuck = (run.rises <= RISES * window) | no_gain
    run.size = torch.where(stuck.view(-1, 1, 1, 1), run.size / 2, run.size)
    run.x = _choose(stuck, run.best_x, run.x)
    run.gradient = _choose(stuck, run.best_gradient, run.gradient)
    run.halved, run.best_at_check = stuck, run.best_value
    run.rises = torch.zeros_like(run.rises)


def _choose(where: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return torch.where(where.view(-1, 1, 1, 1), a, b)


def _share(share: float, steps: int) -> int:
    return max(int(share * steps), 1)
