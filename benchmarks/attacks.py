"""Attacks on the CPU: PGD on a bare classifier beside torchattacks' PGD, and through a defence with the exact gradient.

    python benchmarks/attacks.py

Each number is the median of several rounds, in ms an image; the kinds take turns, so that a busy machine slows all of
them alike. The projection is what judging a point adds beside the networks: onto the storage grid and back.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
import torchattacks
from torch import Tensor, nn

from assay.attacks.methods.best import as_stored
from assay.attacks.methods.method import build_search
from assay.attacks.threats.defended import Expected
from assay.attacks.threats.transfer import Bare
from assay.defended import Defended
from assay.study.attacks import PgdAttack

IMAGES, SIDE, STEPS, DRAWS, ROUNDS = 16, 48, 10, 4, 9
EPS = 8 / 255


def kinds() -> dict[str, Callable[[], Tensor]]:
    """What is timed, by name; each works on one batch."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(60, 190, (IMAGES, 3, SIDE, SIDE), generator=generator) / 255
    labels, keys = torch.arange(IMAGES) % 2, torch.arange(IMAGES)
    network = small_network(3, 2)
    smooth = nn.Conv2d(3, 3, 5, padding=2).eval().requires_grad_(False)
    defended = Defended(lambda x, noise: smooth(x + 0.1 * noise(0)), network)
    transfer = PgdAttack(method="pgd", eps=[EPS], steps=STEPS)
    adaptive = PgdAttack(method="pgd", eps=[EPS], steps=STEPS, threat="adaptive", draws=DRAWS)
    theirs = torchattacks.PGD(network, eps=EPS, alpha=2.5 * EPS / STEPS, steps=STEPS)
    bare, behind = build_search(transfer, Bare(network), 2), build_search(adaptive, Expected(defended, defended, 0), 2)
    return {
        "pgd, transfer": lambda: bare(images, labels, keys),
        "torchattacks' PGD": lambda: theirs(images, labels),
        "pgd, adaptive": lambda: behind(images, labels, keys),
        "projection": lambda: as_stored(images + 0.01, images, adaptive),
    }


def small_network(colours: int, classes: int) -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Conv2d(colours, 32, 3), nn.ReLU(), nn.Conv2d(32, 32, 3, stride=2), nn.ReLU()]
    network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, classes))
    return network.eval().requires_grad_(False)


def main() -> None:
    torch.set_num_threads(1)
    timed = kinds()
    seconds: dict[str, list[float]] = {name: [] for name in timed}
    for _ in range(ROUNDS + 1):
        for name, run in timed.items():
            began = time.process_time()
            run()
            seconds[name].append(time.process_time() - began)
    for name, found in seconds.items():
        print(f"{name}: {1000 * statistics.median(found[1:]) / IMAGES:.2f} ms per image")


if __name__ == "__main__":
    main()
