"""What the draws of a defence say: the majority vote, the worst of k, what AUROC is made of, where variance comes from.

Verdicts are `correct` (images, draws) of bool, `logits` (images, draws, classes).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

BLOCK = 1 << 22  # numbers that are held at a time where all logits need not be


def require_verdicts(correct: np.ndarray) -> np.ndarray:
    """The verdicts, if that is what they are."""
    if correct.ndim != 2 or correct.dtype != bool or 0 in correct.shape:
        raise ValueError(f"expected verdicts (images, draws) of bool, got {correct.dtype} {correct.shape}")
    return correct


def majority(logits: np.ndarray) -> np.ndarray:
    """The class (images,) that most draws of `logits` (images, draws, classes) choose; the mean logit breaks ties."""
    chosen = logits.argmax(axis=-1)
    votes, means = np.empty(chosen.shape), np.empty(chosen.shape)  # of the class that each draw chooses
    for draw, own in enumerate(chosen.T):
        votes[:, draw] = (chosen == own[:, None]).sum(axis=1)
        means[:, draw] = np.take_along_axis(logits, own[:, None, None], axis=-1)[..., 0].mean(axis=1, dtype=float)
    means[votes < votes.max(axis=1, keepdims=True)] = -np.inf
    first = means == means.max(axis=1, keepdims=True)
    return np.where(first, chosen, logits.shape[-1]).min(axis=1)


def worst_of(correct: np.ndarray, k: int) -> np.ndarray:
    """The chance (images,) that k draws are all right: C(right, k) / C(draws, k), which is unbiased for k <= draws.

    Its mean over the images is the accuracy that is left to one who may ask k times and needs one wrong answer.
    """
    draws = require_verdicts(correct).shape[1]
    if not 1 <= k <= draws:
        raise ValueError(f"the worst of {k} is not defined for {draws} draws")
    taken = np.arange(k)
    return np.prod(np.maximum(correct.sum(axis=1)[:, None] - taken, 0) / (draws - taken), axis=1)


def variance_parts(correct: np.ndarray) -> tuple[float, float]:
    """The variance of one verdict, split: between images, and between the draws of an image. Both are unbiased.

    With v the chance of an image to be right, these are Var(v) and E[v(1-v)]. One draw cannot tell them apart.
    """
    images, draws = require_verdicts(correct).shape
    if draws == 1 or images == 1:
        return float("nan"), float("nan")
    right = correct.mean(axis=1)
    of_draws = float((right * (1 - right)).mean() * draws / (draws - 1))
    return float(right.var(ddof=1) - of_draws / draws), of_draws


def log_odds(logits: np.ndarray) -> Iterator[np.ndarray]:
    """For each class its log-odds log p / (1 - p) (images, draws), p being the softmax of `logits`.

    p itself rounds to 1 for a confident classifier, which makes ties that the logits do not have. Some classes are held
    at a time, in float64, however many `logits` (images, draws, classes), perhaps a memory map, has.

    With top and second the highest two logits and S = sum of exp(z_j - second) over all but the top one,
    log sum over j != k of exp(z_j) is second + log S for the top class and top + log1p((S - exp(z_k - second)) /
    exp(top - second)) for any other.
    """
    places = logits.argmax(axis=-1)
    top, second, rest = (np.empty(places.shape) for _ in range(3))
    step = max(1, BLOCK // (logits.shape[1] * logits.shape[2]))
    for rows in (slice(start, start + step) for start in range(0, len(logits), step)):
        block, place = logits[rows].astype(float), places[rows][..., None]
        top[rows] = np.take_along_axis(block, place, axis=-1)[..., 0]
        np.put_along_axis(block, place, -np.inf, axis=-1)
        second[rows] = block.max(axis=-1)
        rest[rows] = np.exp(block - second[rows][..., None]).sum(axis=-1)
    own = top - second - np.log(rest)
    step = max(1, BLOCK // places.size)
    for start in range(0, logits.shape[2], step):
        block = np.moveaxis(logits[..., start : start + step].astype(float), -1, 0)
        for k, values in enumerate(block, start):
            others = np.maximum(rest - np.exp(np.minimum(values - second, 0)), 0) * np.exp(second - top)
            yield np.where(places == k, own, values - top - np.log1p(others))


def placements(scores: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """The share (images,) of the other class's images that each image is on the right side of, ties half, on average
    over the draws of `scores` (images, draws). AUROC is the mean of the placements of either class."""
    found = np.empty(scores.shape)
    for draw, column in enumerate(scores.T):
        own, others = column[positive], column[~positive]
        order = np.argsort(own, kind="stable")
        below, up_to = (np.searchsorted(own[order], others, side) for side in ("left", "right"))
        passed = sum(np.bincount(places, minlength=len(own) + 1).cumsum()[:-1] for places in (below, up_to))
        found[np.flatnonzero(positive)[order], draw] = passed / 2 / len(others)
        found[~positive, draw] = 1 - (below + up_to) / 2 / len(own)
    return found.mean(axis=1)
