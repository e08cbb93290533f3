"""Intervals and tests for accuracies measured on the same images, with one or several draws an image."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

RESAMPLES = 4000


def wilson(successes: float, trials: float, confidence: float = 0.95) -> tuple[float, float]:
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


def accuracy_interval(correct: np.ndarray, confidence: float = 0.95) -> tuple[float, float, float]:
    """Accuracy of one draw, and its interval (mean, low, high), from `correct` (images, draws) of bool.

    The draws of an image are not independent trials, so the interval is Wilson's at the effective sample size
    p(1-p) / Var(p), with Var(p) from the spread of the images' means: between `images` (the draws always agree)
    and `images * draws` (they agree no more than by chance). With one draw it is Wilson's interval.
    """
    images, draws = _require_matrix(correct).shape
    by_image = correct.mean(axis=1)
    p = float(by_image.mean())
    if images == 1 or p in (0, 1):
        effective = float(images)
    else:
        with np.errstate(divide="ignore"):
            effective = float(np.clip(p * (1 - p) * images / by_image.var(ddof=1), images, images * draws))
    return p, *wilson(p * effective, effective, confidence)


def majority(logits: np.ndarray) -> np.ndarray:
    """The class (images,) that most draws of `logits` (images, draws, classes) choose; the mean logit breaks ties."""
    classes = logits.shape[-1]
    votes = (logits.argmax(axis=-1)[..., None] == np.arange(classes)).sum(axis=1)
    tied = votes == votes.max(axis=1, keepdims=True)
    return np.where(tied, logits.mean(axis=1), -np.inf).argmax(axis=1)


def mcnemar(a_correct: np.ndarray, b_correct: np.ndarray) -> float:
    """The p-value of the exact two-sided McNemar test that two classifiers, right on (images,) each, are as good."""
    if a_correct.shape != b_correct.shape or a_correct.ndim != 1:
        raise ValueError(f"McNemar's test needs one verdict an image, got {a_correct.shape} and {b_correct.shape}")
    only_a = int(np.sum(a_correct & ~b_correct))
    only_b = int(np.sum(~a_correct & b_correct))
    if only_a + only_b == 0:
        return 1.0
    from scipy.stats import binomtest  # a second to import, and most callers need no test

    return float(binomtest(only_a, only_a + only_b, 0.5).pvalue)


def paired_difference(
    a_correct: np.ndarray, b_correct: np.ndarray, seed: int, confidence: float = 0.95, resamples: int = RESAMPLES
) -> tuple[float, float, float]:
    """Accuracy of b less that of a, and its interval (difference, low, high), on the same images.

    Both are (images, draws) of bool, with as many draws as they like. Percentile bootstrap over images, which keeps
    the draws of an image together. Images differ in few distinct ways, so a resample is a multinomial draw of how
    often each way occurs: memory is `resamples` times the number of ways, however many images there are.
    """
    if len(_require_matrix(a_correct)) != len(_require_matrix(b_correct)):
        raise ValueError(f"not the same images: {len(a_correct)} against {len(b_correct)}")
    images = len(a_correct)
    a_right, b_right = a_correct.sum(axis=1), b_correct.sum(axis=1)
    ways, counts = np.unique(np.column_stack([a_right, b_right]), axis=0, return_counts=True)
    differences = ways[:, 1] / b_correct.shape[1] - ways[:, 0] / a_correct.shape[1]
    generator = np.random.default_rng(seed)
    means = generator.multinomial(images, counts / images, size=resamples) @ differences / images
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(counts @ differences / images), float(low), float(high)


def unpaired_difference(a: tuple[float, float, float], b: tuple[float, float, float]) -> tuple[float, float, float]:
    """Accuracy of b less that of a, and its interval, from their own (mean, low, high): Newcombe's hybrid score.

    For cells whose images are not the same ones, or whose scores are gone; of no use where pairs can be had.
    """
    difference = b[0] - a[0]
    low = difference - np.hypot(b[0] - b[1], a[2] - a[0])
    high = difference + np.hypot(b[2] - b[0], a[0] - a[1])
    return difference, float(low), float(high)


def _require_matrix(correct: np.ndarray) -> np.ndarray:
    if correct.ndim != 2 or correct.dtype != bool or 0 in correct.shape:
        raise ValueError(f"expected verdicts (images, draws) of bool, got {correct.dtype} {correct.shape}")
    return correct
