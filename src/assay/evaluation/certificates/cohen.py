"""CERTIFY and PREDICT of Cohen, Rosenfeld and Kolter (2019, section 3.2), on votes that were counted before.

Votes are integers (images, classes): how many draws each class got. A class is a place among the classes; ABSTAIN
stands for no answer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from assay.evaluation.certificates.bounds import is_majority, lower_bound, radius, two_class_radius, upper_bound

ABSTAIN = -1


@dataclass(frozen=True)
class Certified:
    """What CERTIFY says of each image (images,): the class `chosen` by the first votes; the lower bound `low` of
    its probability; the `radius` from that bound alone, 0 where it abstains; and the `two_class` radius from bounds of
    all classes, 0 where these do not tell the first from the second."""

    chosen: np.ndarray
    low: np.ndarray
    radius: np.ndarray
    two_class: np.ndarray

    @property
    def answer(self) -> np.ndarray:
        """The answer of each image, or ABSTAIN."""
        return np.where(self.radius > 0, self.chosen, ABSTAIN)


def certify(selection: np.ndarray, votes: np.ndarray, sigma: float, alpha: float) -> Certified:
    """Choose each image's answer by the votes of `selection`, and bound how likely it is by the other `votes`.

    The radius is that of theorem 1 with p_B = 1 - p_A, as in CERTIFY. `two_class` bounds the answer at alpha/2 and each
    other class at alpha/(2(K-1)); of two classes both bounds are one event, and it is the same radius.
    """
    draws, classes = int(votes[0].sum()), votes.shape[1]
    chosen = selection.argmax(axis=1)
    hits = np.take_along_axis(votes, chosen[:, None], axis=1)[:, 0]
    low = lower_bound(hits, draws, alpha)
    found = radius(low, sigma)
    if classes == 2:
        two_class = found
    else:
        others = votes.copy()
        np.put_along_axis(others, chosen[:, None], -1, axis=1)
        high = upper_bound(others.max(axis=1), draws, alpha / (2 * (classes - 1)))
        two_class = two_class_radius(lower_bound(hits, draws, alpha / 2), high, sigma)
    return Certified(chosen, low, found, two_class)


def predict(votes: np.ndarray, alpha: float) -> np.ndarray:
    """The answer (images,) with the most votes, or ABSTAIN where the second might well be more likely.

    An answer that is given is another one than the smoothed classifier's with a chance of `alpha` at most.
    """
    ranked = np.sort(votes, axis=1)[:, ::-1][:, :2]
    return np.where(is_majority(*ranked.T, alpha), votes.argmax(axis=1), ABSTAIN)
