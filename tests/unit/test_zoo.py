"""Planted defences get the findings that their faults deserve, by the probe of gradients; sound ones get none.

A small network that is trained on phantom images stands behind modules of the zoo, whose denoiser is a moving average.
Whole studies of the whole zoo are `make checkers`.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
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
from assay.planning.bring import plan_study
from assay.planning.cells import probed_stacks
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
        ("masks", {"mask": "pixels"}, "gradient is the loss's slope", FAIL),
        ("masks", {"mask": "pixels"}, "few zeros in the gradient", WARN),
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


def purified(module: str, **keys: Any) -> tuple[Tensor, Tensor]:
    """What a planted defence makes of some images, and the gradient of its sum."""
    images, _ = phantom("test", 4)
    spec, x = model(module, **keys), images.requires_grad_()
    values = load(spec.implementation).build(spec, INPUTS)(x, step_noise(0, [1, 2, 3, 4], [0] * 4, images))
    gradient = torch.autograd.grad(values.sum(), x)[0] if values.requires_grad else torch.zeros_like(x)
    return values.detach(), gradient


def alike(gradient: Tensor, slope: Tensor) -> float:
    """The share of entries that two gradients have alike; values that are cut off at 0 and 1 may be others."""
    return float(((gradient - slope).abs() < 1e-3).float().mean())


@pytest.mark.parametrize(
    ("module", "keys", "differs"),
    [
        ("masks", {"mask": "pixels"}, True),
        ("masks", {"mask": "low frequencies", "amount": 4}, True),
        ("masks", {"mask": "colour", "on_the_way": True}, False),  # of stored images the gradient is the true one
        ("detached", {"part": "all"}, True),
        ("detached", {"part": "half the draws"}, True),
        ("detached", {"part": "noise estimate"}, True),
        ("gate", {"roughness": 1e-3}, True),
        ("gate", {"roughness": 10}, False),
        ("mismatched", {"backward_step": 1}, False),  # a moving average's gradient knows no noise, nor any sigma
        ("mismatched", {"backward_sigma": 0.02}, False),
    ],
)
def test_a_fault_of_the_gradient_leaves_the_values_of_the_true_purifier(
    module: str, keys: dict[str, Any], differs: bool
) -> None:
    values, gradient = purified(module, **keys)
    true, slope = purified("masks", mask="scale")
    assert torch.allclose(values, true, atol=1e-6)
    assert (alike(gradient, slope) < 0.7) == differs


@pytest.mark.parametrize(
    ("module", "keys"), [("rounding", {"levels": 8}), ("rounding", {"levels": 8, "soft": 10.0}), ("waves", {})]
)
def test_an_honest_twin_has_the_same_values_and_the_true_purifiers_gradient(module: str, keys: dict[str, Any]) -> None:
    values, gradient = purified(module, **keys)
    honest, passed = purified(module, **keys, honest=True)
    _, slope = purified("masks", mask="scale")
    assert torch.allclose(values, honest, atol=1e-6)
    assert alike(passed, slope) > 0.9
    assert alike(gradient, slope) < 0.5


def test_a_mask_on_the_way_spares_what_is_stored() -> None:
    images, _ = phantom("test", 2)
    is_stored = load(str(ZOO / "masks.py")).is_stored
    assert is_stored(images).all()
    assert not is_stored(images + 0.3 / 255).any()


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


@pytest.fixture
def checkers(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program that checks the checkers."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("checkers")


def test_the_whole_zoo_is_a_study_that_can_be_planned(checkers: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    base = yaml.safe_load((ROOT / checkers.BASE).read_text())
    config = checkers.study(base, checkers.KINDS, 128)
    study = plan_study(config, "zoo")
    assert set(study.purifiers) | set(study.classifiers) >= {kind.name for kind in checkers.KINDS}
    assert study.purifiers["soft-jpeg"].backward is False
    attacked = {found.path for found in probed_stacks(study)}
    for kind in checkers.KINDS:
        path = f"{kind.name}/pgd-{kind.loss}/eps-8_255/undefended" if kind.head else None
        assert (path or f"resnet/adaptive/eps-8_255/{kind.name}-0.1") in attacked
    assert {kind.twin for kind in checkers.KINDS} <= {*study.purifiers, "resnet", None}
    assert set(plan_study(checkers.networks(config), "networks").classifiers) == {"resnet"}


@pytest.mark.parametrize(
    ("expected", "status", "hidden", "right"),
    [
        ("PASS", "PASS", 0, True),
        ("PASS", "WARN", 0, False),
        ("PASS", "NOT RUN", 0, False),
        ("WARN or FAIL", "WARN", 0, True),
        ("WARN or FAIL", "FAIL", 30, True),
        ("WARN or FAIL", "NOT RUN", 0, False),
        ("WARN or FAIL", "PASS", 0, False),
        ("any, if it hides little", "PASS", 4, True),
        ("any, if it hides little", "FAIL", 4, True),
        ("any, if it hides little", "PASS", 6, False),
        ("any, if it hides little", "NOT RUN", 6, False),
        ("any, if it hides little", "WARN", 6, True),
    ],
)
def test_a_verdict_is_right_where_what_hides_much_is_caught_and_what_is_sound_passes(
    checkers: ModuleType, expected: str, status: str, hidden: float, right: bool
) -> None:
    assert checkers.as_it_should({"should be": expected, "is": status, "hidden": hidden}) == right
    assert checkers.ANY == "any, if it hides little"
