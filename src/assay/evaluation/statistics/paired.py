"""Two cells on the same images: which is better, and by how much.

Tests are exact: under the hypothesis that two cells are as good, each image's difference is as likely to be the other
way round. For one verdict an image that is McNemar's test; for several draws it is the same test of their sums.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Literal

import numpy as np

from assay.evaluation.statistics.intervals import CONFIDENCE, Interval, t_quantile
from assay.evaluation.statistics.measures import require_verdicts

RESAMPLES = 4000


def sign_flip(
    a_correct: np.ndarray,
    b_correct: np.ndarray,
    clusters: np.ndarray | None = None,
    alternative: Literal["two-sided", "greater"] = "two-sided",
) -> float:
    """The p-value of the exact sign-flip test that b is as good as a; `greater`: no better than a.

    Both are (images, draws) of bool, with as many draws as they like; with clusters, whole clusters are flipped. The
    sum of whole numbers d_i under random signs has the characteristic function prod_i cos(d_i t), of which one
    Fourier transform gives every probability.
    """
    differences, _, _ = _units(a_correct, b_correct, clusters)
    observed = int(differences.sum())
    sizes, counts = np.unique(np.abs(differences[differences != 0]), return_counts=True)
    if not len(sizes):
        return 1.0
    furthest = int(sizes @ counts)
    length = 1 << (2 * furthest + 1).bit_length()
    angles = 2 * np.pi * np.arange(length // 2 + 1) / length
    wave = np.ones_like(angles)
    for size, count in zip(sizes, counts, strict=True):
        wave *= np.cos(size * angles) ** int(count)
    chances = np.fft.irfft(wave, length).clip(0)
    if alternative == "greater":
        tail = chances[np.arange(observed, furthest + 1)].sum()
    else:
        tail = 2 * chances[np.arange(abs(observed), furthest + 1)].sum() if observed else 1.0
    return float(min(tail, 1.0))


def paired_difference(
    a_correct: np.ndarray,
    b_correct: np.ndarray,
    seed: int,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    clusters: np.ndarray | None = None,
) -> Interval:
    """Accuracy of b less that of a, and its interval, on the same images.

    Both are (images, draws) of bool, with as many draws as they like. Bootstrap over images, which keeps the draws of
    an image together, or over clusters, which keeps their images together. Units differ in few distinct ways, so a
    resample is a multinomial draw of how often each way occurs: memory is `resamples` times the number of ways,
    however many images there are. Two more images are resampled along, one won by either side by one verdict (Bonett
    and Price 2012): where hardly an image differs, those seen do not tell how many could. The interval is Hesterberg's
    (2015) expanded percentile interval: for few units the plain one is too short.
    """
    differences, members, scale = _units(a_correct, b_correct, clusters)
    units = len(differences)
    difference = float(differences.sum() / members.sum() / scale)
    if units == 1:
        return difference, -1.0, 1.0
    verdict = scale // min(a_correct.shape[1], b_correct.shape[1])
    both = np.vstack([np.column_stack([differences, members]), [[verdict, 1], [-verdict, 1]]])
    ways, counts = np.unique(both, axis=0, return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(units + 2, counts / (units + 2), size=resamples)
    means = (drawn @ ways[:, 0]) / (drawn @ ways[:, 1]) / scale
    low, high = np.quantile(means, expanded(units, confidence))
    return difference, float(low), float(high)


def expanded(units: int, confidence: float) -> tuple[float, float]:
    """The two shares of a bootstrap distribution of `units` between which the interval lies."""
    half = math.sqrt(units / (units - 1)) * t_quantile((1 + confidence) / 2, units - 1)
    return NormalDist().cdf(-half), NormalDist().cdf(half)


def unpaired_difference(a: Interval, b: Interval) -> Interval:
    """Accuracy of b less that of a, and its interval, from their own (mean, low, high): Newcombe's hybrid score.

    For cells whose images are not the same ones, or whose scores are gone; of no use where pairs can be had.
    """
    difference = b[0] - a[0]
    low = difference - np.hypot(b[0] - b[1], a[2] - a[0])
    high = difference + np.hypot(b[2] - b[0], a[0] - a[1])
    return difference, float(low), float(high)


def _units(
    a_correct: np.ndarray, b_correct: np.ndarray, clusters: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, int]:
    """Of each unit (image or cluster): b's right draws less a's in whole numbers, and its images; and the scale.

    The scale is the least number of draws that both numbers of draws divide: an image's accuracy times it is whole.
    """
    if len(require_verdicts(a_correct)) != len(require_verdicts(b_correct)):
        raise ValueError(f"not the same images: {len(a_correct)} against {len(b_correct)}")
    draws_a, draws_b = a_correct.shape[1], b_correct.shape[1]
    scale = math.lcm(draws_a, draws_b)
    right_a, right_b = (correct.sum(axis=1, dtype=np.int64) for correct in (a_correct, b_correct))
    differences = right_b * (scale // draws_b) - right_a * (scale // draws_a)
    if clusters is None:
        return differences, np.ones_like(differences), scale
    _, members = np.unique(clusters, return_inverse=True)
    sums = np.zeros(members.max() + 1, np.int64)
    np.add.at(sums, members, differences)
    return sums, np.bincount(members), scale
