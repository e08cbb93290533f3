"""How many draws the sequential certificate takes, and how often it decides, by the true probability and the radius:
`python benchmarks/sequential.py`. Simulated, 20,000 images each; beside it what a fixed number of draws certifies."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm

from assay.evaluation.certificates.betting import Verdict, judge
from assay.evaluation.certificates.bounds import lower_bound
from assay.evaluation.certificates.certify import ROUND

ALPHA, IMAGES = 0.001, 20_000
CHANCES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999)
RADII = (0.0, 0.5, 1.0, 1.5)  # in sigma
CAPS = (1000, 100_000)


def simulate(generator: np.random.Generator, p: float, p0: float, cap: int) -> tuple[np.ndarray, np.ndarray]:
    """Draws and verdicts of a test that is looked at after every round."""
    hits, draws, verdicts = (np.zeros(IMAGES) for _ in range(3))
    while (going := (verdicts == Verdict.OPEN) & (draws < cap)).any():
        size = min(ROUND, cap - int(draws[going][0]))
        hits[going] += generator.binomial(size, p, going.sum())
        draws[going] += size
        verdicts[going] = judge(hits[going], draws[going], p0, ALPHA)
    return draws, verdicts


def main() -> None:
    generator = np.random.default_rng(0)
    for cap in CAPS:
        print(f"| n = {cap:,}: p | " + " | ".join(f"radius {radius:g} sigma" for radius in RADII) + " |")
        print("| ---: |" + " ---: |" * len(RADII))
        for p in CHANCES:
            cells = []
            for radius in RADII:
                draws, verdicts = simulate(generator, p, norm.cdf(radius), cap)
                fixed = lower_bound(generator.binomial(cap, p, IMAGES), cap, ALPHA) >= norm.cdf(radius)
                told = f"{draws.mean():,.0f} ({draws.mean() / cap:.1%})"
                cells.append(f"{told}, {(verdicts == Verdict.CERTIFIED).mean():.1%} / {fixed.mean():.1%}")
            print(f"| {p:g} | " + " | ".join(cells) + " |")
        print()


if __name__ == "__main__":
    main()
