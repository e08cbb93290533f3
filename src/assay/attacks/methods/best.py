"""The best point of each image of a batch, judged as it would be stored; images that are broken leave the batch."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from assay.attacks.ball import project, to_pixels
from assay.attacks.queries import answers, margins, vote_margins
from assay.attacks.threats.victim import Query, Victim, judgement
from assay.study.attacks import LEAVING_DRAWS, Attack

STAGES = (4, 8, LEAVING_DRAWS - 12)  # fresh draws that are asked in turn: most images stay at the first ones


class Best:
    """The points of lowest mean margin so far, an image of the batch each; or of lowest margin of the majority vote.

    Every point is judged on the same draws of the defence, which no query meets: points are compared under the same
    noise, and none wins by a lucky draw (Liu et al. 2025: an attack that keeps what one draw misclassified stops at
    images that the next draw gets right). An image is broken once a point has every draw wrong, and as many fresh ones
    again as LEAVING_DRAWS says, which were never asked before; one draw, of a deterministic victim, need only be wrong.
    Broken images keep that point, and leave unless the stack is shown to other defences too. `rows` are those that
    queries still go to: a half, a quarter, … of the batch, filled up with broken ones, so that a device sees few
    shapes.

    Of a targeted attack the labels are the targets', and what counts is the negative margin of the target.
    """

    def __init__(self, victim: Victim, attack: Attack, images: Tensor, labels: Tensor, keys: Tensor) -> None:
        self.victim = victim
        self.attack = attack
        self.images = images
        self.labels = labels
        self.keys = keys
        self.sign = -1 if attack.target else 1
        self.points = images.clone()
        self.margins = torch.full((len(images),), torch.inf, device=images.device)
        self.broken = torch.zeros(len(images), dtype=torch.bool, device=images.device)
        self.leaving = attack.early_leaving and not attack.threat.shared
        self.numbers = itertools.count()
        self.restart()

    def restart(self) -> None:
        """Begin again with the images that are not broken."""
        self.rows = torch.arange(len(self.images), device=self.images.device)
        self.leave()

    def judge(self, x: Tensor) -> Tensor:
        """Mean margins (rows,) of new points of the rows, or margins of the vote; the better ones are kept."""
        rows = self.rows
        stored = as_stored(x, self.images[rows], self.attack)
        query = judgement("selection", self.attack.selection)
        logits = answers(self.victim, stored, self.keys[rows], query, room=len(self.images))
        each = self.sign * margins(logits, self.labels[rows])
        if not torch.isfinite(each).all():
            raise FloatingPointError("logits of a perturbed image are not finite; check classifier and diffusion")
        by_vote = self.attack.by_vote
        value = self.sign * vote_margins(logits, self.labels[rows]) if by_vote else each.mean(1)
        better = ~self.broken[rows] & (value <= self.margins[rows])  # of equals the last: it went furthest
        if self.leaving:
            broken = self._stays_wrong(stored, rows, ~self.broken[rows] & (each < 0).all(1))
            self.broken[rows] |= broken
            better |= broken
        self.points[rows[better]] = x[better]
        self.margins[rows[better]] = value[better]
        return value

    def _stays_wrong(self, stored: Tensor, rows: Tensor, where: Tensor) -> Tensor:
        """Which of the points (rows,) that all draws so far have wrong are wrong in fresh ones too."""
        if not self.attack.threat.fresh:
            return where
        first, number = 0, next(self.numbers)
        for count in STAGES:
            places = where.nonzero().flatten()
            if not len(places):
                break
            query = Query(f"leaving {number}", range(first, first + count))
            own = rows[places]
            logits = answers(self.victim, stored[places], self.keys[own], query, room=len(self.images))
            where[places] = (self.sign * margins(logits, self.labels[own]) < 0).all(1)
            first += count
        return where

    def leave(self) -> Tensor | None:
        """The places among the rows (fewer,) that go on, where at least half may leave; None while all go on."""
        open_rows = int((~self.broken[self.rows]).sum())
        size = len(self.rows)
        while open_rows <= (size + 1) // 2 < size:
            size = (size + 1) // 2
        size = size if open_rows else 0
        if size == len(self.rows):
            return None
        places = self.broken[self.rows].to(torch.uint8).argsort(stable=True)[:size].sort().values
        self.rows = self.rows[places]
        return places


def as_stored(x: Tensor, images: Tensor, attack: Attack) -> Tensor:
    """Perturbed images as later stages read them: in the ball, on the storage grid."""
    require_finite(x)
    return to_pixels(project(x, images, attack.ball, attack.radius), attack.ball, attack.radius)


def require_finite(x: Tensor) -> None:
    if not torch.isfinite(x).all():
        raise FloatingPointError("the attack gave values that are not finite; lower its step size")
