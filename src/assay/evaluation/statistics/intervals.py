"""Intervals of accuracies and of AUROC: Wilson's, at the sample size that the images, draws and slides are worth.

Images of one slide are not independent. Where `clusters` (images,) names the slide of each image, every variance is
taken between slides, and Student's quantile stands for the normal one: slides are few.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from assay.evaluation.statistics.measures import placements, require_verdicts

CONFIDENCE = 0.95

UNSEEN = 1.0  # images of either verdict that are counted along: near 0 and 1 few slides show that they differ

Interval = tuple[float, float, float]  # mean, low, high


def wilson(successes: float, trials: float, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Wilson's score interval of a proportion; the counts need not be whole (an effective sample size is not)."""
    if not 0 <= successes <= trials or trials <= 0:
        raise ValueError(f"{successes:g} successes in {trials:g} trials are no proportion")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    p = successes / trials
    middle = (p + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z / (1 + z**2 / trials) * np.sqrt(p * (1 - p) / trials + z**2 / (4 * trials**2))
    low = 0.0 if successes == 0 else middle - half
    high = 1.0 if successes == trials else middle + half
    return float(low), float(high)


def accuracy_interval(
    correct: np.ndarray, confidence: float = CONFIDENCE, clusters: np.ndarray | None = None
) -> Interval:
    """Accuracy of one draw, and its interval, from `correct` (images, draws) of bool.

    The draws of an image are not independent trials, so the interval is Wilson's at the effective sample size
    p(1-p) / Var(p), with Var(p) from the spread of the images' means: between `images` (the draws always agree)
    and `images * draws` (they agree no more than by chance). With one draw it is Wilson's interval.
    """
    draws = require_verdicts(correct).shape[1]
    return mean_interval(correct.mean(axis=1), confidence, clusters, draws)


def mean_interval(
    values: np.ndarray, confidence: float = CONFIDENCE, clusters: np.ndarray | None = None, draws: int = 1
) -> Interval:
    """The mean of `values` (images,) in [0,1], each of up to `draws` independent verdicts, and its interval."""
    p, images = float(values.mean()), len(values)
    if clusters is not None:
        return _clustered(p, values - p, clusters, images, images * draws, confidence)
    variance = float(values.var(ddof=1)) / images if images > 1 else np.inf
    return _effective(p, variance, images, images * draws, confidence)


def auroc_interval(
    scores: np.ndarray, positive: np.ndarray, confidence: float = CONFIDENCE, clusters: np.ndarray | None = None
) -> Interval:
    """AUROC of `scores` (images, draws) in the mean over the draws, and its interval.

    The variance is DeLong's (1988), from the images' placements in the mean over the draws; with clusters,
    Obuchowski's (1997). The effective sample size is at least the smaller class (Birnbaum's bound on the variance).
    Not a number unless both classes are there.
    """
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if not positives or not negatives:
        return (float("nan"),) * 3
    placed = placements(scores, positive)
    area = float(placed[positive].mean())
    least, most = min(positives, negatives), len(positive) * scores.shape[1]
    influence = (placed - area) / np.where(positive, positives, negatives)
    if clusters is not None:
        return _clustered(area, len(positive) * influence, clusters, least, most, confidence)
    variance = sum(
        placed[members].var(ddof=1) / members.sum() if members.sum() > 1 else np.inf
        for members in (positive, ~positive)
    )
    return _effective(area, float(variance), least, most, confidence)


def t_quantile(probability: float, freedom: int) -> float:
    """Student's quantile."""
    from scipy.special import stdtrit  # half a second to import, and most callers need none

    return float(stdtrit(freedom, probability))


def _effective(p: float, variance: float, least: float, most: float, confidence: float) -> Interval:
    """Wilson's interval at the sample size whose binomial variance is the one given, kept within its bounds."""
    if p in (0, 1):
        return p, *wilson(p * least, least, confidence)
    with np.errstate(divide="ignore"):
        size = float(np.clip(np.float64(p * (1 - p)) / variance, least, most))
    return p, *wilson(p * size, size, confidence)


def _clustered(
    p: float, influence: np.ndarray, clusters: np.ndarray, least: float, most: float, confidence: float
) -> Interval:
    """The same where clusters are the independent units; `influence` (images,) sums to zero and has the mean's scale.

    Where all agree there is no variance to see: each cluster then counts as one, the larger ones as more.
    """
    images = len(influence)
    _, members = np.unique(clusters, return_inverse=True)
    sizes = np.bincount(members)
    count = len(sizes)
    if count == 1:
        return p, *wilson(p, 1.0, confidence)
    worth = images**2 / (sizes**2).sum() * least / images
    sums = np.bincount(members, influence)
    spread = (sums**2).sum() + UNSEEN * (p**2 + (1 - p) ** 2)
    variance = count / (count - 1) * spread / images**2
    size = worth if p in (0, 1) or variance == 0 else min(p * (1 - p) / variance, most)
    size *= (NormalDist().inv_cdf((1 + confidence) / 2) / t_quantile((1 + confidence) / 2, count - 1)) ** 2
    return p, *wilson(p * size, size, confidence)
