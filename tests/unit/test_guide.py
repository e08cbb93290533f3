"""AGDM's parts: an auxiliary classifier of noisy images, and the energy that it makes."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from assay.inputs import Inputs
from assay.manifests import read_manifest
from assay.noise import step_noise
from assay.purifiers.energies import classifier as energies
from assay.purifiers.purifier import build_purifier
from assay.study.energies import ClassifierEnergy
from assay.study.objectives import GuideObjective
from assay.study.purifiers import DdpmPurifier, GuidedPurifier
from assay.training.inner_attack import divergence
from assay.training.objective import Batch, Task
from assay.training.objectives.guide import Guide
from trainings import prepare, train

SIDE, SIGMA = 6, 0.2
KEYS = {"sigmas": [SIGMA], "diffusion": "unet", "steps": 4}
SPEC = GuideObjective(method="guide", max_sigma=SIGMA)


class Network(nn.Module):
    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Tanh(), nn.Flatten(), nn.Linear(4 * (SIDE - 2) ** 2, classes)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class Diffusion(Inputs):
    """Inputs whose denoiser is a formula, and whose classifier is small."""

    def __init__(self) -> None:
        from assay.diffusion.schedule import Schedule

        super().__init__({})
        object.__setattr__(self, "schedule", Schedule("linear", 1000))
        object.__setattr__(self, "network", Network().double().eval().requires_grad_(False))

    def denoiser(self, role: str = "diffusion"):
        return self

    def classifier(self, role: str = "classifier"):
        return self.network

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        return x - sigma * torch.tanh(x.roll(1, 3) - 0.3)

    def enter(self, x: Tensor) -> Tensor:
        return x

    def leave(self, x: Tensor, like: Tensor) -> Tensor:
        return x


def images(count: int = 4) -> Tensor:
    return torch.rand(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def guided(**keys: float) -> GuidedPurifier:
    return GuidedPurifier(
        method="guided", rounds=1, energy=ClassifierEnergy(method="classifier", guide="helper", **keys), **KEYS
    )


def purified(spec, x: Tensor) -> Tensor:
    return build_purifier(spec, Diffusion())(x, step_noise(1, range(len(x)), [0] * len(x), x))


def batch() -> Batch:
    return Batch(images().float(), torch.arange(4) % 3, torch.arange(4), 0, 0.0, 0)


def test_the_divergence_is_torchs() -> None:
    first, second = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0)).double()
    expected = torch.nn.functional.kl_div(
        second.log_softmax(1), first.log_softmax(1), reduction="none", log_target=True
    )
    assert torch.allclose(divergence(first, second), expected.sum(1))


def test_the_attack_on_the_guide_stays_in_its_ball_and_changes_its_answers() -> None:
    network = Network().train()
    found = Guide(SPEC, Task(network, None, None, Inputs({}), 0, torch.device("cpu")))
    noised, first = batch().images, 1e-3 * batch().normal("start", 3, SIDE, SIDE)
    moved = found.worst(noised, first)
    assert network.training
    assert (moved - noised).abs().max() <= 8 / 255 + 1e-6
    network.eval()
    answer = network(noised)
    random = noised + 8 / 255 * torch.sign(batch().normal("random", 3, SIDE, SIDE))
    assert (divergence(answer, network(moved)) > divergence(answer, network(random))).all()


def test_its_loss_is_the_cross_entropy_on_noisy_images_and_the_weighted_divergence() -> None:
    def loss(weight: float) -> float:
        task = Task(Network(), None, None, Inputs({}), 0, torch.device("cpu"))
        return Guide(SPEC.model_copy(update={"weight": weight}), task)(batch()).item()

    plain, one, two = map(loss, (0.0, 1.0, 2.0))
    assert two - plain == pytest.approx(2 * (one - plain), rel=1e-4)
    assert one > plain
    sigma = SIGMA * batch().uniform("level").view(-1, 1, 1, 1)
    noised = batch().images + sigma * batch().normal("noise", 3, SIDE, SIDE)
    expected = torch.nn.functional.cross_entropy(Network().train()(noised), batch().labels)
    assert plain == pytest.approx(expected.item(), rel=1e-5)


def test_a_guide_is_trained_and_says_how_well_it_knows_noisy_images(tmp_path: Path) -> None:
    prepared = prepare(tmp_path)
    out = train("classifier", prepared, tmp_path / "guide", objective={"method": "guide", "max_sigma": 0.2, "steps": 2})
    assert "noisy_validation_accuracy" in (out / "history.csv").read_text().splitlines()[0]
    assert read_manifest(out)["facts"]["validation_accuracy"] >= 0


def test_without_strength_the_guided_process_is_ddpm_and_with_it_the_answer_stays() -> None:
    x, spec = images(), guided(scale=300)
    ddpm = purified(DdpmPurifier(method="ddpm", **KEYS), x)
    assert torch.equal(purified(guided(scale=0), x), ddpm)
    inputs = Diffusion()
    energy = energies.build(spec.energy, inputs, inputs)
    led = purified(spec, x)
    assert energy(led, 0.1, x, x).sum() < 0.9 * energy(ddpm, 0.1, x, x).sum()


def test_its_second_order_gradient_equals_finite_differences() -> None:
    x, spec = images() / 2 + 0.25, guided(scale=100)
    weights = torch.linspace(-1, 1, x.numel(), dtype=x.dtype).view(x.shape)
    direction = torch.randn(x.shape, generator=torch.Generator().manual_seed(2), dtype=x.dtype)

    def value(x: Tensor) -> Tensor:
        return (weights * purified(spec, x)).sum()

    leaf, h = x.clone().requires_grad_(), 1e-6
    (exact,) = torch.autograd.grad(value(leaf), leaf)
    slope = (value(x + h * direction) - value(x - h * direction)).item() / (2 * h)
    assert slope == pytest.approx((exact * direction).sum().item(), rel=1e-6)
    unguided = build_purifier(guided(scale=0), Diffusion())(leaf, step_noise(1, range(4), [0] * 4, x))
    (without,) = torch.autograd.grad((weights * unguided).sum(), leaf)
    assert (exact - without).abs().max() > 0.01 * exact.abs().max(), "guidance is part of it"
