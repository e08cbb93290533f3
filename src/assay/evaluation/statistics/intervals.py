"""Intervals of accuracies and of AUROC: Wilson's, at the sample size that the images, draws and slides are worth.

Images of one slide are not independent. Where `clusters` (images,) names the slide of each image, every variance is
taken between slides, and the quantile is that of so many slides of such sizes. Where the slides are worth fewer than
four of equal size, an interval is refused: its bounds are not numbers.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from assay.evaluation.statistics import slides
from assay.evaluation.statistics.measures import log_odds, placements, require_verdicts

CONFIDENCE = 0.95

# Two slides that were not seen are counted along, this part of the way to 0 and to 1: few slides show how they differ.
UNSEEN = 0.3

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
        weights = np.full(images, 1 / images)
        return _clustered(p, weights * (values - p), weights, clusters, images * draws, confidence)
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
    weights = 1 / counts[members] / len(counts)
    most = correct.shape[0] * draws
    if clusters is not None:
        influence = _within_classes(weights * (right - mean), members, clusters)
        return _clustered(mean, influence, weights, clusters, most, confidence)
    least = len(counts) * int(counts.min())
    return _by_class(mean, weights * (right - mean), members, least, most, confidence)


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
    influence -= weights * area
    most = images * logits.shape[1] * (classes - 1)
    if clusters is not None:
        influence = _within_classes(influence, members, clusters)
        return _clustered(area, influence, weights / 2, clusters, most, confidence, worth=0.5)
    least = classes * int(np.minimum(counts, images - counts).min()) / 2
    return _by_class(area, influence, members, least, most, confidence)


def _by_class(
    p: float, influence: np.ndarray, members: np.ndarray, least: float, most: float, confidence: float
) -> Interval:
    """The interval of a mean in which the images' weights depend on their classes, `members` (images,) from 0 without
    gaps. `influence` (images,) is what each image adds to the mean's error, and sums to zero.

    The number of images of each class is fixed, so the variance is taken within the classes. One image does not show
    how its class varies: where a class has but one, the effective sample size is `least`.
    """
    counts = np.bincount(members)
    if counts.min() == 1:
        return _effective(p, np.inf, least, most, confidence)
    influence = influence - (np.bincount(members, influence) / counts)[members]
    variance = float(((counts / (counts - 1))[members] * influence**2).sum())
    return _effective(p, variance, least, most, confidence)


def _within_classes(influence: np.ndarray, members: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """The influence of each image (images,) around that of its class, `members` (images,), for slides.

    What a class loses by being compared with its own mean is given back. A class on few slides does not show how slides
    of it vary: it stays compared with the mean of all.
    """
    found = influence.copy()
    for own in (members == label for label in range(members.max() + 1)):
        (sizes,) = slides.sums(clusters[own], np.ones(own.sum()))
        worth = slides.effective(sizes)
        if worth >= slides.LEAST:
            found[own] = (influence[own] - influence[own].mean()) * np.sqrt(worth / (worth - 1))
    return found


def _effective(p: float, variance: float, least: float, most: float, confidence: float) -> Interval:
    """Wilson's interval at the sample size whose binomial variance is the one given, kept within its bounds."""
    if p in (0, 1):
        return p, *wilson(p * least, least, confidence)
    with np.errstate(divide="ignore"):
        size = float(np.clip(np.float64(p * (1 - p)) / variance, least, most))
    return p, *wilson(p * size, size, confidence)


def _clustered(
    p: float,
    influence: np.ndarray,
    weights: np.ndarray,
    clusters: np.ndarray,
    most: float,
    confidence: float,
    worth: float = 1.0,
) -> Interval:
    """The same where slides are the independent units. `influence` (images,) is what each image adds to the mean's
    error, `weights` (images,) its share in the mean.

    Where all agree there is no variance to see: each slide then counts as `worth` trials, if all are of one size.
    """
    errors, shares = slides.sums(clusters, influence, weights)
    wider = slides.widening(shares, confidence)
    if np.isnan(wider):
        return p, float("nan"), float("nan")
    unseen = UNSEEN**2 * (p**2 + (1 - p) ** 2) * (shares**2).mean()
    variance = (errors**2).sum() + unseen
    size = worth * slides.effective(shares) if p in (0, 1) else min(p * (1 - p) / variance, most)
    size *= NormalDist().inv_cdf((1 + confidence) / 2) ** 2 / wider
    return p, *wilson(p * size, size, confidence)
