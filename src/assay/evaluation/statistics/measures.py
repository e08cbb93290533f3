"""What the draws of a defence say: the majority vote, the worst of k, AUROC, and where the variance comes from.

Verdicts are `correct` (images, draws) of bool, `logits` (images, draws, classes).
"""

from __future__ import annotations

import numpy as np


def require_verdicts(correct: np.ndarray) -> np.ndarray:
    """The verdicts, if that is what they are."""
    if correct.ndim != 2 or correct.dtype != bool or 0 in correct.shape:
        raise ValueError(f"expected verdicts (images, draws) of bool, got {correct.dtype} {correct.shape}")
    return correct


def majority(logits: np.ndarray) -> np.ndarray:
    """The class (images,) that most draws of `logits` (images, draws, classes) choose; the mean logit breaks ties."""
    classes = logits.shape[-1]
    votes = (logits.argmax(axis=-1)[..., None] == np.arange(classes)).sum(axis=1)
    tied = votes == votes.max(axis=1, keepdims=True)
    return np.where(tied, logits.mean(axis=1), -np.inf).argmax(axis=1)


def worst_of(correct: np.ndarray, k: int) -> np.ndarray:
    """The chance (images,) that k draws are all right: C(right, k) / C(draws, k), which is unbiased for k <= draws.

    Its mean over the images is the accuracy that is left to one who may ask k times and needs one wrong answer.
    """
    draws = require_verdicts(correct).shape[1]
    if not 1 <= k <= draws:
        raise ValueError(f"the worst of {k} cannot be told from {draws} draws")
    taken = np.arange(k)
    return np.prod(np.maximum(correct.sum(axis=1)[:, None] - taken, 0) / (draws - taken), axis=1)


def kept(under_attack: float, clean: float) -> float:
    """What is left under attack of the same measure on clean images; not a number where nothing was right."""
    return under_attack / clean if clean > 0 else float("nan")


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


def placements(scores: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """The share (images,) of the other class's images that each image is on the right side of, ties half, in the mean
    over the draws of `scores` (images, draws). AUROC is the mean of the placements of either class."""
    found = np.empty(scores.shape)
    positives, negatives = int(positive.sum()), int((~positive).sum())
    for draw, column in enumerate(scores.T):
        among_all = _midranks(column)
        found[positive, draw] = (among_all[positive] - _midranks(column[positive])) / negatives
        found[~positive, draw] = 1 - (among_all[~positive] - _midranks(column[~positive])) / positives
    return found.mean(axis=1)


def auroc(scores: np.ndarray, positive: np.ndarray) -> float:
    """The area under the ROC curve of `scores` (images, draws) for the images that are `positive`, in the mean over
    the draws: the chance that a positive image scores higher than a negative one, ties half."""
    return float(placements(scores, positive)[positive].mean())


def _midranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1; equal values share the mean of their ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]
