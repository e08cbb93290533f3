"""Worlds of images on slides with known truth, for simulations of intervals and tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from assay.evaluation.statistics.intervals import Interval, accuracy_interval, auroc_interval, balanced_interval
from assay.evaluation.statistics.paired import paired_difference, paired_test
from assay.evaluation.statistics.ratios import kept_interval

SLIDES, SPREADS = (12, 20, 40), (0.0, 0.5, 1.0, 1.5)
ALIKE, ACCURACIES = (0.05, 0.15, 0.3), (0.1, 0.3, 0.5, 0.75, 0.9, 0.97)


@dataclass(frozen=True)
class World:
    """`images` on `slides` whose sizes are log-normal with standard deviation `spread` of their logarithms.

    Slides' chances of being right are beta distributed around `p`, so that verdicts of one slide have the correlation
    `alike`.
    """

    slides: int
    spread: float
    alike: float = 0.15
    p: float = 0.75
    images: int = 640

    def clusters(self, generator: np.random.Generator, factor: np.ndarray | float = 1.0) -> np.ndarray:
        """The slide of each image (images,), at least one image each; `factor` (slides,) makes slides larger."""
        sizes = np.exp(self.spread * generator.normal(size=self.slides)) * factor
        counts = generator.multinomial(self.images - self.slides, sizes / sizes.sum()) + 1
        return np.repeat(np.arange(self.slides), counts)

    def chances(self, generator: np.random.Generator) -> np.ndarray:
        """The chance of being right of each slide (slides,)."""
        strength = 1 / self.alike - 1
        return generator.beta(self.p * strength, (1 - self.p) * strength, self.slides)

    def verdicts(self, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Verdicts (images, 1), and the slides (images,)."""
        clusters = self.clusters(generator)
        return generator.random((self.images, 1)) < self.chances(generator)[clusters][:, None], clusters

    def equal_width(self) -> float:
        """The width of the best interval that equally large slides would have: Student's, the correlation known."""
        from scipy.stats import t

        per_slide = self.images / self.slides
        variance = self.p * (1 - self.p) * (self.alike + (1 - self.alike) / per_slide) / self.slides
        return 2 * t.ppf(0.975, self.slides - 1) * np.sqrt(variance)


def pair(
    generator: np.random.Generator, chances_a: np.ndarray, chances_b: np.ndarray, common: float
) -> tuple[np.ndarray, np.ndarray]:
    """Verdicts (images, 1) of two cells, right with chances (images,); a share `common` of images has common luck, so
    that the two differ there only as their chances do."""
    luck_a, own = generator.random((2, len(chances_a)))
    luck_b = np.where(generator.random(len(chances_a)) < common, luck_a, own)
    return (luck_a < chances_a)[:, None], (luck_b < chances_b)[:, None]


@dataclass(frozen=True)
class Effects:
    """How the slides of a world differ between two cells, and the mean difference of an image.

    `share` of the slides, `larger` times as large as others, differ by `rare`, the others by `usual`.
    """

    usual: float = 0.0
    rare: float = 0.0
    share: float = 0.0
    larger: float = 1.0
    common: float = 0.5

    @property
    def mean(self) -> float:
        """The mean difference over images."""
        weight = self.share * self.larger / (self.share * self.larger + 1 - self.share)
        return weight * self.rare + (1 - weight) * self.usual

    def verdicts(self, generator: np.random.Generator, world: World) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Verdicts (images, 1) of the two cells, and the slides (images,)."""
        rare = generator.random(world.slides) < self.share
        clusters = world.clusters(generator, np.where(rare, self.larger, 1.0))
        found = world.chances(generator) if not self.share else np.full(world.slides, world.p)
        other = np.clip(found + np.where(rare, self.rare, self.usual), 0, 1)
        return *pair(generator, found[clusters], other[clusters], self.common), clusters


# Two cells of equal accuracy over images whose slides differ by much: rare slides lose what the others gain.
UNEQUAL = {
    "no slide differs": Effects(),
    "half against half": Effects(0.2, -0.2, 0.5),
    "a quarter loses": Effects(0.1, -0.3, 0.25),
    "a quarter, large, loses": Effects(0.3, -0.3, 0.25, 3.0),
}
# Here one study in nine of 12 slides has none that loses: what no slide shows no test can weigh.
UNSEEN = {"a sixth loses": Effects(0.1, -0.5, 1 / 6)}


@dataclass(frozen=True)
class Found:
    """Of repeated intervals: the share that holds the truth, their median width, and the share that was refused."""

    covered: float
    width: float
    refused: float


def found(simulate: Callable[[np.random.Generator], Interval], truth: float, repeats: int, seed: int = 0) -> Found:
    """What `simulate` gives, so many times."""
    generator = np.random.default_rng(seed)
    bounds = np.array([simulate(generator)[1:] for _ in range(repeats)])
    known = bounds[np.isfinite(bounds).all(axis=1)]
    covered = ((known[:, 0] <= truth) & (truth <= known[:, 1])).mean()
    return Found(float(covered), float(np.median(known[:, 1] - known[:, 0])), 1 - len(known) / repeats)


def accuracy(world: World, repeats: int) -> Found:
    """The interval of accuracy."""

    def simulate(generator: np.random.Generator) -> Interval:
        correct, clusters = world.verdicts(generator)
        return accuracy_interval(correct, clusters=clusters)

    return found(simulate, world.p, repeats)


def ranked(world: World, repeats: int, of_auroc: bool) -> Found:
    """The interval of AUROC, or of balanced accuracy, of two classes with every third image positive.

    Scores are normal: a part of the image, and one of its slide and class.
    """
    from scipy.stats import norm

    shift, of_slide = 1.5, 0.2
    labels = (np.arange(world.images) % 3 == 0).astype(int)

    def simulate(generator: np.random.Generator) -> Interval:
        clusters = world.clusters(generator)
        scores = generator.normal(size=world.images) + shift * (labels - 0.5)
        scores += np.sqrt(of_slide) * generator.normal(size=(2, world.slides))[labels, clusters]
        if of_auroc:
            return auroc_interval(np.stack([-scores, scores], axis=-1)[:, None], labels, clusters=clusters)
        return balanced_interval((scores > 0)[:, None] == (labels > 0)[:, None], labels, clusters=clusters)

    apart = shift / np.sqrt(1 + of_slide)
    return found(simulate, float(norm.cdf(apart / np.sqrt(2) if of_auroc else apart / 2)), repeats)


def kept(world: World, left: float, repeats: int) -> Found:
    """The interval of what is kept of the accuracy p: an image that is right when clean stays so under attack with a
    chance that varies by slide, `left` on average."""

    def simulate(generator: np.random.Generator) -> Interval:
        right, clusters = world.verdicts(generator)
        chances = generator.beta(left * 6, (1 - left) * 6, world.slides)[clusters][:, None]
        attacked = right & (generator.random((world.images, 2)) < chances)
        return kept_interval(attacked.mean(axis=1), right[:, 0].astype(float), (2, 1), clusters=clusters)

    return found(simulate, left, repeats)


def difference(effects: Effects, world: World, repeats: int) -> Found:
    """The interval of the difference of two cells; where they are equal, the test's size is what it does not cover."""

    def simulate(generator: np.random.Generator) -> Interval:
        a, b, clusters = effects.verdicts(generator, world)
        return paired_difference(a, b, clusters=clusters)

    return found(simulate, effects.mean, repeats)


def sizes(effects: Effects, world: World, repeats: int, flips: int = 1000) -> tuple[float, float]:
    """How often two cells of equal accuracy are found to differ at 5 %: by the test, and by exchanging whole slides."""
    generator, signs = np.random.default_rng(0), np.random.default_rng(1).choice([-1, 1], (flips, world.slides))
    ours, by_signs = [], []
    for _ in range(repeats):
        a, b, clusters = effects.verdicts(generator, world)
        p = paired_test(a, b, clusters)
        if np.isfinite(p):
            sums = np.bincount(clusters, (b.astype(int) - a)[:, 0])
            ours.append(p)
            by_signs.append(np.mean(np.abs(signs @ sums) >= abs(sums.sum())))
    return float(np.mean(np.array(ours) <= 0.05)), float(np.mean(np.array(by_signs) <= 0.05))
