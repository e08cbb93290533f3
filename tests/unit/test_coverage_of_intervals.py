"""Intervals hold the truth as often as they say, and tests cry wolf no more often: by simulation, truth known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.stats import norm

from assay.evaluation.statistics.intervals import accuracy_interval, auroc_interval, balanced_interval, mean_interval
from assay.evaluation.statistics.measures import worst_of
from assay.evaluation.statistics.multiple import holm
from assay.evaluation.statistics.paired import paired_difference, paired_test, sign_flip
from assay.evaluation.statistics.ratios import kept_interval
from slide_worlds import UNEQUAL
from slide_worlds import World as SlideWorld

REPEATS = 600
LEVEL = 0.95
SLACK = 3 * np.sqrt(LEVEL * (1 - LEVEL) / REPEATS)  # three standard errors of the simulation
APPROXIMATE = 0.01  # below the level that an interval, which is not exact, may stay


@dataclass(frozen=True)
class World:
    """Images whose chance of being right is beta distributed around `p`, `spread` telling how alike they are.

    With `slides`, the slides' own chances are beta distributed around p first, and images around their slide's.
    """

    p: float
    images: int
    draws: int
    spread: float
    slides: int = 0
    slide_spread: float = 8.0

    def chances(self, generator):
        if not self.slides:
            return generator.beta(self.p * self.spread, (1 - self.p) * self.spread, self.images), None
        clusters = np.arange(self.images) % self.slides
        of_slides = generator.beta(self.p * self.slide_spread, (1 - self.p) * self.slide_spread, self.slides)
        around = np.clip(of_slides[clusters], 1e-6, 1 - 1e-6)
        return generator.beta(around * self.spread, (1 - around) * self.spread), clusters

    def verdicts(self, generator, times=1):
        """Verdicts (images, draws) of `times` cells on the same images, and the images' clusters."""
        chances, clusters = self.chances(generator)
        cells = [generator.random((self.images, self.draws)) < chances[:, None] for _ in range(times)]
        return *cells, clusters


WORLDS = [
    World(0.75, 300, 1, 1.0),
    World(0.75, 300, 3, 1.0),
    World(0.75, 300, 10, 1.0),
    World(0.50, 100, 3, 30.0),
    World(0.98, 300, 1, 1.0),
    World(0.98, 300, 3, 2.0),
    World(0.02, 300, 3, 2.0),
    World(0.75, 300, 1, 4.0, slides=20),
    World(0.75, 300, 3, 4.0, slides=40),
    World(0.97, 400, 3, 2.0, slides=40),
    World(0.60, 200, 5, 2.0, slides=10),
]
IDS = [f"p={w.p} images={w.images} draws={w.draws} slides={w.slides}" for w in WORLDS]


def coverage(truth, simulate):
    generator = np.random.default_rng(0)
    hits = 0
    for _ in range(REPEATS):
        _, low, high = simulate(generator)
        hits += low <= truth <= high
    return hits / REPEATS


@pytest.mark.parametrize("world", WORLDS, ids=IDS)
def test_intervals_of_accuracy_hold_their_level(world: World) -> None:
    def simulate(generator):
        correct, clusters = world.verdicts(generator)
        return accuracy_interval(correct, clusters=clusters)

    assert coverage(world.p, simulate) >= LEVEL - SLACK - APPROXIMATE


@pytest.mark.parametrize("world", [w for w in WORLDS if w.slides], ids=[i for i in IDS if "slides=0" not in i])
def test_without_slides_the_intervals_would_not(world: World) -> None:
    assert coverage(world.p, lambda generator: accuracy_interval(world.verdicts(generator)[0])) < LEVEL - SLACK


@pytest.mark.parametrize("world", [w for w in WORLDS if w.draws > 1], ids=[i for i in IDS if "draws=1 " not in i])
def test_intervals_of_every_draw_hold_their_level(world: World) -> None:
    generator = np.random.default_rng(1)
    truth = np.mean([(world.chances(generator)[0] ** world.draws).mean() for _ in range(2000)])

    def simulate(generator):
        correct, clusters = world.verdicts(generator)
        return mean_interval(worst_of(correct, world.draws), clusters=clusters)

    assert coverage(truth, simulate) >= LEVEL - SLACK - APPROXIMATE


@dataclass(frozen=True)
class Classes:
    """A world in each class: chances of being right are beta distributed around the class's own `p`.

    With `slides`, every image's chance is also moved by its slide.
    """

    p: tuple[float, ...]
    images: tuple[int, ...]
    draws: int
    spread: float
    slides: int = 0

    def simulate(self, generator):
        labels = np.repeat(np.arange(len(self.p)), self.images)
        p, clusters = np.array(self.p)[labels], None
        if self.slides:
            clusters = generator.permutation(len(labels)) % self.slides
            p = p + (0.15 * generator.choice([-1, 1], self.slides))[clusters]
        chances = generator.beta(p * self.spread, (1 - p) * self.spread)
        correct = generator.random((len(labels), self.draws)) < chances[:, None]
        return balanced_interval(correct, labels, clusters=clusters)


BALANCED = [
    Classes((0.75, 0.75), (100, 100), 1, 2.0),
    Classes((0.95, 0.40), (150, 50), 3, 2.0),
    Classes((0.99, 0.97), (100, 30), 1, 2.0),
    Classes((0.98, 0.98, 0.98), (40, 40, 40), 3, 1.0),
    Classes(tuple(np.linspace(0.5, 0.99, 9)), (22,) * 9, 3, 2.0),
    Classes(tuple(np.linspace(0.05, 0.99, 100)), (2,) * 100, 2, 2.0),
    Classes(tuple(np.linspace(0.3, 0.9, 200)), (1,) * 200, 3, 2.0),
    Classes((0.60, 0.70, 0.80), (100, 100, 100), 3, 4.0, slides=20),
    Classes((0.80, 0.70), (200, 60), 1, 4.0, slides=30),
]


@pytest.mark.parametrize(
    "world", BALANCED, ids=[f"{len(w.p)} classes {w.images[-1]} slides={w.slides}" for w in BALANCED]
)
def test_intervals_of_balanced_accuracy_hold_their_level(world: Classes) -> None:
    assert coverage(np.mean(world.p), world.simulate) >= LEVEL - SLACK - APPROXIMATE


@pytest.mark.parametrize(
    ("shift", "positives", "draws", "slides"),
    [(1.0, 60, 1, 0), (1.0, 60, 5, 0), (3.0, 40, 3, 0), (0.0, 100, 2, 0), (1.0, 100, 2, 25)],
)
def test_intervals_of_auroc_hold_their_level(shift: float, positives: int, draws: int, slides: int) -> None:
    """Scores are normal: a part of the image, a part of the draw and, perhaps, a part of the slide."""
    images = 200
    parts = (1.0, 0.5, 0.7 if slides else 0.0)
    positive = np.arange(images) % images < positives if not slides else (np.arange(images) // slides) % 2 == 0
    clusters = np.arange(images) % slides if slides else None
    truth = norm.cdf(shift / np.sqrt(2 * sum(part**2 for part in parts)))

    def simulate(generator):
        scores = generator.normal(size=(images, 1)) + parts[1] * generator.normal(size=(images, draws))
        if slides:
            scores += parts[2] * generator.normal(size=slides)[clusters][:, None]
        scores += shift * positive[:, None]
        return auroc_interval(np.stack([-scores, scores], axis=-1), positive.astype(int), clusters=clusters)

    assert coverage(truth, simulate) >= LEVEL - SLACK - APPROXIMATE


@pytest.mark.parametrize(
    ("shift", "classes", "each", "draws", "slides"),
    [(1.0, 3, 40, 1, 0), (1.0, 6, 15, 2, 0), (4.0, 4, 20, 2, 0), (1.5, 20, 1, 2, 0), (1.0, 3, 60, 2, 20)],
)
def test_intervals_of_auroc_of_many_classes_hold_their_level(
    shift: float, classes: int, each: int, draws: int, slides: int
) -> None:
    """Logits are normal, the own class's moved by `shift`; slides make some images harder than others."""
    labels = np.arange(classes * each) % classes
    clusters = np.arange(len(labels)) // 3 % slides if slides else None

    def logits(generator):
        moved = np.full(len(labels), shift)
        if slides:
            moved = moved + generator.normal(size=slides)[clusters]
        found = generator.normal(size=(len(labels), 1, classes)) + 0.5 * generator.normal(
            size=(len(labels), draws, classes)
        )
        found[np.arange(len(labels)), :, labels] += moved[:, None]
        return found

    generator = np.random.default_rng(1)
    truth = np.mean([auroc_interval(logits(generator), labels)[0] for _ in range(REPEATS)])

    def simulate(generator):
        return auroc_interval(logits(generator), labels, clusters=clusters)

    assert coverage(truth, simulate) >= LEVEL - SLACK - APPROXIMATE


@pytest.mark.parametrize("world", WORLDS, ids=IDS)
@pytest.mark.parametrize("factor", [1.0, 0.95])
def test_intervals_of_paired_differences_hold_their_level(world: World, factor: float) -> None:
    def simulate(generator):
        chances, clusters = world.chances(generator)
        a, b = (generator.random((world.images, world.draws)) < f * chances[:, None] for f in (1.0, factor))
        return paired_difference(a, b, clusters=clusters)

    assert coverage((factor - 1) * world.p, simulate) >= LEVEL - SLACK - APPROXIMATE


@pytest.mark.parametrize("world", WORLDS, ids=IDS)
def test_tests_hold_their_size(world: World) -> None:
    generator = np.random.default_rng(0)
    found = []
    for _ in range(REPEATS):
        a, b, clusters = world.verdicts(generator, times=2)
        found.append([paired_test(a, b, clusters), paired_test(a, b, clusters, "greater")])
    for size in (0.05, 0.01):
        limit = size + 3 * np.sqrt(size * (1 - size) / REPEATS)
        assert ((np.array(found) <= size).mean(axis=0) <= limit).all()


def test_tests_have_power_where_there_is_a_difference() -> None:
    world = World(0.75, 300, 3, 1.0)
    generator = np.random.default_rng(0)
    found = []
    for _ in range(100):
        chances, _ = world.chances(generator)
        a, b = (generator.random((300, 3)) < f * chances[:, None] for f in (1.0, 0.9))
        found.append(sign_flip(a, b))
    assert np.mean(np.array(found) < 0.05) > 0.95


def test_a_table_names_a_winner_among_equals_no_more_often_than_it_says() -> None:
    """All pairs of six equally good cells, by Holm: the chance of any winner at all is at most 5 %."""
    world = World(0.75, 200, 3, 2.0)
    generator = np.random.default_rng(0)
    repeats, any_raw, any_holm = 200, 0, 0
    for _ in range(repeats):
        *cells, _ = world.verdicts(generator, times=6)
        p = np.array([sign_flip(a, b) for i, a in enumerate(cells) for b in cells[:i]])
        any_raw += p.min() <= 0.05
        any_holm += holm(p).min() <= 0.05
    assert any_holm / repeats <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / repeats)
    assert any_raw / repeats > 0.2


# slides of unequal size: `tests/unit/test_slides_soak.py` and `benchmarks/coverage.py` go through all of the grid

REFUSED = 0.5  # the largest share of repetitions that may have too few slides to be judged


def holds(simulate, truth: float, repeats: int = REPEATS, level: float = 0.935) -> None:
    """Of the intervals that are not refused enough hold the truth, by no less than the simulation's own error."""
    generator = np.random.default_rng(0)
    found = np.array([simulate(generator) for _ in range(repeats)])[:, 1:]
    known = np.isfinite(found).all(axis=1)
    assert known.mean() >= 1 - REFUSED
    covered = ((found[:, 0] <= truth) & (truth <= found[:, 1]))[known].mean()
    assert covered >= level - 2 * np.sqrt(level * (1 - level) / known.sum())


@pytest.mark.parametrize("slides", [12, 20, 40])
@pytest.mark.parametrize("spread", [0.0, 1.0, 1.5])
@pytest.mark.parametrize(("alike", "p"), [(0.15, 0.5), (0.3, 0.97), (0.05, 0.1)])
def test_intervals_hold_their_level_whatever_the_sizes_of_slides(slides, spread, alike, p) -> None:
    world = SlideWorld(slides, spread, alike, p)

    def simulate(generator):
        correct, clusters = world.verdicts(generator)
        return accuracy_interval(correct, clusters=clusters)

    holds(simulate, p, 400)


@pytest.mark.parametrize(("slides", "most"), [(12, 1.6), (20, 1.3), (40, 1.15)])
def test_intervals_of_equal_slides_are_little_wider_than_the_best(slides, most) -> None:
    world, generator = SlideWorld(slides, 0.0), np.random.default_rng(0)
    found = [
        accuracy_interval(*verdicts[:1], clusters=verdicts[1]) for verdicts in map(world.verdicts, [generator] * 200)
    ]
    assert np.median([high - low for _, low, high in found]) < most * world.equal_width()


@pytest.mark.parametrize("slides", [12, 20, 40])
@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_intervals_of_balanced_accuracy_and_auroc_hold_their_level_on_unequal_slides(slides, spread) -> None:
    """Scores are normal: a part of the image and one of the slide; a score above the threshold says positive."""
    world, shift = SlideWorld(slides, spread), 1.5
    areas = norm.cdf(shift / np.sqrt(2 * 1.2))
    right = norm.cdf(shift / 2 / np.sqrt(1.2))

    def simulate(generator):
        clusters = world.clusters(generator)
        labels = np.arange(world.images) % 2
        scores = generator.normal(size=world.images) + shift * (labels - 0.5)
        scores += np.sqrt(0.2) * generator.normal(size=(2, slides))[labels, clusters]
        logits = np.stack([-scores, scores], axis=-1)[:, None]
        correct = (scores > 0)[:, None] == (labels > 0)[:, None]
        return (
            balanced_interval(correct, labels, clusters=clusters),
            auroc_interval(logits, labels, clusters=clusters),
        )

    generator = np.random.default_rng(0)
    found = np.array([simulate(generator) for _ in range(300)])
    for intervals, truth in zip(found.transpose(1, 0, 2), (right, areas), strict=True):
        known = np.isfinite(intervals).all(axis=1)
        assert known.mean() >= 1 - REFUSED
        covered = ((intervals[:, 1] <= truth) & (truth <= intervals[:, 2]))[known].mean()
        assert covered >= 0.935 - 2 * np.sqrt(0.935 * 0.065 / known.sum())


@pytest.mark.parametrize("slides", [12, 20, 40])
@pytest.mark.parametrize("spread", [0.0, 1.5])
@pytest.mark.parametrize("effects", UNEQUAL)
def test_tests_of_means_hold_their_size_whatever_slides_differ_by(slides, spread, effects) -> None:
    world, generator = SlideWorld(slides, spread), np.random.default_rng(0)
    found = []
    for _ in range(400):
        a, b, clusters = UNEQUAL[effects].verdicts(generator, world)
        found.append(paired_test(a, b, clusters))
    known = np.array(found)[np.isfinite(found)]
    assert len(known) >= (1 - REFUSED) * 400
    assert np.mean(known <= 0.05) <= 0.06 + 2 * np.sqrt(0.06 * 0.94 / len(known))


def test_the_sign_flip_test_would_not() -> None:
    """Of slides as they are, the signs of their sums tell more than there is to tell."""
    world, generator = SlideWorld(12, 1.5), np.random.default_rng(0)
    found = []
    for _ in range(300):
        a, b, clusters = UNEQUAL["a quarter loses"].verdicts(generator, world)
        sums = np.bincount(clusters, (b.astype(int) - a)[:, 0])
        signs = generator.choice([-1, 1], (1000, 12))
        found.append(np.mean(np.abs(signs @ sums) >= abs(sums.sum())))
    assert np.mean(np.array(found) <= 0.05) > 0.08


@pytest.mark.parametrize(("slides", "spread"), [(0, 0.0), (12, 0.0), (20, 1.0), (40, 1.5)])
@pytest.mark.parametrize(("clean", "left"), [(0.95, 0.4), (0.9, 0.02), (0.8, 0.95), (0.3, 0.5)])
def test_intervals_of_what_is_kept_hold_their_level(slides, spread, clean, left) -> None:
    """An image that is right when clean stays so with a chance that its slide has too."""
    world = SlideWorld(slides or 300, spread, 0.15, clean, 640 if slides else 300)

    def simulate(generator):
        right, clusters = world.verdicts(generator)
        chances = generator.beta(left * 6, (1 - left) * 6, world.slides)
        if not slides:
            right, chances = generator.random((300, 1)) < clean, np.full(300, left)
        stays = generator.random((world.images, 2)) < chances[clusters][:, None]
        attacked = (right & stays).mean(axis=1)
        return kept_interval(attacked, right[:, 0].astype(float), (2, 1), clusters=clusters if slides else None)

    holds(simulate, left, 400)
