"""Purifiers of a diffusion: with a perfect denoiser, on a Gaussian, and beside references of their own."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from assay.diffusion import samplers
from assay.diffusion.schedule import Schedule
from assay.inputs import Inputs
from assay.noise import StepNoise, step_noise
from assay.purifiers.energies import distance
from assay.purifiers.likelihood import levels
from assay.purifiers.purifier import build_purifier
from assay.study.energies import DistanceEnergy
from assay.study.purifiers import (
    BridgePurifier,
    DdimPurifier,
    DdpmPurifier,
    GradualPurifier,
    GuidedPurifier,
    LikelihoodPurifier,
    OdePurifier,
    Purifier,
    SdePurifier,
)

SIGMA = 0.2
KEYS = {"sigmas": [SIGMA], "diffusion": "unet"}
RANGES = [(-1.0, 1.0), (0.0, 1.0)]


class Diffusion(Inputs):
    """Inputs whose denoiser is a function of images and sigma."""

    def __init__(self, denoise, data_range: tuple[float, float] = (-1.0, 1.0)) -> None:
        super().__init__({})
        object.__setattr__(self, "denoise", denoise)
        object.__setattr__(self, "schedule", Schedule("linear", 1000, data_range))

    def denoiser(self, role: str = "diffusion"):
        return self

    def __call__(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        return self.denoise(x, sigma)

    def enter(self, x: Tensor) -> Tensor:
        return x

    def leave(self, x: Tensor, like: Tensor) -> Tensor:
        return x


def images(count: int = 2) -> Tensor:
    return torch.rand(count, 3, 4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def noise_of(x: Tensor, draw: int = 0) -> StepNoise:
    return step_noise(1, range(len(x)), [draw] * len(x), x)


def purified(spec: Purifier, inputs: Inputs, x: Tensor) -> Tensor:
    return build_purifier(spec, inputs)(x, noise_of(x))


SPECS = {
    "sde": SdePurifier(method="sde", steps=4, **KEYS),
    "ode": OdePurifier(method="ode", steps=4, **KEYS),
    "bridge": BridgePurifier(method="bridge", **KEYS),
    "bridge, new noise": BridgePurifier(method="bridge", new_noise=True, **KEYS),
    "gradual": GradualPurifier(method="gradual", steps=2, **KEYS),
    "guided": GuidedPurifier(method="guided", steps=3, rounds=2, **KEYS),
    "all steps": SdePurifier(method="sde", **KEYS),
}


@pytest.mark.parametrize("data_range", RANGES)
@pytest.mark.parametrize("name", SPECS)
def test_with_a_perfect_denoiser_every_sampler_returns_the_clean_image(name: str, data_range: tuple) -> None:
    clean = images()
    found = purified(SPECS[name], Diffusion(lambda x, sigma: clean, data_range), (clean + 0.03).clamp(0, 1))
    assert torch.allclose(found, clean, atol=1e-12)


def test_with_a_perfect_denoiser_likelihood_comes_closer_to_the_clean_image_from_all_sides() -> None:
    clean = images() / 2 + 0.25
    attacked = clean + 0.1 * torch.sign(noise_of(clean)(5))
    spec = LikelihoodPurifier(method="likelihood", steps=5, step_size=0.02, **KEYS)
    left = (purified(spec, Diffusion(lambda x, sigma: clean), attacked) - clean).abs()
    assert left.max() < 0.02, "five steps of 0.02 bring 0.1 to nothing"


@pytest.mark.parametrize("spec", [*SPECS.values(), LikelihoodPurifier(method="likelihood", **KEYS)])
def test_without_noise_they_are_the_identity(spec: Purifier) -> None:
    x = images()
    assert torch.equal(purified(spec.at(0.0), Diffusion(lambda x, sigma: x / 2), x), x)


def smooth(x: Tensor, sigma: float | Tensor) -> Tensor:
    """A denoiser that is not perfect, and not linear."""
    level = sigma.view(-1, 1, 1, 1) if isinstance(sigma, Tensor) else sigma
    near = (x + x.roll(1, 2) + x.roll(1, 3) + x.flip(1)) / 4
    return x + level * (torch.tanh(3 * (near - x)) + torch.sin(4 * x) / 4)


def test_without_guidance_guided_is_ddpm_to_the_bit() -> None:
    inputs, x = Diffusion(smooth), images()
    unguided = GuidedPurifier(
        method="guided", steps=5, rounds=1, energy=DistanceEnergy(method="distance", scale=0), **KEYS
    )
    ddpm = purified(DdpmPurifier(method="ddpm", steps=5, **KEYS), inputs, x)
    assert torch.equal(purified(unguided, inputs, x), ddpm)
    guided = unguided.model_copy(update={"energy": DistanceEnergy(method="distance")})
    change = (purified(guided, inputs, x) - ddpm).abs().max()
    assert change > 0.01, "and with guidance it is not"


def test_guidance_pulls_as_much_as_published() -> None:
    """GDMP's config for CIFAR-10 at time step 35, of a batch of one image: 0.1807 of the distance (in the data)."""
    inputs = Diffusion(smooth)
    sigmas = inputs.schedule.sigmas
    s, r = float(sigmas[35]), float(sigmas[34])
    energy = distance.build(DistanceEnergy(method="distance"), inputs, inputs)
    target, n = (torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(k)).double() for k in (0, 1))
    x = (target + s * n + 0.1).requires_grad_()
    (slope,) = torch.autograd.grad(energy(x, s, target, n).sum(), x)
    variance, signals = (r / s) ** 2 * (s**2 - r**2), [(1 + 4 * level**2) ** -0.5 for level in (s, r)]
    in_the_data = variance * signals[1] / signals[0] * slope * signals[1] * 2
    pull = in_the_data / (0.1 * 2 * signals[0])
    assert pull.mean().item() == pytest.approx(0.1807, rel=2e-3)


def test_gradual_goes_through_its_rounds_with_noise_of_their_own() -> None:
    inputs, x = Diffusion(smooth), images()
    spec = GradualPurifier(method="gradual", schedule=[(0.5, 2), (1.0, 1)], steps=3, **KEYS)
    noise, expected, used = noise_of(x), x, 0
    for sigma in (0.1, 0.1, 0.2):
        ladder = inputs.schedule.ladder(sigma, 3)
        start = expected + sigma * noise(used)
        expected = samplers.ddpm(smooth, start, ladder, lambda k, used=used: noise(used + k))
        used += len(ladder)
    assert torch.equal(purified(spec, inputs, x), expected.clamp(0, 1))


def test_gradual_calls_the_denoiser_as_often_as_published() -> None:
    schedule = Schedule("linear", 1000)
    spec = GradualPurifier(method="gradual", sigmas=[float(schedule.sigmas[124])], diffusion="unet")
    assert spec.calls(lambda sigma: len(schedule.ladder(sigma, None)) - 1, spec.sigma) == pytest.approx(470, abs=3)


def test_of_the_bridge_new_noise_keeps_to_its_law_and_ddim_does_not() -> None:
    """The states x_0 + (s/sigma)^2 d + s n, from sigma to 0.1, with a network that knows x_0."""
    x0, d, zero = images(), torch.full((2, 3, 4, 4), 0.05).double(), torch.zeros(2, 3, 4, 4).double()
    ladder = [0.2, 0.15, 0.1]
    kept = samplers.ddpm(lambda x, s: x0, x0 + d, ladder, lambda k: zero)
    assert torch.allclose(kept - x0, (0.1 / 0.2) ** 2 * d)
    left = samplers.ddim(lambda x, s: x0, x0 + d, ladder, lambda k: zero)
    assert torch.allclose(left - x0, 0.1 / 0.2 * d)
    impulses = [samplers.ddpm(lambda x, s: x0, x0, ladder, lambda k, at=at: zero + (k == at)) - x0 for at in (1, 2)]
    forward = samplers.ddpm(lambda x, s: x0, x0 + 0.2, ladder, lambda k: zero) - x0
    variance = sum(part.square() for part in [forward, *impulses])
    assert torch.allclose(variance, torch.full_like(x0, 0.1**2)), "and its noise is of level 0.1"


MEAN, SPREAD = 0.4, 0.25  # of a Gaussian that images are drawn from


def posterior_mean(x: Tensor, sigma: float) -> Tensor:
    return (SPREAD**2 * x + sigma**2 * MEAN) / (SPREAD**2 + sigma**2)


@pytest.mark.parametrize("data_range", RANGES)
def test_the_probability_flow_of_a_gaussian_is_its_closed_form(data_range: tuple) -> None:
    schedule, x, errors = Schedule("linear", 1000, data_range), images(), []
    for steps in (50, 100, 200):
        ladder = schedule.ladder(0.3, steps)
        exact = MEAN + (x - MEAN) * math.hypot(SPREAD, ladder[-2]) / math.hypot(SPREAD, 0.3)
        found = samplers.ode(data_range)(posterior_mean, x, ladder[:-1], noise_of(x))
        errors.append((found - exact).abs().max().item())
        whole = samplers.ode(data_range)(posterior_mean, x, ladder, noise_of(x))
        assert torch.allclose(whole, posterior_mean(found, ladder[-2])), "the last step is the denoiser's estimate"
    assert errors[2] < 1e-3
    assert all(1.7 < before / after < 2.3 for before, after in pairwise(errors)), "Euler steps are of first order"


@pytest.mark.parametrize("data_range", RANGES)
def test_the_reverse_sde_of_a_gaussian_draws_from_the_posterior(data_range: tuple) -> None:
    """All is linear: the mean is what comes of no noise, and the variance the sum of the squared answers to each."""
    schedule, steps = Schedule("linear", 1000, data_range), 400
    ladder = schedule.ladder(0.3, steps)
    x = torch.full((1, 3, 1, steps), 0.9).double()
    impulses = torch.eye(steps).double().view(steps, 1, 1, steps)
    sample = samplers.sde(data_range)
    mean = sample(posterior_mean, x, ladder, lambda k: torch.zeros_like(x))
    moved = sample(posterior_mean, x, ladder, lambda k: impulses[k - 1].expand_as(x)) - mean
    assert mean.flatten()[0].item() == pytest.approx(posterior_mean(torch.tensor(0.9), 0.3).item(), abs=1e-3)
    variance = moved[0, 0, 0].square().sum().item()
    assert variance == pytest.approx(SPREAD**2 * 0.3**2 / (SPREAD**2 + 0.3**2), rel=0.01)


def test_the_probability_flow_of_two_gaussians_is_scipys() -> None:
    means, spread = torch.tensor([0.2, 0.8]).double(), 0.05

    def denoise(x: Tensor, sigma: float) -> Tensor:
        total = spread**2 + sigma**2
        weights = torch.softmax(-((x[..., None] - means) ** 2) / (2 * total), dim=-1)
        return (weights * (spread**2 * x[..., None] + sigma**2 * means) / total).sum(-1)

    x, schedule = images(), Schedule("linear", 1000)

    def flow(sigma: float, values: np.ndarray) -> np.ndarray:
        return (values - denoise(torch.from_numpy(values), sigma).numpy()) / sigma

    ladder = schedule.ladder(0.3, 400)
    reference = solve_ivp(flow, (0.3, ladder[-2]), x.flatten().numpy(), rtol=1e-8, atol=1e-10).y[:, -1]
    expected = denoise(torch.from_numpy(reference), ladder[-2]).view(x.shape)
    for sampler, bound in ((samplers.ode((-1, 1)), 5e-3), (samplers.ddim, 5e-3)):
        assert (sampler(denoise, x, ladder, noise_of(x)) - expected).abs().max() < bound


@pytest.mark.parametrize("data_range", RANGES)
@pytest.mark.parametrize("stochastic", [True, False])
def test_a_step_is_diffpures_on_the_networks_own_data(data_range: tuple, stochastic: bool) -> None:
    """Drift -1/2 beta y - beta score and diffusion sqrt(beta), backwards by one small step of time."""
    low, width = data_range[0], data_range[1] - data_range[0]
    time, dt = 0.1, 1e-5
    log_abar = [-(19.9 * t**2) / 2 - 0.1 * t for t in (time, time - dt)]
    s, r = (math.sqrt(math.exp(-log) - 1) / width for log in log_abar)
    signal, below = (math.exp(log / 2) for log in log_abar)
    beta, x = 0.1 + 19.9 * time, images()
    n = noise_of(x)(1)
    y = signal * (low + width * x)
    predicted = (y - signal * (low + width * smooth(x, s))) / math.sqrt(1 - signal**2)  # the noise
    score = -predicted / math.sqrt(1 - signal**2)
    if stochastic:
        expected = y + (beta * y / 2 + beta * score) * dt + math.sqrt(beta * dt) * n
    else:
        expected = y + (beta * y / 2 + beta * score / 2) * dt
    sample = (samplers.sde if stochastic else samplers.ode)(data_range)
    found = below * (low + width * sample(smooth, x, [s, r], lambda k: n))
    assert (found - expected).abs().max() < 1e-3 * (expected - y).abs().max()


def test_likelihood_is_torchs_adam_on_its_loss() -> None:
    x, steps = images() / 2 + 0.25, 4
    spec = LikelihoodPurifier(method="likelihood", steps=steps, step_size=0.03, **KEYS)
    noise = noise_of(x)
    moved = x.clone().requires_grad_()
    optimiser = torch.optim.Adam([moved], lr=0.03)
    for k in range(1, steps + 1):
        level = levels(SIGMA, noise(steps + k))
        assert ((level >= 0.8 * SIGMA) & (level <= 1.2 * SIGMA)).all()
        optimiser.zero_grad()
        residual = smooth(moved + level.view(-1, 1, 1, 1) * noise(k), level) - moved
        residual.square().mean((1, 2, 3)).sum().backward()
        optimiser.step()
    found = purified(spec, Diffusion(smooth), x)
    assert (found - moved.detach().clamp(0, 1)).abs().max() < 1e-9
    assert (found - x).abs().max() > 0.02


@pytest.mark.parametrize("spec", [SPECS["guided"], LikelihoodPurifier(method="likelihood", **KEYS)])
def test_what_takes_gradients_of_its_own_runs_in_inference_mode(spec: Purifier) -> None:
    x = images()
    expected = purified(spec, Diffusion(smooth), x)
    with torch.inference_mode():
        assert torch.equal(purified(spec, Diffusion(smooth), x + 0), expected)


def test_ddim_and_the_flow_go_the_same_way_by_different_steps() -> None:
    inputs, x = Diffusion(smooth), images()
    flow, ddim = (
        purified(kind(method=method, steps=200, **KEYS), inputs, x)
        for kind, method in ((OdePurifier, "ode"), (DdimPurifier, "ddim"))
    )
    assert 0 < (flow - ddim).abs().max() < 5e-3
