"""Gradients through every purifier: exact, in float64, on a small U-Net."""

import itertools

import pytest
import torch
from torch import Tensor

from assay.diffusion import samplers
from assay.diffusion.denoiser import Denoiser
from assay.diffusion.schedule import Schedule
from assay.inputs import Inputs
from assay.networks.unet import build_network
from assay.noise import step_noise
from assay.purifiers import noise as forward_noise
from assay.purifiers.purifier import Purify, sampled
from assay.study.diffusions import Diffusion
from assay.study.purifiers import NoisePurifier

SIDE, SIGMA = 8, 0.15
PURIFIERS = ["noise", "oneshot", *(f"{name}-{steps}" for name in ("ddpm", "ddim") for steps in (2, 3, 7))]


@pytest.fixture(scope="module")
def denoiser() -> Denoiser:
    torch.manual_seed(0)
    size = Diffusion(channels=[8, 16], layers_per_block=1, norm_groups=4, attention_levels=[1], steps=1)
    network = build_network(size, SIDE).double().eval().requires_grad_(False)
    return Denoiser(network, Schedule("linear", 1000), 2)


def purifier(name: str, denoiser: Denoiser) -> Purify:
    if name == "noise":
        return forward_noise.build(NoisePurifier(method="noise", sigmas=[SIGMA]), Inputs({}))
    sampler, _, steps = name.replace("oneshot", "ddim-1").partition("-")
    return sampled(denoiser, getattr(samplers, sampler), denoiser.schedule.ladder(SIGMA, int(steps)))


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


@pytest.mark.parametrize("name", PURIFIERS)
def test_the_gradient_equals_plain_autograds(name: str, denoiser: Denoiser, monkeypatch: pytest.MonkeyPatch) -> None:
    purify = purifier(name, denoiser)
    checkpointed = gradient(purify, images())
    steps = itertools.count()
    monkeypatch.setattr(samplers, "checkpoint", lambda step, *arguments, **_: (next(steps), step(*arguments))[1])
    plain = gradient(purify, images())
    assert next(steps) == 2 * int(name.partition("-")[2] or 0)
    assert plain.abs().max() > 0
    assert (checkpointed - plain).abs().max() <= 1e-14 * plain.abs().max()


@pytest.mark.parametrize("name", PURIFIERS)
def test_the_gradient_equals_finite_differences(name: str, denoiser: Denoiser) -> None:
    purify, x, h = purifier(name, denoiser), images(), 1e-6
    exact = gradient(purify, x)
    for seed in (5, 6):
        direction = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        estimate = (value(purify, x + h * direction) - value(purify, x - h * direction)).item() / (2 * h)
        assert estimate == pytest.approx((exact * direction).sum().item(), rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("name", PURIFIERS)
def test_images_keep_their_type(name: str, denoiser: Denoiser) -> None:
    assert purifier(name, denoiser)(images(), step_noise(1, [1, 2], [0, 0], images())).dtype == torch.float64
