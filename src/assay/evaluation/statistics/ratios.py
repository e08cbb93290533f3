"""What is kept under attack: a ratio of two accuracies on the same images, and its interval."""

from __future__ import annotations

import math

import numpy as np

from assay.evaluation.statistics import slides
from assay.evaluation.statistics.intervals import CONFIDENCE, Interval, mean_interval

CLEAR = 0.5  # the clean accuracy is clearly above 0 if its interval ends above this part of it


def kept_interval(
    attacked: np.ndarray,
    clean: np.ndarray,
    draws: tuple[int, int],
    confidence: float = CONFIDENCE,
    clusters: np.ndarray | None = None,
) -> Interval:
    """The mean of `attacked` (images,) as a share of that of `clean` (images,), and its interval.

    Both are in [0,1], means of so many `draws` of the same images. The interval holds every ratio r for which 0 lies in
    the interval of attacked - r * clean, which is put together from the two means' own intervals and their correlation
    (the method of variance estimates recovery of Zou and Donner 2008). The bounds are not numbers where the clean
    accuracy is not clearly above 0, nor is the ratio where it is 0.
    """
    nan = float("nan")
    top, top_low, top_high = mean_interval(attacked, confidence, clusters, draws[0])
    bottom, bottom_low, bottom_high = mean_interval(clean, confidence, clusters, draws[1])
    if bottom == 0:
        return nan, nan, nan
    if not bottom_low > CLEAR * bottom or math.isnan(top_low):
        return top / bottom, nan, nan
    alike = _correlation(attacked - top, clean - bottom, clusters)
    low = _bound(top, bottom, top - top_low, bottom_high - bottom, alike, -1)
    high = _bound(top, bottom, top_high - top, bottom - bottom_low, alike, 1)
    return top / bottom, low, high


def _bound(top: float, bottom: float, of_top: float, of_bottom: float, alike: float, sign: int) -> float:
    """The ratio r, on one side, at which (top - r bottom)² = of_top² + r² of_bottom² - 2 r alike of_top of_bottom."""
    square = bottom**2 - of_bottom**2
    middle = top * bottom - alike * of_top * of_bottom
    root = math.sqrt(max(middle**2 - square * (top**2 - of_top**2), 0.0))
    return max((middle + sign * root) / square, 0.0)


def _correlation(one: np.ndarray, other: np.ndarray, clusters: np.ndarray | None) -> float:
    """The correlation of two means' errors, from what each image (images,) adds to them; 0 where one does not vary.

    It makes the interval narrower, and few slides may show too much of it by luck: a standard error, Fisher's, is taken
    off.
    """
    worth = float(len(one))
    if clusters is not None:
        one, other, sizes = slides.sums(clusters, one, other, np.ones(len(one)))
        worth = slides.effective(sizes)
    size = math.sqrt((one @ one) * (other @ other))
    found = float(one @ other) / size if size > 0 else 0.0
    if abs(found) >= 1 or worth <= 3:
        return max(-1.0, min(found, 1.0))
    return math.tanh(math.atanh(found) - 1 / math.sqrt(worth - 3))
