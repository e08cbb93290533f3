"""A test of p > p0 that may be looked at after every draw: a bet against p0 (Krichevsky and Trofimov's, 1981).

Who bets on each draw at the odds of p0, as the draws so far advise, has on average no more than what they began with,
if p is p0; so their wealth ever reaches 1/alpha with a chance of alpha at most (Ville's inequality). The wealth after A
hits in N draws is

    W = B(A + 1/2, N - A + 1/2) / B(1/2, 1/2) / (p0^A (1 - p0)^(N - A)).

p > p0 is certified once W >= 1/alpha with A >= p0 N, and refused once W >= 1/alpha with A < p0 N. Each is wrong with a
chance of alpha at most, whenever one looks and stops.
"""

from __future__ import annotations

import math
from enum import IntEnum

import numpy as np
from scipy.special import betaln


class Verdict(IntEnum):
    """What a test has found so far."""

    REFUSED = -1
    OPEN = 0
    CERTIFIED = 1


def log_wealth(hits: np.ndarray, draws: np.ndarray, p0: float) -> np.ndarray:
    """The logarithm of the wealth after `hits` in `draws`."""
    misses = draws - hits
    own = betaln(hits + 0.5, misses + 0.5) - betaln(0.5, 0.5)
    return own - hits * math.log(p0) - misses * math.log1p(-p0)


def judge(hits: np.ndarray, draws: np.ndarray, p0: float, alpha: float) -> np.ndarray:
    """The Verdict of each image after `hits` in `draws`, both (images,)."""
    hits, draws = np.asarray(hits, float), np.asarray(draws, float)
    decided = log_wealth(hits, draws, p0) >= math.log(1 / alpha)
    return np.where(decided, np.where(hits >= p0 * draws, Verdict.CERTIFIED, Verdict.REFUSED), Verdict.OPEN)
