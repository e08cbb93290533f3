"""Intervals hold the truth as often as they say, and tests cry wolf no more often: by simulation, truth known."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.stats import norm

import slide_worlds
from assay.evaluation.statistics.intervals import accuracy_interval, auroc_interval, balanced_interval, mean_interval
from assay.evaluation.statistics.measures import worst_of
from assay.evaluation.statistics.multiple import holm
from assay.evaluation.statistics.paired import paired_difference, paired_test, sign_flip
from assay.evaluation.statistics.ratios import kept_interval
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


# slides of unequal size; `benchmarks/coverage.py` prints the table of what the soak test goes through

REFUSED = 0.5  # the largest share of repetitions that may have too few slides to be judged


def holds(found: slide_worlds.Found, repeats: int, level: float = 0.935) -> bool:
    """Whether enough intervals hold the truth, by twice the simulation's own error, and enough were not refused."""
    error = np.sqrt(level * (1 - level) / (repeats * (1 - found.refused)))
    return found.refused <= REFUSED and found.covered >= level - 2 * error


@pytest.mark.parametrize("slides", slide_worlds.SLIDES)
@pytest.mark.parametrize("spread", [0.0, 1.0, 1.5])
@pytest.mark.parametrize(("alike", "p"), [(0.15, 0.5), (0.3, 0.97), (0.05, 0.1)])
def test_intervals_hold_their_level_whatever_the_sizes_of_slides(slides, spread, alike, p) -> None:
    assert holds(slide_worlds.accuracy(SlideWorld(slides, spread, alike, p), 400), 400)


@pytest.mark.parametrize(("slides", "most"), [(12, 1.6), (20, 1.3), (40, 1.15)])
def test_intervals_of_equal_slides_are_little_wider_than_the_best(slides, most) -> None:
    world = SlideWorld(slides, 0.0)
    assert slide_worlds.accuracy(world, 200).width < most * world.equal_width()


@pytest.mark.parametrize("slides", slide_worlds.SLIDES)
@pytest.mark.parametrize("spread", [0.0, 1.0])
@pytest.mark.parametrize("of_auroc", [False, True], ids=["balanced accuracy", "auroc"])
def test_intervals_of_classes_hold_their_level_whatever_the_sizes_of_slides(slides, spread, of_auroc) -> None:
    assert holds(slide_worlds.ranked(SlideWorld(slides, spread), 300, of_auroc), 300)


@pytest.mark.parametrize("slides", slide_worlds.SLIDES)
@pytest.mark.parametrize("spread", [0.0, 1.0])
@pytest.mark.parametrize(("clean", "left"), [(0.95, 0.4), (0.9, 0.02), (0.8, 0.95), (0.3, 0.5)])
def test_intervals_of_what_is_kept_hold_their_level(slides, spread, clean, left) -> None:
    assert holds(slide_worlds.kept(SlideWorld(slides, spread, 0.15, clean), left, 300), 300)


@pytest.mark.parametrize(("clean", "left"), [(0.95, 0.4), (0.9, 0.02), (0.8, 0.95), (0.3, 0.5), (1.0, 0.1)])
def test_intervals_of_what_is_kept_of_independent_images_hold_their_level(clean, left) -> None:
    def simulate(generator):
        right = generator.random((300, 1)) < clean
        attacked = right & (generator.random((300, 2)) < generator.beta(left, 1 - left, (300, 1)))
        return kept_interval(attacked.mean(axis=1), right[:, 0].astype(float), (2, 1))

    assert holds(slide_worlds.found(simulate, left, 500), 500)


@pytest.mark.parametrize("slides", slide_worlds.SLIDES)
@pytest.mark.parametrize("spread", [0.0, 1.5])
@pytest.mark.parametrize("effects", slide_worlds.UNEQUAL)
def test_tests_of_means_hold_their_size_whatever_slides_differ_by(slides, spread, effects) -> None:
    found = slide_worlds.difference(slide_worlds.UNEQUAL[effects], SlideWorld(slides, spread), 300)
    assert holds(found, 300, 0.94)


def test_exchanging_whole_slides_would_not() -> None:
    ours, by_signs = slide_worlds.sizes(slide_worlds.UNEQUAL["a quarter loses"], SlideWorld(12, 1.5), 300)
    assert by_signs > 0.08 > 0.05 > ours


@pytest.mark.soak
@pytest.mark.parametrize("slides", slide_worlds.SLIDES)
@pytest.mark.parametrize("spread", slide_worlds.SPREADS)
def test_the_whole_grid_of_slides_holds(slides, spread) -> None:
    repeats = 3000
    for alike, p in itertools.product(slide_worlds.ALIKE, slide_worlds.ACCURACIES):
        found = slide_worlds.accuracy(SlideWorld(slides, spread, alike, p), repeats)
        assert holds(found, repeats), (alike, p, found)
    for name, effects in slide_worlds.UNEQUAL.items():
        found = slide_worlds.difference(effects, SlideWorld(slides, spread), repeats)
        assert holds(found, repeats, 0.94), (name, found)
