"""Planted defences get the findings that their faults deserve, by the probe of gradients; sound ones get none.

A small network that is trained on phantom images stands behind modules of the zoo, whose denoiser is a moving average.
Whole studies of the whole zoo are `make checkers`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from assay.attacks.queries import mean_gradient
from assay.attacks.threats.defended import Expected
from assay.attacks.threats.victim import search_query
from assay.data.phantom.tumour import generate
from assay.defended import Defended
from assay.evaluation.checks import probed
from assay.evaluation.checks.finding import FAIL, NOT_APPLICABLE, PASS, WARN
from assay.evaluation.checks.probed import stand_in
from assay.evaluation.probes.gradients import probe_gradients
from assay.evaluation.probes.sample import Sample
from assay.modules import load, own_model
from assay.noise import step_noise
from assay.study.attacks import PgdAttack
from assay.study.purifiers import NoisePurifier, PythonPurifier

ROOT = Path(__file__).parents[2]
ZOO = ROOT / "benchmarks/zoo"
SIDE, IMAGES, SIGMA, EPS = 16, 16, 0.05, 8 / 255
ADAPTIVE = PgdAttack(method="pgd", eps=[EPS], steps=10, threat="adaptive", draws=2)


class MovingAverage:
    """A stand-in for a trained denoiser: differentiable, and of every frequency and colour."""

    schedule = SimpleNamespace(ladder=lambda sigma, steps: [sigma, 0.0])

    def enter(self, x: Tensor) -> Tensor:
        return x

    def leave(self, clean: Tensor, x: Tensor) -> Tensor:
        return clean

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        return 0.7 * x + 0.3 * nn.functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


INPUTS: Any = SimpleNamespace(denoiser=lambda role: MovingAverage(), device=torch.device("cpu"))


def phantom(split: str, count: int) -> tuple[Tensor, Tensor]:
    images, labels = generate(0, split, range(count), SIDE)
    return torch.from_numpy(images).permute(0, 3, 1, 2) / 255, torch.from_numpy(labels).long()


@pytest.fixture(scope="module")
def trained() -> nn.Module:
    """A network that has learned something of phantom images: its gradients are those of a classifier."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3, padding=1), nn.SiLU(), nn.Conv2d(8, 8, 3, stride=2, padding=1), nn.SiLU()]
    network = nn.Sequential(*layers, nn.Flatten(), nn.Linear(8 * SIDE**2 // 4, 2))
    images, labels = phantom("train", 256)
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(60):
        optimiser.zero_grad()
        nn.functional.cross_entropy(network(images), labels).backward()
        optimiser.step()
    return network.eval().requires_grad_(False)


def model(module: str, **keys: Any) -> PythonPurifier:
    """A purifier of the zoo, its keys completed by its own model."""
    part = {"method": "python", "module": str(ZOO / f"{module}.py"), "sigmas": [SIGMA], "diffusion": "unet"} | keys
    return own_model(PythonPurifier.model_validate(part))


def victim(network: nn.Module, spec: PythonPurifier) -> Expected:
    defended = Defended(load(spec.implementation).build(spec, INPUTS), network)
    return Expected(defended, defended, seed=1).eval()


def statuses(network: nn.Module, module: str, **keys: Any) -> dict[str, str]:
    """The status of every check of gradients of a planted defence; the attacked images are of the true gradient."""
    images, labels = phantom("test", IMAGES)
    rows, query = torch.arange(IMAGES) + 1, search_query(7, 2)
    honest = victim(network, model("masks", mask="scale"))
    loss = nn.functional.cross_entropy
    _, true = mean_gradient(honest, images, labels, rows, query, lambda a, b: loss(a, b, reduction="none"), IMAGES)
    sample = Sample(images, (images + EPS / 2 * true.sign()).clamp(0, 1), labels, rows, 2)
    found = probe_gradients(ADAPTIVE, victim(network, model(module, **keys)), sample, 0)
    return {found.check: found.status for found in probed.gradients(found, ADAPTIVE, ["a"])}


@pytest.mark.parametrize("amount", [1.0, 1e-3, 1e3])
def test_a_true_gradient_passes_whatever_its_size(trained: nn.Module, amount: float) -> None:
    assert set(statuses(trained, "masks", mask="scale", amount=amount).values()) <= {PASS, NOT_APPLICABLE}


@pytest.mark.parametrize(
    ("module", "keys", "check", "status"),
    [
        ("masks", {"mask": "low frequencies", "amount": 8}, "gradient has every frequency", FAIL),
        ("masks", {"mask": "pixels"}, "no zeros in the gradient", FAIL),
        ("masks", {"mask": "colour"}, "gradient has every colour", FAIL),
        ("detached", {"part": "all"}, "zero gradients at the start", FAIL),
        ("rounding", {"levels": 8}, "zero gradients at the start", FAIL),
        ("constant", {}, "zero gradients at the start", FAIL),
        ("waves", {}, "gradient is the loss's slope", FAIL),
    ],
)
def test_a_planted_fault_is_found_for_what_it_is(
    trained: nn.Module, module: str, keys: dict[str, Any], check: str, status: str
) -> None:
    found = statuses(trained, module, **keys)
    assert found[check] == status
    assert {FAIL, WARN} & set(found.values())


@pytest.mark.parametrize(
    ("module", "keys"),
    [
        ("masks", {"mask": "pixels"}),
        ("rounding", {"levels": 8}),
        ("rounding", {"levels": 8, "soft": 10.0}),
        ("detached", {"part": "half the draws"}),
        ("waves", {}),
        ("mismatched", {"backward_step": 1}),
        ("gate", {}),
    ],
)
def test_an_honest_twin_has_the_same_values_and_a_gradient_everywhere(module: str, keys: dict[str, Any]) -> None:
    images, _ = phantom("test", 4)
    x, answers = images.clone().requires_grad_(), []
    for honest in (False, True):
        spec = model(module, **keys, honest=honest)
        answers.append(load(spec.implementation).build(spec, INPUTS)(x, step_noise(0, [1, 2, 3, 4], [0] * 4, images)))
    assert torch.allclose(*answers, atol=1e-5)
    (gradient,) = torch.autograd.grad(answers[1].sum(), x)
    assert (gradient != 0).float().mean() > 0.9


def test_a_declared_stand_in_is_not_held_to_the_slopes_of_the_loss() -> None:
    noise = NoisePurifier(method="noise", sigmas=[SIGMA])
    assert stand_in(ADAPTIVE, model("soft_jpeg"))
    assert stand_in(ADAPTIVE, model("soft_jpeg", backward=True)) is None
    assert all(stand_in(ADAPTIVE, purifier) is None for purifier in (noise, None))
    blind = PgdAttack(method="pgd", eps=[EPS], threat="bpda")
    assert stand_in(blind, noise)


def test_a_victim_that_is_cut_off_has_the_gradient_zero(trained: nn.Module) -> None:
    images, labels = phantom("test", 4)
    value, gradient = mean_gradient(
        victim(trained, model("detached", part="all")),
        images,
        labels,
        torch.arange(4),
        search_query(0, 2),
        lambda logits, wanted: nn.functional.cross_entropy(logits, wanted, reduction="none"),
        room=4,
    )
    assert value.isfinite().all()
    assert not gradient.any()


def test_every_kind_of_the_zoo_is_a_module_whose_keys_are_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ZOO)
    monkeypatch.delitem(sys.modules, "kinds", raising=False)
    from kinds import KINDS

    assert len({kind.name for kind in KINDS}) == len(KINDS)
    for kind in KINDS:
        if not kind.head:
            keys = {key: value for key, value in kind.part().items() if key not in ("method", "module")}
            model(kind.module, **keys)
