"""Slides as the independent units: what they sum to, how many they are worth, and how far their mean may stray.

Images of one slide are alike, so intervals and tests look at the sum that each slide adds to an error. If the
hypothesis is right, these sums D are independent around zero, and T² = (sum of D)² / sum of D² says how well they
agree. T² is a function of Student's t of the sums, t² = T² (n - 1) / (n - T²) for n slides, and Student's test at 5 %
holds its size whatever the spreads of normal sums are (Ibragimov and Müller 2010): slides may be of any size. No
correlation within slides has to be guessed, as Satterthwaite's degrees of freedom demand.
"""

from __future__ import annotations

import numpy as np

LEAST = 4.0  # effective slides: T² of fewer never reaches the 3.84 that 95 % asks for, so that no value is excluded


def sums(clusters: np.ndarray, *values: np.ndarray) -> list[np.ndarray]:
    """For each of some `values` (images,), the sums (slides,) over the images of each slide."""
    _, members = np.unique(clusters, return_inverse=True)
    return [np.bincount(members, value) for value in values]


def effective(shares: np.ndarray) -> float:
    """How many slides of equal size the slides are worth, of which each has a share (slides,) in the result."""
    return float(shares.sum() ** 2 / (shares**2).sum())


def bound(units: int, confidence: float) -> float:
    """The largest T² that `units` independent sums are believed to have by chance."""
    if units < 2:
        return float("inf")
    square = t_quantile((1 + confidence) / 2, units - 1) ** 2
    return units * square / (square + units - 1)


def widening(shares: np.ndarray, confidence: float) -> float:
    """What the variance seen around a mean is multiplied by, to give the square of the half-width of its interval.

    The sums are seen around the mean that was found, not around the true one; a slide with a large share hides most.
    Where the true mean is d away, sum of D² is larger by d² times the sum of squared shares, which is solved for d.
    For n slides of equal size this is Student's quantile squared times n / (n - 1). Not a number for too few slides.
    """
    worth, largest = effective(shares), bound(len(shares), confidence)
    if worth < LEAST or worth <= largest:
        return float("nan")
    return largest / (1 - largest / worth)


def tail(sums_: np.ndarray, unseen: float) -> float:
    """The chance, in one tail, that independent sums of mean zero agree on a sum as high as these do.

    `unseen` is what is added to the sum of their squares.
    """
    from scipy.special import stdtr  # half a second to import, and most callers need none

    units = len(sums_)
    agreement = sums_.sum() / np.sqrt((sums_**2).sum() + unseen)
    return float(stdtr(units - 1, -agreement * np.sqrt((units - 1) / (units - agreement**2))))


def t_quantile(probability: float, freedom: int) -> float:
    """Student's quantile."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, probability))
