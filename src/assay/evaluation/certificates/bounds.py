"""Exact bounds of a proportion from independent draws (Clopper and Pearson 1934), and the radii that follow from them.

They hold for a number of draws that was fixed beforehand. Who looks at them while drawing, and stops when they please,
voids them; `betting` is for that.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import beta, binom, norm


def lower_bound(hits: np.ndarray, draws: int, alpha: float) -> np.ndarray:
    """The bound that exceeds the true proportion with a chance of `alpha` at most, for `hits` (images,) of `draws`."""
    hits = np.asarray(hits)
    return np.where(hits > 0, beta.ppf(alpha, np.maximum(hits, 1), draws - hits + 1), 0.0)


def upper_bound(hits: np.ndarray, draws: int, alpha: float) -> np.ndarray:
    """The bound that the true proportion exceeds with a chance of `alpha` at most."""
    return 1 - lower_bound(draws - np.asarray(hits), draws, alpha)


def radius(low: np.ndarray, sigma: float) -> np.ndarray:
    """The certified radius sigma Phi^-1(low) of an answer whose probability is `low` at least; 0 where that is no
    majority (Cohen et al. 2019, theorem 1 with p_B = 1 - p_A)."""
    return sigma * norm.ppf(np.maximum(low, 0.5))


def two_class_radius(low: np.ndarray, high: np.ndarray, sigma: float) -> np.ndarray:
    """The radius sigma/2 (Phi^-1(low) - Phi^-1(high)) of an answer whose probability is `low` at least, while that of
    each other one is `high` at most; 0 where that is no lead (Cohen et al. 2019, theorem 1)."""
    high = np.minimum(high, 1 - low)
    return np.where(low > high, sigma / 2 * (norm.ppf(low) - norm.ppf(high)), 0.0)


def largest_radius(draws: int, alpha: float, sigma: float) -> float:
    """The radius that is certified where every draw agrees: no number of draws certifies more."""
    return float(radius(lower_bound(np.array([draws]), draws, alpha), sigma)[0])


def is_majority(first: np.ndarray, second: np.ndarray, alpha: float) -> np.ndarray:
    """Whether the first of two answers is surely the more likely, by their votes (images,), the first's no fewer: the
    two-sided test of a fair coin (Hung and Fithian 2019), which is wrong with a chance of `alpha` at most."""
    return 2 * binom.sf(first - 1, first + second, 0.5) <= alpha
