"""Descent along a gradient that is estimated from answers alone (natural evolution strategies, Ilyas et al. 2018).

No gradient of the victim is asked for, so that none can mislead. Each direction is a random pattern of blocks, in turn
coarse and fine (Guo et al. 2018: coarse ones carry most of what fools a network, and there are few of them to try), and
both of its ends are asked about under the same draw of the defence, a fresh one for every direction.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor
from torch.nn import functional

from assay.attacks.methods.best import Best
from assay.attacks.methods.geometry import ascent, random_point
from assay.attacks.methods.losses import named_loss
from assay.attacks.methods.method import Search
from assay.attacks.methods.projected import Gradient, descend
from assay.attacks.queries import Loss, answers
from assay.attacks.threats.victim import Victim, search_query
from assay.noise import normal
from assay.study.attacks import NesAttack

BLOCKS = (4, 8, 16, None)  # blocks of a pattern along a side; None: one a pixel


def build(attack: NesAttack, victim: Victim, classes: int, seed: int) -> Search:
    loss = named_loss(attack.loss, classes, towards=attack.target is not None)

    def search(images: Tensor, labels: Tensor, keys: Tensor) -> Tensor:
        found = Best(victim, attack, images, labels, keys)
        start = random_point(images, attack.ball, attack.radius, seed, keys, 0)
        descend(attack, found, start, estimated_gradient(attack, victim, labels, keys, loss, seed))
        return found.points

    return search


def estimated_gradient(
    attack: NesAttack, victim: Victim, labels: Tensor, keys: Tensor, loss: Loss, seed: int
) -> Gradient:
    """The gradient of the mean loss as differences of answers tell it, times 2s: the mean over directions u of
    u (loss(x + s u) - loss(x - s u)), with s the attack's smoothing in pixel units, and u of length one in the norm of
    the ball. Its size means nothing to the descent; divided by 2s it would have none in a ball of radius zero."""
    reach, numbers = attack.smoothing * attack.radius, itertools.count()

    def gradient(x: Tensor, rows: Tensor) -> Tensor:
        found = torch.zeros_like(x)
        for _ in range(attack.directions):
            number = next(numbers)
            direction = ascent(pattern(x, keys[rows], seed, number), attack.ball)
            query = search_query(number, 1)
            ends = [
                loss(answers(victim, x + sign * reach * direction, keys[rows], query, room=len(x))[:, 0], labels[rows])
                for sign in (1, -1)
            ]
            found += direction * (ends[0] - ends[1])[:, None, None, None]
        return found / attack.directions

    return gradient


def pattern(x: Tensor, keys: Tensor, seed: int, number: int) -> Tensor:
    """The direction of a number for each image of x (n, 3, h, w): signs, the same all over a block of a colour."""
    blocks, (colours, height, width) = BLOCKS[number % len(BLOCKS)], x.shape[1:]
    sides = (height, width) if blocks is None else (min(blocks, height), min(blocks, width))
    draws = torch.full_like(keys, number)
    signs = normal(seed, keys, draws, 2, (colours, *sides), x.device).sign().to(x.dtype)
    return functional.interpolate(signs, (height, width))
