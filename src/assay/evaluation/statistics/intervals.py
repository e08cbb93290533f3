"""Intervals of accuracies and of AUROC: Wilson's, at the sample size that the images, draws and slides are worth.

Images of one slide are not independent. Where `clusters` (images,) names the slide of each image, every variance is
taken between slides, and Student's quantile stands for the normal one: slides are few.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from assay.evaluation.statistics.measures import log_odds, placements, require_verdicts

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


def balanced_interval(
    correct: np.ndarray, labels: np.ndarray, confidence: float = CONFIDENCE, clusters: np.ndarray | None = None
) -> Interval:
    """Balanced accuracy, the mean of the classes' accuracies, and its interval, from `correct` (images, draws) of bool.

    Classes without an image do not count. The variance is that between the images of each class, or between clusters.
    The effective sample size is at least the number of classes times the images of the smallest one, as p(1-p) is
    concave. With equally many images per class and one draw, this is the interval of accuracy.
    """
    draws = require_verdicts(correct).shape[1]
    _, members, counts = np.unique(labels, return_inverse=True, return_counts=True)
    right = correct.mean(axis=1)
    mean = float((np.bincount(members, right) / counts).mean())
    influence = (right - mean) / counts[members] / len(counts)
    least = len(counts) * int(counts.min())
    return _by_class(mean, influence, members, clusters, least, correct.shape[0] * draws, confidence)


def auroc_interval(
    logits: np.ndarray, labels: np.ndarray, confidence: float = CONFIDENCE, clusters: np.ndarray | None = None
) -> Interval:
    """AUROC of `logits` (images, draws, classes) on average over the draws, and its interval.

    It is the mean over the classes that have images, each ranked against the rest by its log-odds; of two classes,
    either gives the same area. The variance is DeLong's (1988), from the images' placements: each image has one in the
    area of its own class and one in that of each other class. With clusters it is Obuchowski's (1997). The effective
    sample size is at least half the number of classes times the images of the smallest one (for two classes Birnbaum's
    bound on the variance), and at most the images times the draws times the other classes. Not a number unless two
    classes have images.
    """
    present, members, counts = np.unique(labels, return_inverse=True, return_counts=True)
    images, classes = len(labels), len(present)
    if classes < 2:
        return (float("nan"),) * 3
    areas, influence, weights = np.zeros(classes), np.zeros(images), np.zeros(images)
    wanted = (odds for label, odds in enumerate(log_odds(logits)) if label in present)
    for place, odds in enumerate(wanted):
        positive = members == place
        placed = placements(odds, positive)
        areas[place] = placed[positive].mean()
        weight = 1 / np.where(positive, counts[place], images - counts[place]) / classes
        influence += weight * placed
        weights += weight
    area = float(areas.mean())
    least = classes * int(np.minimum(counts, images - counts).min()) / 2
    most = images * logits.shape[1] * (classes - 1)
    return _by_class(area, influence - weights * area, members, clusters, least, most, confidence)


def t_quantile(probability: float, freedom: int) -> float:
    """Student's quantile."""
    from scipy.special import stdtrit  # half a second to import, and most callers need none

    return float(stdtrit(freedom, probability))


def _by_class(
    p: float,
    influence: np.ndarray,
    members: np.ndarray,
    clusters: np.ndarray | None,
    least: float,
    most: float,
    confidence: float,
) -> Interval:
    """The interval of a mean in which the images' weights depend on their classes, `members` (images,) from 0 without
    gaps. `influence` (images,) is what each image adds to the mean's error, and sums to zero.

    The number of images of each class is fixed, so the variance is taken within the classes. One image does not show
    how its class varies: where a class has but one, the effective sample size is `least`, and the variance between
    clusters is taken over all classes together.
    """
    counts = np.bincount(members)
    alone = counts.min() == 1
    if not alone:
        influence = influence - (np.bincount(members, influence) / counts)[members]
    if clusters is not None:
        return _clustered(p, len(influence) * influence, clusters, least, most, confidence)
    variance = np.inf if alone else float(((counts / (counts - 1))[members] * influence**2).sum())
    return _effective(p, variance, least, most, confidence)


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
