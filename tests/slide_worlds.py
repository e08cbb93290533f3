"""Worlds of images on slides with known truth, for simulations of intervals and tests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


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
    "a sixth loses": Effects(0.1, -0.5, 1 / 6),
}
