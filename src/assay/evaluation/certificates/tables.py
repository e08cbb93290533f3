"""From the votes of a study's smoothed classifiers to its tables of certificates."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from assay.evaluation.certificates.betting import Verdict
from assay.evaluation.certificates.bounds import largest_radius
from assay.evaluation.certificates.cohen import ABSTAIN, Certified, certify, predict
from assay.evaluation.certificates.votes import DRAWS, VERDICT, Votes, read_votes
from assay.evaluation.scores import clusters_of
from assay.evaluation.statistics.intervals import CONFIDENCE, Interval, mean_interval
from assay.evaluation.untrained import why_unmade
from assay.planning.cells import Smoothed, smoothed
from assay.study.model import Study

KEYS = ["classifier", "defence", "sigma"]
CERTIFICATES = [
    *["study", *KEYS, "id", "label", "answer", "correct", "low", "radius", "linf_radius", "two_class_radius"],
    *["predicted", "sequential", "sequential_draws"],
]
CURVES = [
    *["study", "classifier", "defence", "curve", "bound", "class", "radius", "linf_radius", "sigma", "images"],
    *["accuracy", "ci_low", "ci_high", "certificates"],
]
SEQUENTIAL = [
    *["study", *KEYS, "radius", "images", "fixed", "fixed_low", "fixed_high", "fixed_draws"],
    *["sequential", "sequential_low", "sequential_high", "sequential_draws", "open", "share_of_draws"],
    "certificates",
]
ALL, ENVELOPE = "all classes", "envelope"  # classes together, and the best sigma of each radius
ONE_CLASS, TWO_CLASSES = "one class", "two classes"  # whose probability is bounded
BOUNDS = {ONE_CLASS: "radius", TWO_CLASSES: "two_class"}
POINTS = 20  # steps of a curve, at least
MOST_CLASSES = 100  # that have curves of their own
ABSTAINS = "abstains"
TOLD = {Verdict.CERTIFIED: "certified", Verdict.REFUSED: "not certified", Verdict.OPEN: "undecided"}


@dataclass(frozen=True)
class Judged:
    """A smoothed classifier with its votes and certificates, what PREDICT answers, and the slides of its images."""

    one: Smoothed
    votes: Votes
    found: Certified
    predicted: np.ndarray
    clusters: np.ndarray | None

    @property
    def sigma(self) -> float:
        return self.votes.sigma

    @property
    def key(self) -> dict[str, Any]:
        return dict(zip(KEYS, (self.one.classifier, self.one.defence.name, self.sigma), strict=True))

    @property
    def right(self) -> np.ndarray:
        """Whether the answer chosen is each image's label."""
        return self.found.chosen == self.votes.labels

    def certified_at(self, radius: float, bound: str) -> np.ndarray:
        """Whether each image (images,) is answered rightly, and that within `radius` for sure."""
        reached = getattr(self.found, BOUNDS[bound])
        return self.right & (reached > 0) & (reached >= radius)

    def linf(self, radius: np.ndarray | float) -> np.ndarray | float:
        """The largest L-infinity ball inside an L2 ball of that radius: radius / sqrt(values of an image)."""
        return radius / np.sqrt(3 * self.votes.side**2)


def judge(study: Study, folder: Path, slides: Mapping[str, str] | None) -> list[Judged]:
    """The certificates of a study's smoothed classifiers, whose votes lie in `folder`. Those without are left out; of a
    sigma that is named twice, once as `selected`, the first stands for both."""
    judged: dict[tuple[Any, ...], Judged] = {}
    for one in smoothed(study):
        if why_unmade(folder / one.path):
            continue
        votes, alpha = read_votes(folder / one.path), study.certificates.alpha
        found = certify(votes.selection, votes.votes, votes.level, alpha)
        clusters = clusters_of(votes.table["id"].to_numpy(), slides)
        new = Judged(one, votes, found, predict(votes.votes, alpha), clusters)
        judged.setdefault(tuple(new.key.values()), new)
    return list(judged.values())


def certificates(study: Study, judged: Sequence[Judged]) -> pd.DataFrame:
    """One row for each image and smoothed classifier: the answer that is certified, and its radius."""
    found = [_certificates(study, one) for one in judged]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=CERTIFICATES)


def _certificates(study: Study, one: Judged) -> pd.DataFrame:
    votes, found = one.votes, one.found
    names = {ABSTAIN: ABSTAINS, **dict(enumerate(votes.classes))}
    verdicts, draws = (votes.table.get(column) for column in (VERDICT, DRAWS))
    table = pd.DataFrame(
        {
            "study": study.study,
            **one.key,
            "id": votes.table["id"],
            "label": [names[label] for label in votes.labels],
            "answer": [names[answer] for answer in found.answer],
            "correct": (found.answer == votes.labels).astype(int),
            "low": found.low,
            "radius": found.radius,
            "linf_radius": one.linf(found.radius),
            "two_class_radius": found.two_class,
            "predicted": [names[answer] for answer in one.predicted],
            "sequential": None if verdicts is None else [TOLD[Verdict(verdict)] for verdict in verdicts],
            "sequential_draws": draws,
        }
    )
    return table[CERTIFICATES]


def curves(study: Study, judged: Sequence[Judged]) -> pd.DataFrame:
    """Certified accuracy against radius, with its interval: of each smoothed classifier, and the envelope of a defence
    over its sigmas; of all images and of each class; of all by bounds of two classes too, where there are more."""
    lines = []
    for group in _defences(judged):
        classes = _classes(group[0].votes)
        lines += _curves(study, group, ONE_CLASS, classes)
        if len(group[0].votes.classes) > 2:
            lines += _curves(study, group, TWO_CLASSES, classes[:1])
    return pd.DataFrame([{"study": study.study, **line} for line in lines], columns=CURVES)


def _defences(judged: Sequence[Judged]) -> list[list[Judged]]:
    """The smoothed classifiers that differ in their sigma alone, together."""
    groups: dict[tuple[str, str], list[Judged]] = {}
    for one in judged:
        groups.setdefault((one.one.classifier, one.one.defence.name), []).append(one)
    return list(groups.values())


def _classes(votes: Votes) -> list[tuple[str, np.ndarray]]:
    """All images, and those of each class that has any, unless there are too many classes to be looked at."""
    labels = votes.labels
    own = [(name, labels == label) for label, name in enumerate(votes.classes) if (labels == label).any()]
    return [(ALL, np.ones(len(labels), bool)), *(own if len(own) <= MOST_CLASSES else [])]


def _curves(
    study: Study, group: Sequence[Judged], bound: str, classes: Sequence[tuple[str, np.ndarray]]
) -> Iterator[dict[str, Any]]:
    # The envelope's interval holds whichever sigma turned out best: each is given its share of the chance of error.
    shared = 1 - (1 - CONFIDENCE) / len(group)
    for radius in radii(study, group):
        certified = [one.certified_at(radius, bound) for one in group]
        for name, members in classes:
            at = {
                "classifier": group[0].one.classifier,
                "defence": group[0].one.defence.name,
                "bound": bound,
                "class": name,
                "radius": radius,
                "linf_radius": group[0].linf(radius),
                "images": int(members.sum()),
            }
            for one, reached in zip(group, certified, strict=True):
                yield at | {"curve": "sigma", **_accuracy(one, reached, members, CONFIDENCE)}
            best = int(np.argmax([reached[members].mean() for reached in certified]))
            yield at | {"curve": ENVELOPE, **_accuracy(group[best], certified[best], members, shared)}


def radii(study: Study, group: Sequence[Judged]) -> np.ndarray:
    """Even, round steps up to the largest radius that the draws can certify at any sigma, and the one that is named."""
    asked = study.certificates
    top = max(largest_radius(asked.draws, asked.alpha, one.votes.level) for one in group)
    power = 10.0 ** math.floor(math.log10(top / POINTS))
    step = max(digit * power for digit in (1, 2, 5) if digit * power <= top / POINTS)
    steps = step * np.arange(math.floor(top / step) + 1)
    return np.unique([*steps, asked.radius]) if asked.radius else steps


def _accuracy(one: Judged, certified: np.ndarray, members: np.ndarray, confidence: float) -> dict[str, Any]:
    """The certified accuracy of one smoothed classifier on some of the images, and which one it is."""
    clusters = None if one.clusters is None else one.clusters[members]
    interval = mean_interval(certified[members].astype(float), confidence, clusters)
    shares = dict(zip(("accuracy", "ci_low", "ci_high"), interval, strict=True))
    return {"sigma": one.sigma, **shares, "certificates": one.one.path}


def sequential(study: Study, judged: Sequence[Judged]) -> pd.DataFrame:
    """The sequential test beside the fixed number of draws, at the radius that was named: certified accuracy of either,
    with intervals, and draws per image. `open` is the share of images about which the test never knew.

    It asks about the label, whose probability needs no draws to be chosen; so those of the selection count for neither.
    """
    radius = study.certificates.radius
    lines = [_sequential(study, one, radius) for one in judged] if radius else []
    return pd.DataFrame(lines, columns=SEQUENTIAL)


def _sequential(study: Study, one: Judged, radius: float) -> dict[str, Any]:
    asked, verdict = study.certificates, one.votes.table[VERDICT].to_numpy()
    mean_draws = float(one.votes.table[DRAWS].mean())
    return {
        "study": study.study,
        **one.key,
        "radius": radius,
        "images": len(verdict),
        **_named("fixed", mean_interval(one.certified_at(radius, ONE_CLASS).astype(float), CONFIDENCE, one.clusters)),
        "fixed_draws": asked.draws,
        **_named("sequential", mean_interval((verdict == Verdict.CERTIFIED).astype(float), CONFIDENCE, one.clusters)),
        "sequential_draws": mean_draws,
        "open": float((verdict == Verdict.OPEN).mean()),
        "share_of_draws": mean_draws / asked.draws,
        "certificates": one.one.path,
    }


def _named(name: str, interval: Interval) -> dict[str, float]:
    return dict(zip((name, f"{name}_low", f"{name}_high"), interval, strict=True))
