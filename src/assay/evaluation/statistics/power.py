"""How small a difference two cells may have and still be told apart, as far as their images vary."""

from __future__ import annotations

import math

import numpy as np

from assay.evaluation.statistics import slides
from assay.evaluation.statistics.paired import units_of
from assay.planning.power import POWER


def detectable(a_correct: np.ndarray, b_correct: np.ndarray, level: float, clusters: np.ndarray | None = None) -> float:
    """The smallest difference of two cells that a two-sided test at `level` finds with a chance of POWER, if images, or
    slides, differ as much as those that were seen. Both are (images, draws) of bool.

    Student's test has that power where its statistic is noncentral by so many standard errors. Not a number where no
    difference of so few images or slides would be significant.
    """
    units = units_of(a_correct, b_correct, clusters)
    images, count = units.sizes.sum(), len(units.sizes)
    largest, worth = slides.bound(count, 1 - level), slides.effective(units.sizes)
    if worth <= largest or (clusters is not None and worth < slides.LEAST):
        return float("nan")
    errors = units.differences - units.sizes * units.differences.sum() / images
    half = math.sqrt(largest / (1 - largest / worth) * ((errors**2).sum() + units.unseen)) / images
    needed = slides.t_quantile(1 - level / 2, count - 1)
    return half * _noncentral(count - 1, needed) / needed


def _noncentral(freedom: int, needed: float) -> float:
    """By how many standard errors a mean must differ for Student's t to exceed `needed` with a chance of POWER."""
    from scipy.special import nctdtrinc  # half a second to import, and most callers need none

    return float(nctdtrinc(freedom, 1 - POWER, needed))
