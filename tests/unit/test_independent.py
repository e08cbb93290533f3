"""The independent attack of benchmarks/: its own code agrees with the library where both say the same thing."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from assay.attacks.ball import project, to_pixels
from assay.diffusion import samplers
from assay.diffusion.denoiser import Denoiser
from assay.diffusion.schedule import Schedule
from assay.evaluation.strongest import judged_by_choice
from assay.logits import margin

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import independent


@pytest.mark.parametrize("kind", ["linear", "cosine"])
def test_its_schedule_and_its_ladder_are_the_librarys(kind: str) -> None:
    schedule = Schedule(kind, 1000)
    assert independent.shares_of_signal(kind, 1000) == pytest.approx(schedule.abar)
    for sigma, steps in ((0.1, 1), (0.1, 2), (0.25, 7), (0.03, None)):
        ladder = [*independent.levels_down(schedule.sigmas, sigma, steps), 0.0]
        assert ladder == pytest.approx(schedule.ladder(sigma, steps))


@pytest.mark.parametrize("method", ["oneshot", "ddim", "ddpm"])
def test_its_purifiers_are_the_librarys_under_the_same_noise(method: str) -> None:
    network = torch.nn.Conv2d(3, 3, 3, padding=1).requires_grad_(False)

    def unet(x: torch.Tensor, time: torch.Tensor) -> SimpleNamespace:
        return SimpleNamespace(sample=network(x) + 0.001 * time.view(-1, 1, 1, 1).float())

    schedule, steps = Schedule("linear", 1000), 1 if method == "oneshot" else 3
    noise = torch.randn(4, 2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(2))
    denoiser = Denoiser(unet, schedule)
    sampler = samplers.ddpm if method == "ddpm" else samplers.ddim
    theirs = sampler(denoiser, images + 0.1 * noise[0], schedule.ladder(0.1, steps), lambda step: noise[step])
    given = iter(noise)
    facts = {"prediction": "epsilon", "data_range": [-1, 1], "schedule": "linear", "time_steps": 1000, "clip": True}
    own = independent.sampled(unet, facts, method, 0.1, steps, lambda like: next(given))
    assert own(images) == pytest.approx(theirs.clamp(0, 1), abs=1e-5)


def test_its_points_are_stored_as_the_librarys() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (4, 3, 8, 8), generator=generator) / 255
    points = images + 0.1 * torch.randn(images.shape, generator=generator)
    eps = 8 / 255
    assert torch.equal(
        independent.on_grid(points, images, eps), to_pixels(project(points, images, "Linf", eps), "Linf", eps)
    )


def test_its_margins_and_its_choice_of_the_strongest_attack_are_the_librarys() -> None:
    generator = np.random.default_rng(0)
    logits, labels = torch.from_numpy(generator.standard_normal((9, 4))), torch.arange(9) % 4
    assert torch.equal(independent.margin(logits, labels), margin(logits, labels))
    by = generator.standard_normal((3, 200, 4)) + np.linspace(-1, 1, 200)[:, None]
    expected = judged_by_choice(by > 0, by)
    assert expected.mean() < (by > 0).mean((1, 2)).min(), "the choice for each image is worth something"
    assert independent.chosen(by > 0, by) == pytest.approx(expected.mean(1))


def test_it_breaks_a_linear_classifier_behind_noise_and_leaves_what_cannot_be_broken() -> None:
    weight = 0.05 * torch.randn(3 * 64, generator=torch.Generator().manual_seed(3))
    generator = torch.Generator().manual_seed(4)
    reach = 8 / 255 * float(weight.abs().sum())
    grey = torch.full((3, 8, 8), 128.0)
    images = torch.stack([grey, grey + 8 * weight.sign().view(3, 8, 8)]) / 255  # the second lies one reach further up
    labels = torch.zeros(2, dtype=torch.long)

    def value(x: torch.Tensor) -> torch.Tensor:
        return (x - 128 / 255).flatten(1) @ weight + 0.5 * reach

    def defence(x: torch.Tensor) -> torch.Tensor:
        noisy = value(x) + 0.01 * reach * torch.randn(len(x), generator=generator)
        return torch.stack([noisy, torch.zeros_like(noisy)], 1)

    found = independent.attack(defence, images, labels, 8 / 255, 20, 4, 2, generator)
    assert (found - images).abs().max() <= 8.01 / 255
    left = value(found)
    assert left[0] < 0
    assert left[1] == pytest.approx(0.5 * reach, rel=0.02)
