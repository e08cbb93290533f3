"""Training a denoiser for a classifier: the loss is the two that it is made of, and the classifier stays as it is."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from assay.diffusion.denoiser import denoiser_of
from assay.networks.unet import build_network
from assay.study.diffusions import Diffusion
from assay.study.objectives import DenoisingObjective, StabilityObjective
from assay.training.objective import Batch, Task
from assay.training.objectives import denoising, stability
from trainings import DIFFUSION, prepare, train

SIDE, IMAGES = 16, 6


def task() -> tuple[Task, nn.Module]:
    """A small denoiser, and a guide that tells dark images from bright ones."""
    torch.manual_seed(0)
    diffusion = Diffusion(**DIFFUSION)
    guide = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE**2, 3)).eval().requires_grad_(False)
    inputs = SimpleNamespace(classifier=lambda role: {"guide": guide}[role])
    network = denoiser_of(build_network(diffusion, SIDE), diffusion)
    return Task(network, diffusion, None, inputs, 3, torch.device("cpu")), guide


def batch() -> Batch:
    images = torch.rand(IMAGES, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    return Batch(images, torch.arange(IMAGES) % 3, torch.arange(IMAGES), step=5, epochs=0.0, seed=3)


@pytest.mark.parametrize("towards", ["answer", "label"])
def test_the_loss_is_the_denoisers_own_plus_the_guides_cross_entropy_at_the_same_levels(towards: str) -> None:
    given, guide = task()
    spec = StabilityObjective(method="stability", guide="a", weight=0.25, max_sigma=0.3, towards=towards)
    objective, shown = stability.build(spec, given), batch()
    own = denoising.build(DenoisingObjective(method="denoising", max_sigma=0.3), given)(shown)
    sigma = objective.levels(shown.uniform("level"))
    assert len(set(sigma.tolist())) > 1
    assert sigma.min() > 0
    assert sigma.max() <= given.network.schedule.sigmas[given.network.schedule.last_step(0.3)]
    goals = guide(shown.images).argmax(1) if towards == "answer" else shown.labels
    noise = shown.normal("noise", 3, SIDE, SIDE)
    answers = [
        guide(given.network(image[None] + level * n, level))
        for image, level, n in zip(shown.images, sigma.tolist(), noise, strict=True)
    ]
    expected = own + 0.25 * F.cross_entropy(torch.cat(answers), goals)
    assert objective(shown).item() == pytest.approx(expected.item(), abs=1e-5)


def test_only_the_denoiser_is_trained() -> None:
    given, guide = task()
    objective = stability.build(StabilityObjective(method="stability", guide="a", max_sigma=0.3), given)
    objective(batch()).backward()
    assert all(parameter.grad is None for parameter in guide.parameters())
    trained = {id(parameter) for parameter in objective.parameters()}
    assert trained == {id(parameter) for parameter in given.network.parameters()}


def test_a_denoiser_is_trained_for_the_classifier_of_its_study(tmp_path: Path) -> None:
    prepared = prepare(tmp_path)
    guide = train("classifier", prepared, tmp_path / "classifier")
    keys = {"method": "stability", "guide": "plain", "max_sigma": 0.3}
    made = train("diffusion", prepared, tmp_path / "diffusion", needs={"guide": guide}, objective=keys)
    history = (made / "history.csv").read_text().splitlines()
    assert "validation_agreement" in history[0]
    assert (
        0 <= float(dict(zip(history[0].split(","), history[-1].split(","), strict=True))["validation_agreement"]) <= 1
    )
