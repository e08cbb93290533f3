"""Whether two ways to train are as good as each other, within a margin: two one-sided tests (Schuirmann 1987)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from assay.evaluation.statistics import slides

LEVEL = 0.05


class Spread(NamedTuple):
    """The variance of a training's accuracy between seeds, and the degrees of freedom that it is known with."""

    variance: float
    freedom: int


class Difference(NamedTuple):
    """Accuracy of b less that of a, its 90% interval, and the p-value that they differ by the margin or more."""

    difference: float
    low: float
    high: float
    p: float


def spread_of(groups: list[np.ndarray]) -> Spread:
    """The spread of trainings that differ in their seed alone, pooled over groups of accuracies (trainings,)."""
    freedom = sum(len(group) - 1 for group in groups)
    squares = sum(float(((group - group.mean()) ** 2).sum()) for group in groups)
    return Spread(squares / freedom if freedom else 0.0, freedom)


def equivalence(
    a: np.ndarray, b: np.ndarray, margin: float, pooled: Spread, clusters: np.ndarray | None = None
) -> Difference:
    """Whether b is as good as a, from the shares of right draws (trainings, images) on the same images.

    The difference of the means varies with the seeds and with the images. Each kind of training has the spread of its
    own trainings, or the `pooled` one of the study if it was trained once; images count by the variance of their mean
    differences, of slides where `clusters` (images,) names those, and by no less than verdicts have that differ by the
    margin: few images that differ say little. Satterthwaite's degrees of freedom, Student's t.
    """
    from scipy.special import stdtr, stdtrit

    parts = [_of_seeds(trainings.mean(axis=1), pooled) for trainings in (a, b)]
    parts.append(_of_images(b.mean(axis=0) - a.mean(axis=0), margin, clusters))
    variance = sum(part.variance for part in parts)
    difference = float(b.mean() - a.mean())
    freedom = variance**2 / sum(part.variance**2 / part.freedom for part in parts if part.variance)
    error = np.sqrt(variance)
    half = float(stdtrit(freedom, 1 - LEVEL) * error)
    p = float(stdtr(freedom, -(margin - abs(difference)) / error))
    return Difference(difference, difference - half, difference + half, p)


def _of_seeds(accuracies: np.ndarray, pooled: Spread) -> Spread:
    """The variance of a mean over trainings."""
    own = spread_of([accuracies]) if len(accuracies) > 1 else pooled
    return Spread(own.variance / len(accuracies), own.freedom)


def _of_images(differences: np.ndarray, margin: float, clusters: np.ndarray | None) -> Spread:
    """The variance of the mean of differences (images,)."""
    errors, count = differences - differences.mean(), len(differences)
    if clusters is not None:
        (errors,) = slides.sums(clusters, errors)
    units = len(errors)
    seen = float((errors**2).sum()) * units / (units - 1) / count**2
    return Spread(max(seen, margin * (1 - margin) / count), units - 1)
