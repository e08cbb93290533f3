"""Intervals and tests by slide, simulated: how often they hold the truth, how wide they are, how often refused.

Worlds are those of tests/slide_worlds.py: 640 images on slides whose sizes are log-normal and whose accuracies are beta
distributed. Run from the repository's root: python benchmarks/coverage.py
"""

from __future__ import annotations

import argparse
import itertools
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from slide_worlds import (
    ACCURACIES,
    ALIKE,
    SLIDES,
    SPREADS,
    UNEQUAL,
    UNSEEN,
    Found,
    World,
    accuracy,
    difference,
    kept,
    ranked,
    sizes,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=2000, help="simulations of each world (default: 2000)")
    repeats = parser.parse_args().repeats
    intervals(repeats)
    others(repeats)
    tests(repeats)


def intervals(repeats: int) -> None:
    """Accuracy, over correlations within slides and accuracies."""
    print("| slides | log-sd | least coverage (at) | mean coverage | width, points | of the best | refused |")
    print("| ---: | ---: | :--- | ---: | ---: | ---: | ---: |")
    for slides, spread in itertools.product(SLIDES, SPREADS):
        worlds = [World(slides, spread, alike, p) for alike, p in itertools.product(ALIKE, ACCURACIES)]
        found = [accuracy(world, repeats) for world in worlds]
        least = min(range(len(worlds)), key=lambda place: found[place].covered)
        beside = sum(own.width / world.equal_width() for own, world in zip(found, worlds, strict=True)) / len(worlds)
        width = sum(own.width for own in found) / len(found)
        print(
            f"| {slides} | {spread} | {found[least].covered:.3f} ({worlds[least].alike}, p = {worlds[least].p}) "
            f"| {sum(own.covered for own in found) / len(found):.3f} | {100 * width:.1f} | {beside:.2f} "
            f"| {max(own.refused for own in found):.0%} |"
        )


def others(repeats: int) -> None:
    """Balanced accuracy, AUROC, and what is kept."""
    print("\n| slides | log-sd | balanced accuracy | AUROC | kept, least of four |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    for slides, spread in itertools.product(SLIDES, SPREADS):
        world = World(slides, spread)
        shares = [(0.95, 0.4), (0.9, 0.02), (0.8, 0.95), (0.3, 0.5)]
        left = [kept(World(slides, spread, 0.15, clean), share, repeats) for clean, share in shares]
        texts = [told(ranked(world, repeats, of_auroc)) for of_auroc in (False, True)]
        texts.append(told(min(left, key=lambda own: own.covered)))
        print(f"| {slides} | {spread} | {' | '.join(texts)} |")


def tests(repeats: int) -> None:
    """Two cells of equal accuracy: how often they are said to differ."""
    print("\n| slides differ | slides | size of the test, by log-sd | of exchanging slides | width, points |")
    print("| :--- | ---: | :--- | :--- | :--- |")
    for (name, effects), slides in itertools.product((UNEQUAL | UNSEEN).items(), SLIDES):
        worlds = [World(slides, spread) for spread in SPREADS]
        found = [sizes(effects, world, repeats) for world in worlds]
        ours, by_signs = (" ".join(f"{size:.3f}" for size in column) for column in zip(*found, strict=True))
        widths = " ".join(f"{100 * difference(effects, world, repeats // 10).width:.0f}" for world in worlds)
        print(f"| {name} | {slides} | {ours} | {by_signs} | {widths} |")


def told(found: Found) -> str:
    """Coverage, and the width in points."""
    return f"{found.covered:.3f} ({100 * found.width:.0f})"


if __name__ == "__main__":
    main()
