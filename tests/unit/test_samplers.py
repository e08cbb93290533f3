"""Schedule, denoiser and samplers equal diffusers' own schedulers, step by step."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from assay.diffusion import samplers
from assay.diffusion.denoiser import Denoiser
from assay.diffusion.schedule import Schedule
from assay.files import AssayError
from assay.networks.libraries import import_library
from assay.noise import StepNoise, step_noise
from assay.purifiers.purifier import sampled

PREDICTIONS = {"epsilon": "epsilon", "v": "v_prediction", "x0": "sample"}  # as diffusers names them


class Output:
    def __init__(self, sample: torch.Tensor) -> None:
        self.sample = sample


class SmallNetwork(nn.Module):
    """A network with diffusers' calling shape whose output depends on image and time."""

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.mix = nn.Conv2d(3, 3, 3, padding=1, dtype=dtype)
        self.mix.weight.data = 0.2 * torch.randn(self.mix.weight.shape, generator=generator, dtype=dtype)
        self.mix.bias.data.zero_()

    def forward(self, x: torch.Tensor, time: torch.Tensor) -> Output:
        return Output(torch.tanh(self.mix(x)) + 0.1 * torch.sin(time / 50).view(-1, 1, 1, 1).to(x.dtype))


def images(count: int = 2, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(1), dtype=dtype)


def double_noise() -> StepNoise:
    noise = step_noise(1, [1, 2], [0, 0], images())
    return lambda step: noise(step).double()


def diffusers_scheduler(kind: str, name: str, prediction: str = "epsilon"):
    module = import_library(f"diffusers.schedulers.scheduling_{name.lower()}")
    betas = {"linear": "linear", "cosine": "squaredcos_cap_v2"}[kind]
    scheduler = getattr(module, f"{name}Scheduler")(
        num_train_timesteps=1000, beta_schedule=betas, prediction_type=PREDICTIONS[prediction]
    )
    assert Schedule(kind, 1000).abar == pytest.approx(scheduler.alphas_cumprod.double().numpy(), rel=2e-4, abs=1e-9)
    # Their tables are float32, in which 1 - abar of the first steps has three digits; compared are formulas.
    scheduler.alphas_cumprod = torch.from_numpy(Schedule(kind, 1000).abar)
    return scheduler


@pytest.mark.parametrize("kind", ["linear", "cosine"])
def test_schedule_equals_diffusers(kind: str) -> None:
    assert diffusers_scheduler(kind, "DDPM").alphas_cumprod[0] == Schedule(kind, 1000).abar[0]


@pytest.mark.parametrize(
    ("kind", "time_steps", "expected"), [("linear", 1000, [145, 259, 396]), ("cosine", 4000, [1158, 1984, 2809])]
)
def test_the_first_step_that_reaches_a_sigma_is_carlini_et_als(kind: str, time_steps: int, expected: list) -> None:
    schedule = Schedule(kind, time_steps)
    assert [schedule.last_step(sigma) for sigma in (0.25, 0.5, 1.0)] == expected
    assert len(schedule.ladder(schedule.highest, None)) == time_steps + 1


def test_many_sigmas_have_the_time_of_each() -> None:
    schedule = Schedule("linear", 1000)
    sigmas = [0.05, 0.3, schedule.highest]
    assert schedule.time_of(np.array(sigmas)).tolist() == [schedule.time_of(sigma) for sigma in sigmas]
    with pytest.raises(AssayError, match="sigma 0 lies outside"):
        schedule.time_of(np.array([0.1, 0.0]))


def test_sigmas_are_in_pixel_units() -> None:
    wide, unit = Schedule("linear", 1000, (-1, 1)), Schedule("linear", 1000, (0, 1))
    assert unit.sigmas[40] == pytest.approx(0.1437, abs=1e-4)
    assert wide.sigmas[100] == pytest.approx(0.3423 / 2, abs=1e-4)
    assert wide.time_of(unit.sigmas[40]) == pytest.approx(84, abs=0.5)


def test_time_and_sigma_are_inverse_and_the_range_is_checked() -> None:
    schedule = Schedule("linear", 1000)
    for time in (0, 1, 40, 999):
        assert schedule.time_of(float(schedule.sigmas[time])) == pytest.approx(time)
    with pytest.raises(AssayError, match="outside the diffusion's schedule"):
        schedule.time_of(1000.0)


def test_ladder_descends_from_sigma_to_zero_through_the_schedule() -> None:
    schedule = Schedule("linear", 1000)
    sigma = float(schedule.sigmas[20])
    everything = schedule.ladder(sigma, None)
    assert everything == [sigma, *schedule.sigmas[19::-1].tolist(), 0.0]
    few = schedule.ladder(0.1, 4)
    assert len(few) == 5
    assert few[0] == 0.1
    assert few[-1] == 0.0
    assert all(a > b for a, b in pairwise(few))
    assert schedule.ladder(0.1, 1) == [0.1, 0.0]
    assert schedule.ladder(1e-4, 4) == schedule.ladder(1e-4, None) == [1e-4, 0.0], "below the first step"
    assert schedule.ladder(0.0, 5) == [0.0]


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("kind", ["linear", "cosine"])
@pytest.mark.parametrize("start", [15, 60])
def test_ddpm_equals_diffusers_step_by_step(kind: str, start: int, prediction: str) -> None:
    schedule, network = Schedule(kind, 1000), SmallNetwork(torch.float64)
    theirs = diffusers_scheduler(kind, "DDPM", prediction)
    sigma = float(schedule.sigmas[start])
    noise = double_noise()
    x = images(dtype=torch.float64) + sigma * noise(0)
    theirs_x = (2 * x - 1) * float(schedule.abar[start]) ** 0.5
    denoiser = Denoiser(network, schedule, prediction)
    with torch.no_grad():
        for k, time in enumerate(range(start, -1, -1), start=1):
            variance = float(theirs._get_variance(torch.tensor(time))) if time else 0.0
            estimate = network(theirs_x, torch.full((2,), float(time))).sample
            mean = theirs.step(estimate, time, theirs_x, generator=torch.Generator().manual_seed(0))
            own_draw = torch.randn(x.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
            theirs_x = mean.prev_sample - variance**0.5 * own_draw + variance**0.5 * noise(k)
            below = [float(schedule.sigmas[time]), float(schedule.sigmas[time - 1]) if time else 0.0]
            x = samplers.ddpm(denoiser, x, below, lambda _, k=k: noise(k))
            scale = float(schedule.abar[time - 1]) ** 0.5 if time else 1.0
            assert (2 * x - 1 - theirs_x / scale).abs().max() < 1e-5


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("kind", ["linear", "cosine"])
def test_ddim_equals_diffusers_step_by_step(kind: str, prediction: str) -> None:
    schedule, network = Schedule(kind, 1000), SmallNetwork(torch.float64)
    theirs = diffusers_scheduler(kind, "DDIM", prediction)
    theirs.set_timesteps(1000)
    theirs.final_alpha_cumprod = torch.tensor(1.0)
    start = 30
    x = images(dtype=torch.float64) + float(schedule.sigmas[start]) * double_noise()(0)
    theirs_x = (2 * x - 1) * float(schedule.abar[start]) ** 0.5
    denoiser = Denoiser(network, schedule, prediction)
    with torch.no_grad():
        for time in range(start, -1, -1):
            estimate = network(theirs_x, torch.full((2,), float(time))).sample
            theirs_x = theirs.step(estimate, time, theirs_x, use_clipped_model_output=True).prev_sample
            below = [float(schedule.sigmas[time]), float(schedule.sigmas[time - 1]) if time else 0.0]
            x = samplers.ddim(denoiser, x, below, None)
            scale = float(schedule.abar[time - 1]) ** 0.5 if time else 1.0
            assert (2 * x - 1 - theirs_x / scale).abs().max() < 1e-5


def test_oneshot_is_the_denoisers_one_estimate() -> None:
    schedule = Schedule("linear", 1000)
    denoiser = Denoiser(SmallNetwork(), schedule)
    noise = step_noise(1, [1, 2], [0, 0], images())
    with torch.no_grad():
        purified = sampled(denoiser, samplers.ddim, schedule.ladder(0.2, 1))(images(), noise)
        assert torch.equal(purified, denoiser(images() + 0.2 * noise(0), 0.2))


@pytest.mark.parametrize("sampler", [samplers.ddpm, samplers.ddim])
def test_sigma_zero_is_the_identity(sampler: samplers.Sampler) -> None:
    schedule = Schedule("linear", 1000)
    purify = sampled(Denoiser(SmallNetwork(), schedule), sampler, schedule.ladder(0.0, 3))
    assert torch.equal(purify(images(), step_noise(1, [1, 2], [0, 0], images())), images())


@pytest.mark.parametrize("data_range", [(-1.0, 1.0), (0.0, 1.0)])
def test_a_perfect_network_gives_back_the_clean_image_whatever_its_data_range(data_range: tuple) -> None:
    schedule = Schedule("linear", 1000, data_range)
    clean, noise = images(), step_noise(1, [1, 2], [0, 0], images())(0)

    class Perfect(nn.Module):
        def forward(self, x: torch.Tensor, time: torch.Tensor) -> Output:
            data = data_range[0] + schedule.width * clean
            abar = torch.from_numpy(schedule.abar)[time.round().long()].float().view(-1, 1, 1, 1)
            return Output((x - abar.sqrt() * data) / (1 - abar).sqrt())

    sigma = float(schedule.sigmas[50])
    assert torch.allclose(Denoiser(Perfect(), schedule)(clean + sigma * noise, sigma), clean, atol=1e-5)


@pytest.mark.parametrize("steps", [1, 3, 8])
@pytest.mark.parametrize("sampler", [samplers.ddpm, samplers.ddim])
def test_gradient_with_checkpointing_equals_plain_autograd(
    sampler: samplers.Sampler, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule = Schedule("linear", 1000)
    denoiser = Denoiser(SmallNetwork(torch.float64), schedule)
    x = images(dtype=torch.float64)
    noise = step_noise(1, [1, 2], [0, 0], x)

    def gradient() -> torch.Tensor:
        leaf = x.clone().requires_grad_()
        purified = sampled(denoiser, sampler, schedule.ladder(0.15, steps))(leaf, noise)
        return torch.autograd.grad((purified**2).sum(), leaf)[0]

    checkpointed = gradient()
    calls = []
    monkeypatch.setattr(samplers, "checkpoint", lambda step, *a, **_: calls.append(1) or step(*a))
    plain = gradient()
    assert len(calls) == (steps if steps > 1 else 0)
    assert torch.equal(checkpointed, plain)


def test_gradient_equals_finite_differences() -> None:
    schedule = Schedule("linear", 1000)
    denoiser = Denoiser(SmallNetwork(torch.float64), schedule)
    denoiser.forward = lambda x, sigma: x - 0.05 * torch.tanh(denoiser.network.mix(x))  # smooth: no clipping
    x = images(dtype=torch.float64)
    noise = step_noise(1, [1, 2], [0, 0], x)
    direction = torch.randn(x.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)

    def value(x: torch.Tensor) -> torch.Tensor:
        return (samplers.ddpm(denoiser, x, schedule.ladder(0.15, 4), lambda k: noise(k).double()) ** 2).sum()

    leaf = x.clone().requires_grad_()
    exact = (torch.autograd.grad(value(leaf), leaf)[0] * direction).sum()
    h = 1e-5
    estimate = (value(x + h * direction) - value(x - h * direction)).item() / (2 * h)
    assert estimate == pytest.approx(exact.item(), rel=1e-6)
