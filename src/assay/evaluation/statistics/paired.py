"""Two cells on the same images: which is better, and by how much.

Images that are independent have an exact test: under the hypothesis that two cells are as good, each image's difference
is as likely to be the other way round. For one verdict an image that is McNemar's test; for several draws it is the
same test of their sums. It is a test of symmetry. Slides may differ unequally and yet be equal on average, so that they
have a test of the mean, whose interval holds zero where its p-value is above 5 %.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np

from assay.evaluation.statistics import slides
from assay.evaluation.statistics.intervals import CONFIDENCE, Interval
from assay.evaluation.statistics.measures import require_verdicts

Alternative = Literal["two-sided", "greater"]
UNSEEN = 4  # slides that are counted along, two of either sign: as the four verdicts of Agresti and Coull (1998)


def paired_test(
    a_correct: np.ndarray,
    b_correct: np.ndarray,
    clusters: np.ndarray | None = None,
    alternative: Alternative = "two-sided",
) -> float:
    """The p-value that b is as good as a; `greater`: no better than a. Both are (images, draws) of bool.

    It is the exact test where images are independent. Where `clusters` (images,) names their slides it is Student's
    test of the slides' sums, and not a number where the slides are worth fewer than four.
    """
    if clusters is None:
        return sign_flip(a_correct, b_correct, alternative)
    units = units_of(a_correct, b_correct, clusters)
    if slides.effective(units.sizes) < slides.LEAST:
        return float("nan")
    if alternative == "greater":
        return slides.tail(units.differences, units.unseen)
    return min(1.0, 2 * slides.tail(units.differences * np.sign(units.differences.sum()), units.unseen))


def sign_flip(a_correct: np.ndarray, b_correct: np.ndarray, alternative: Alternative = "two-sided") -> float:
    """The p-value of the exact sign-flip test that b is as good as a; `greater`: no better than a.

    Both are (images, draws) of bool, with as many draws as they like. The sum of whole numbers d_i under random signs
    has the characteristic function prod_i cos(d_i t), of which one Fourier transform gives every probability.
    """
    differences, _ = _whole(a_correct, b_correct)
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
    *,
    clusters: np.ndarray | None = None,
    confidence: float = CONFIDENCE,
) -> Interval:
    """Accuracy of b less that of a, and its interval, on the same images.

    Both are (images, draws) of bool, with as many draws as they like. The interval holds every difference d that the
    test of the mean would not reject, by image or by slide: (S - n d)² <= bound * (sum of (D - m d)² + unseen), with D
    what a unit's images differ by, m how many they are, S and n the sums of these. For images of one verdict it is the
    score interval that belongs to McNemar's test. The bounds are not numbers where the slides are worth fewer than
    four.
    """
    units = units_of(a_correct, b_correct, clusters)
    total, images = units.differences.sum(), units.sizes.sum()
    difference = float(total / images)
    largest, worth = slides.bound(len(units.sizes), confidence), slides.effective(units.sizes)
    if clusters is not None and np.isnan(slides.widening(units.sizes, confidence)):
        return difference, float("nan"), float("nan")
    if worth <= largest:
        return difference, -1.0, 1.0
    square = images**2 - largest * (units.sizes**2).sum()
    middle = (images * total - largest * (units.differences @ units.sizes)) / square
    constant = (total**2 - largest * ((units.differences**2).sum() + units.unseen)) / square
    half = math.sqrt(max(middle**2 - constant, 0.0))
    return difference, float(max(middle - half, -1.0)), float(min(middle + half, 1.0))


def unpaired_difference(a: Interval, b: Interval) -> Interval:
    """Accuracy of b less that of a, and its interval, from their own (mean, low, high): Newcombe's hybrid score.

    For cells whose images are not the same ones, or whose scores are gone; of no use where pairs can be had.
    """
    difference = b[0] - a[0]
    low = difference - np.hypot(b[0] - b[1], a[2] - a[0])
    high = difference + np.hypot(b[2] - b[0], a[0] - a[1])
    return difference, float(low), float(high)


class Units(NamedTuple):
    """What is independent, images or slides: the sums (units,) of their images' differences in accuracy, how many
    images (units,) they have, and what is added to the sum of squared differences for units that were not seen."""

    differences: np.ndarray
    sizes: np.ndarray
    unseen: float


def units_of(a_correct: np.ndarray, b_correct: np.ndarray, clusters: np.ndarray | None) -> Units:
    """The units of two cells (images, draws).

    Where hardly an image differs, those seen do not tell how many could: two more are counted along, one won by either
    side by one verdict (Bonett and Price 2012). Nor do few slides tell how one more would differ: UNSEEN of average
    size are counted along, on which every image that differs does so in the same direction.
    """
    whole, scale = _whole(a_correct, b_correct)
    by_image = whole / scale
    unseen = 2 / min(a_correct.shape[1], b_correct.shape[1]) ** 2
    if clusters is None:
        return Units(by_image, np.ones(len(by_image)), unseen)
    differences, sizes = slides.sums(clusters, by_image, np.ones(len(by_image)))
    unseen += UNSEEN * float(np.abs(by_image).mean() ** 2 * (sizes**2).mean())
    return Units(differences, sizes, unseen)


def _whole(a_correct: np.ndarray, b_correct: np.ndarray) -> tuple[np.ndarray, int]:
    """Of each image b's right draws less a's in whole numbers, and the scale of these.

    The scale is the least number of draws that both numbers of draws divide: an image's accuracy times it is whole.
    """
    if len(require_verdicts(a_correct)) != len(require_verdicts(b_correct)):
        raise ValueError(f"not the same images: {len(a_correct)} against {len(b_correct)}")
    draws_a, draws_b = a_correct.shape[1], b_correct.shape[1]
    scale = math.lcm(draws_a, draws_b)
    right_a, right_b = (correct.sum(axis=1, dtype=np.int64) for correct in (a_correct, b_correct))
    return right_b * (scale // draws_b) - right_a * (scale // draws_a), scale
