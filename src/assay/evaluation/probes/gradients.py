"""Are the gradients there, finite, those of the attack's own loss, and more than noise? Is the victim a function?

How much of the true gradient the given one captures is measured by finite differences. Along the given gradient they
tell the energy (the slope squared) that it captures; along random directions at right angles to it, what it misses. A
step along its sign, or of its direction, does not care how long it is.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from assay.attacks.methods.geometry import length
from assay.attacks.methods.losses import named_loss
from assay.attacks.queries import Loss, answers
from assay.attacks.threats.victim import Query, Victim, search_query
from assay.evaluation.probes import bands
from assay.evaluation.probes.sample import Sample, goals_of, judge, loss_of
from assay.study.attacks import Attack

# L2 lengths of finite differences, pixel units. Along the gradient a network bends soonest: the median of several is
# taken. At right angles the change is small, and must be above rounding.
STEPS = (0.001, 0.003, 0.01)
SIDEWAYS = 0.03
DIRECTIONS = 2  # of each stratum and image
NEGLIGIBLE = 1e-4  # of the energy: a stratum with less says nothing
TOLERANCE = 1e-5  # by which the sum of probabilities may miss 1
Found = dict[str, Any]


def in_full_precision(function: Callable[..., Found]) -> Callable[..., Found]:
    """Without the 10-bit products that a GPU may use: a finite difference would be of their rounding."""

    @functools.wraps(function)
    def run(*arguments: Any) -> Found:
        matmul, convolution = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        try:
            return function(*arguments)
        finally:
            torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = matmul, convolution

    return run


@in_full_precision
def probe_gradients(attack: Attack, victim: Victim, sample: Sample, seed: int) -> Found:
    """Shares of images, unless said otherwise; `rose` is None where no image was right to begin with.

    `captured` at the start and at the end: what share of the loss's gradient (its energy) the given one captures, in
    `all`, and in the worst `band` of frequencies and the worst `colour`, see `captured`; `zero_entries`: the share of
    the gradient's entries that are exactly zero; `halves`: mean cosine of the gradients of two queries; `replay` and
    `batch`: largest difference of logits, absolute and relative; `training_modules`: a count.
    """
    loss = named_loss(loss_of(attack), sample.classes, towards=attack.target is not None)
    goals = goals_of(attack, sample, seed)
    query = search_query(0, attack.draws)

    def logits(x: Tensor, keys: Tensor = sample.keys) -> Tensor:
        """Logits (n, classes) of the first query: the same noise at every call."""
        return answers(victim, x, keys, query, room=len(sample.keys)).mean(1).float()

    start, end = (gradient(victim, x, goals, sample, query, loss) for x in (sample.clean, sample.attacked))
    other = gradient(victim, sample.clean, goals, sample, search_query(1, attack.draws), loss)
    first, second = logits(sample.clean), logits(sample.clean)
    alone = torch.cat([logits(x[None], key[None]) for x, key in zip(sample.clean, sample.keys, strict=True)])

    def value(x: Tensor) -> Tensor:
        return mean_loss(victim, x, goals, sample, query, loss)

    return {
        "zero_start": share(_zero(start)),
        "zero_end": share(_zero(end)),
        "zero_entries": share(torch.cat([start == 0, end == 0])),
        "not_finite_start": share(_broken(start)),
        "not_finite_end": share(_broken(end)),
        "captured_start": captured(value, sample.clean, start),
        "captured_end": captured(value, sample.attacked, end),
        "halves": float(torch.nan_to_num(cosine(start, other)).mean()),
        "rose": rose(attack, victim, sample),
        "replay": float((first - second).abs().max()),
        "batch": float((alone - first).abs().max() / first.abs().max().clamp_min(1e-6)),
        "training_modules": sum(module.training for module in victim.modules()),
        "probabilities": share(
            ((first.sum(1) - 1).abs() <= TOLERANCE) & (first >= 0).all(1) & (first <= 1).all(1),
        ),
    }


def gradient(victim: Victim, x: Tensor, goals: Tensor, sample: Sample, query: Query, loss: Loss) -> Tensor:
    """The gradient (n, 3, h, w) of the mean loss over a query's draws; zero where the victim has none."""
    leaf = x.clone().requires_grad_()
    logits = victim(leaf, sample.keys, query)
    value = loss(logits.flatten(0, 1).float(), goals.repeat_interleave(logits.shape[1])).sum() / logits.shape[1]
    return torch.autograd.grad(value, leaf)[0] if value.requires_grad else torch.zeros_like(x)


def mean_loss(victim: Victim, x: Tensor, goals: Tensor, sample: Sample, query: Query, loss: Loss) -> Tensor:
    """The mean loss (n,) over a query's draws, in float64, where that of a confident network is not rounded off."""
    logits = answers(victim, x, sample.keys, query, room=len(sample.keys)).double()
    values = loss(logits.flatten(0, 1), goals.repeat_interleave(logits.shape[1]))
    return values.unflatten(0, logits.shape[:2]).mean(1)


def captured(value: Callable[[Tensor], Tensor], x: Tensor, given: Tensor) -> dict[str, float]:
    """Which share of the true gradient's energy at images (n, 3, h, w) the given one captures, by finite differences of
    `value`, on average: in `all`, in the worst `band` of frequencies and in the worst `colour`.

    Let G be the true gradient and g the given one of unit length. Along g the slope is a = G·g, and a² is what it
    captures. What it misses is r = G - a g. A standard normal u of a stratum, less its part along g, has the expected
    square slope |r|² there, since r is at right angles to g. A gradient that points down the slope captures nothing.
    """

    def slope(direction: Tensor, step: float) -> Tensor:
        size = length(direction).clamp_min(1e-12)
        ends = [value(x + sign * step * direction / size) for sign in (1, -1)]
        return torch.nan_to_num((ends[0] - ends[1]) / (2 * step) * size.flatten())

    unit = torch.nan_to_num(given) / length(torch.nan_to_num(given)).clamp_min(torch.finfo(given.dtype).tiny)
    along = torch.stack([slope(unit, step) for step in STEPS]).median(0).values.clamp_min(0)
    missed = {stratum: torch.zeros_like(along) for stratum in bands.strata(x.shape)}
    for stratum, direction in bands.each(x.shape, DIRECTIONS, 0, x):
        aside = direction - (direction * unit).sum((1, 2, 3), keepdim=True) * unit
        missed[stratum] += slope(aside, SIDEWAYS) ** 2 / DIRECTIONS
    caught = {stratum: along**2 * bands.part(unit, stratum) for stratum in missed}
    everything = along**2 + sum(missed.values())

    def worst(part: str) -> float:
        """The least share captured of any band or colour that has more than a negligible energy."""
        shares = [1.0]
        for value in sorted({getattr(stratum, part) for stratum in missed}):
            mine = [stratum for stratum in missed if getattr(stratum, part) == value]
            lost, kept = (sum(of[stratum] for stratum in mine) / everything.clamp_min(1e-30) for of in (missed, caught))
            if not float((lost + kept).mean()) <= NEGLIGIBLE:
                shares.append(float(kept.mean() / (lost + kept).mean()))
        return float(torch.tensor(shares).min())  # not a number if one of them is

    there = everything > 0
    whole = torch.where(there, along**2 / everything.clamp_min(1e-300), 0.0)
    return {"all": float(whole.mean()), "band": worst("band"), "colour": worst("colour")}


def rose(attack: Attack, victim: Victim, sample: Sample) -> float | None:
    """Of the images that were right, those whose mean margin the attack lowered."""
    before, after = (judge(attack, victim, x, sample, sample.labels).mean(1) for x in (sample.clean, sample.attacked))
    right = before > 0
    return share(after[right] < before[right]) if right.any() else None


def cosine(a: Tensor, b: Tensor) -> Tensor:
    """Cosines (n,) between images; zero where one is zero."""
    return (a * b).sum((1, 2, 3)) / (length(a) * length(b)).flatten().clamp_min(1e-30)


def share(where: Tensor) -> float:
    return float(where.double().mean())


def _zero(gradients: Tensor) -> Tensor:
    return (gradients == 0).flatten(1).all(1)


def _broken(gradients: Tensor) -> Tensor:
    return ~torch.isfinite(gradients).flatten(1).all(1)
