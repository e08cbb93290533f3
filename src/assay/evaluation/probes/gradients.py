"""Are the gradients there, finite, those of the loss, and more than noise? And does the victim behave as a function?

The loss is the negative margin, which never saturates: what is found is the victim's own.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from assay.attacks.methods.geometry import length
from assay.attacks.queries import answers
from assay.attacks.threats.victim import Query, Victim, search_query
from assay.evaluation.probes.sample import Sample, judge
from assay.logits import margin
from assay.study.attacks import Attack

# L2 lengths of finite differences, pixel units. Along the gradient a network bends soonest, and how soon is its own
# matter: that one of several agrees is enough. In random directions the change is small, and must be above rounding.
STEPS = (0.001, 0.003, 0.01, 0.03)
RANDOM_STEP = 0.1
Found = dict[str, Any]

DIRECTIONS = 4  # random ones, of each image
CLOSE = 0.1  # relative error of a slope
TOLERANCE = 1e-5  # by which the sum of probabilities may miss 1


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
def probe_gradients(attack: Attack, victim: Victim, sample: Sample) -> Found:
    """Shares of images, unless said otherwise; `rose` is None where no image was right to begin with.

    `along`: the slope along the gradient, by finite differences under the same noise, is the gradient's length;
    `random`: correlation of the two over random directions; `halves`: mean cosine of the gradients of two queries;
    `replay` and `batch`: largest difference of logits, absolute and relative; `training_modules`: a count.
    """

    def value(x: Tensor, keys: Tensor = sample.keys) -> Tensor:
        """Logits (n, classes) of the first query: the same noise at every call."""
        return answers(victim, x, keys, search_query(0, attack.draws), room=len(sample.keys)).mean(1).float()

    start = gradient(victim, sample.clean, sample, search_query(0, attack.draws))
    other = gradient(victim, sample.clean, sample, search_query(1, attack.draws))
    end = gradient(victim, sample.attacked, sample, search_query(0, attack.draws))
    along, random = slopes(value, sample, start)
    first, second = value(sample.clean), value(sample.clean)
    alone = torch.cat([value(x[None], key[None]) for x, key in zip(sample.clean, sample.keys, strict=True)])
    return {
        "zero_start": share(_zero(start)),
        "zero_end": share(_zero(end)),
        "not_finite_start": share(_broken(start)),
        "not_finite_end": share(_broken(end)),
        "along": along,
        "random": random,
        "halves": float(torch.nan_to_num(cosine(start, other)).mean()),
        "rose": rose(attack, victim, sample),
        "replay": float((first - second).abs().max()),
        "batch": float((alone - first).abs().max() / first.abs().max().clamp_min(1e-6)),
        "training_modules": sum(module.training for module in victim.modules()),
        "probabilities": share(
            ((first.sum(1) - 1).abs() <= TOLERANCE) & (first >= 0).all(1) & (first <= 1).all(1),
        ),
    }


def gradient(victim: Victim, x: Tensor, sample: Sample, query: Query) -> Tensor:
    """The loss's gradient (n, 3, h, w) of a query."""
    leaf = x.clone().requires_grad_()
    loss = -margin(victim(leaf, sample.keys, query).mean(1).float(), sample.labels).sum()
    return torch.autograd.grad(loss, leaf)[0] if loss.requires_grad else torch.zeros_like(x)


def slopes(value: Callable[[Tensor], Tensor], sample: Sample, start: Tensor) -> tuple[float, float]:
    """How far finite differences bear the gradient out: along it, and in random directions."""

    def slope(direction: Tensor, step: float) -> Tensor:
        unit = step * direction / length(direction).clamp_min(1e-12)
        ends = [value(sample.clean + sign * unit) for sign in (1, -1)]
        return -(margin(ends[0], sample.labels) - margin(ends[1], sample.labels)) / (2 * step)

    steepness = length(start).flatten()
    close = [(slope(start, step) - steepness).abs() <= CLOSE * steepness for step in STEPS]
    along = share(torch.stack(close).any(0) & (steepness > 0))
    generator = torch.Generator().manual_seed(0)
    seen, said = [], []
    for _ in range(DIRECTIONS):
        direction = torch.randn(start.shape, generator=generator).to(start)
        seen.append(slope(direction, RANDOM_STEP))
        said.append((start * direction).sum((1, 2, 3)) / length(direction).flatten())
    both = torch.stack([torch.cat(seen), torch.cat(said)])
    return along, float(torch.nan_to_num(torch.corrcoef(both)[0, 1]))


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
