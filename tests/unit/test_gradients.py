"""Gradients through every purifier: exact, in float64, on a small U-Net."""

import itertools
from collections.abc import Callable

import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor

from assay.diffusion import samplers
from assay.diffusion.denoiser import Denoiser
from assay.diffusion.schedule import Schedule
from assay.inputs import Inputs
from assay.networks.unet import build_network
from assay.noise import step_noise
from assay.purifiers import guided, likelihood
from assay.purifiers.purifier import Purify, build_purifier
from assay.study.diffusions import Diffusion
from assay.study.purifiers import AnyPurifier

SIDE, SIGMA = 8, 0.15
SAMPLED = {f"{method}-{steps}": steps for method in ("ddpm", "ddim") for steps in (2, 3, 7)} | {"sde-3": 3, "ode-3": 3}
ROUNDS = {"gradual-2": 6, "bridge-3": 3, "flow-2": 2}  # steps in all
TWICE = {"guided-2": 4, "likelihood-2": 2}  # of those that take gradients themselves
STEPS = {"noise": 0, "oneshot": 0} | SAMPLED | ROUNDS | TWICE
FURTHER = {"gradual": {"schedule": [[0.5, 2], [1, 1]]}, "bridge": {"new_noise": True}, "guided": {"rounds": 2}}


@pytest.fixture(scope="module")
def denoiser() -> Denoiser:
    torch.manual_seed(0)
    size = Diffusion(channels=[8, 16], layers_per_block=1, norm_groups=4, attention_levels=[1], steps=1)
    network = build_network(size, SIDE).double().eval().requires_grad_(False)
    return Denoiser(network, Schedule("linear", 1000), 2)


class Only(Inputs):
    """Inputs that have one denoiser."""

    def __init__(self, denoiser: Denoiser) -> None:
        super().__init__({})
        object.__setattr__(self, "only", denoiser)

    def denoiser(self, role: str = "diffusion") -> Denoiser:
        return self.only


def purifier(name: str, denoiser: Denoiser) -> Purify:
    method, _, steps = name.partition("-")
    keys = {"method": method, "sigmas": [SIGMA], **FURTHER.get(method, {})}
    keys |= {"diffusion": "unet"} if method != "noise" else {}
    keys |= {"steps": int(steps)} if steps else {}
    return build_purifier(TypeAdapter(AnyPurifier).validate_python(keys), Only(denoiser))


def value(purify: Purify, x: Tensor) -> Tensor:
    """A smooth function of the purified images."""
    weights = torch.linspace(-1, 1, x[0].numel(), dtype=x.dtype).view(x[0].shape)
    first, second = (purify(x, step_noise(1, [1, 2], [draw, draw], x)) for draw in (0, 1))
    return (weights * first + second**2).sum()


def gradient(purify: Purify, x: Tensor) -> Tensor:
    leaf = x.clone().requires_grad_()
    return torch.autograd.grad(value(purify, leaf), leaf)[0]


def images() -> Tensor:
    return torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("name", STEPS)
def test_the_gradient_equals_plain_autograds(name: str, denoiser: Denoiser, monkeypatch: pytest.MonkeyPatch) -> None:
    purify = purifier(name, denoiser)
    checkpointed = gradient(purify, images())
    steps = itertools.count()

    def plainly(step: Callable, *arguments: object, **_: object) -> object:
        next(steps)
        return step(*arguments)

    monkeypatch.setattr(samplers, "checkpoint", plainly)
    monkeypatch.setattr(guided, "recomputed", plainly)
    monkeypatch.setattr(likelihood, "recomputed", plainly)
    plain = gradient(purify, images())
    assert next(steps) == 2 * STEPS[name]
    assert plain.abs().max() > 0
    assert (checkpointed - plain).abs().max() <= 1e-14 * plain.abs().max()


@pytest.mark.parametrize("name", STEPS)
def test_the_gradient_equals_finite_differences(name: str, denoiser: Denoiser) -> None:
    purify, x = purifier(name, denoiser), images()
    h = 3e-8 if name.startswith("likelihood") else 1e-6  # where a gradient is near 0, Adam's step bends at once
    exact = gradient(purify, x)
    for seed in (5, 6):
        direction = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        estimate = (value(purify, x + h * direction) - value(purify, x - h * direction)).item() / (2 * h)
        assert estimate == pytest.approx((exact * direction).sum().item(), rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("name", STEPS)
def test_images_keep_their_type(name: str, denoiser: Denoiser) -> None:
    assert purifier(name, denoiser)(images(), step_noise(1, [1, 2], [0, 0], images())).dtype == torch.float64
