"""The denoiser equals diffusers' conversions and losses for each prediction, one sigma an image, at its own size."""

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from assay.artifacts import Wanted
from assay.diffusion import samplers
from assay.diffusion.denoiser import Denoiser, denoiser_of, load_denoiser, write_diffusion
from assay.diffusion.schedule import Schedule
from assay.files import AssayError
from assay.manifests import read_manifest
from assay.networks.libraries import import_library
from assay.networks.resize import matrix, resize, resize_norm
from assay.networks.unet import build_network
from assay.noise import normal, step_noise
from assay.purifiers.purifier import sampled
from assay.study.diffusions import Diffusion

PREDICTIONS = {"epsilon": "epsilon", "v": "v_prediction", "x0": "sample"}  # as diffusers names them
SIDE = 12


class Output:
    def __init__(self, sample: Tensor) -> None:
        self.sample = sample


class SmallNetwork(nn.Module):
    """A network with diffusers' calling shape; it remembers what it was given."""

    def __init__(self, outputs: int = 3) -> None:
        super().__init__()
        weight = torch.randn(6, 3, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        self.weight = nn.Parameter(0.2 * weight[:outputs])

    def forward(self, x: Tensor, time: Tensor) -> Output:
        self.data, self.time = x, time
        shift = 0.1 * torch.sin(time / 50).view(-1, 1, 1, 1).to(x.dtype)
        return Output(torch.tanh(F.conv2d(x, self.weight.to(x.dtype), padding=1)) + shift)


def images(count: int = 4, side: int = SIDE, seed: int = 1) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gaussian(like: Tensor, seed: int = 2) -> Tensor:
    return torch.randn(like.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def scheduler(schedule: Schedule, prediction: str, clip: bool = True):
    """diffusers' DDPM scheduler with our table of abar in double precision."""
    theirs = import_library("diffusers.schedulers.scheduling_ddpm").DDPMScheduler(
        num_train_timesteps=schedule.time_steps, prediction_type=PREDICTIONS[prediction], clip_sample=clip
    )
    theirs.alphas_cumprod = torch.from_numpy(schedule.abar)
    return theirs


# one estimate


@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize("time", [0, 30, 400, 999])
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_estimate_is_the_one_that_diffusers_makes_of_the_networks_output(
    prediction: str, time: int, clip: bool
) -> None:
    schedule, network = Schedule("linear", 1000), SmallNetwork()
    sigma = float(schedule.sigmas[time])
    x = images() + sigma * gaussian(images())
    data = (2 * x - 1) * schedule.abar[time] ** 0.5
    theirs = scheduler(schedule, prediction, clip).step(network(data, torch.full((4,), time)).sample, time, data)
    with torch.no_grad():
        ours = Denoiser(network, schedule, prediction, clip)(x, sigma)
    scale = 1 if clip else 1 + theirs.pred_original_sample.abs().max()
    assert (2 * ours - 1 - theirs.pred_original_sample).abs().max() < 1e-5 * scale
    assert not clip or 0 <= ours.min() <= ours.max() <= 1


@pytest.mark.parametrize("data_range", [(-1.0, 1.0), (0.0, 1.0)])
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_a_perfect_network_gives_back_the_clean_image(prediction: str, data_range: tuple) -> None:
    schedule = Schedule("cosine", 4000, data_range)
    clean, time = images(), 1500
    noise = gaussian(clean)
    data, abar = data_range[0] + schedule.width * clean, float(schedule.abar[time])
    answers = {"epsilon": noise, "x0": data, "v": abar**0.5 * noise - (1 - abar) ** 0.5 * data}

    def network(x: Tensor, time: Tensor) -> Output:
        assert torch.allclose(x, abar**0.5 * data + (1 - abar) ** 0.5 * noise)
        return Output(answers[prediction])

    sigma = float(schedule.sigmas[time])
    denoiser = Denoiser(nn.Identity(), schedule, prediction, clip=False)
    denoiser.network.forward = network
    assert torch.allclose(denoiser(clean + sigma * noise, sigma), clean)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_each_image_may_have_a_sigma_of_its_own(prediction: str) -> None:
    denoiser = Denoiser(SmallNetwork(), Schedule("linear", 1000), prediction)
    sigmas = torch.tensor([0.02, 0.1, 0.5, denoiser.schedule.highest], dtype=torch.float64)
    with torch.no_grad():
        together = denoiser(images(), sigmas)
        for row, sigma in enumerate(sigmas.tolist()):
            assert torch.allclose(together[row], denoiser(images()[row : row + 1], sigma)[0], atol=1e-12)
        assert torch.equal(denoiser(images(), 0.1), denoiser(images(), torch.full((4,), 0.1, dtype=torch.float64)))
        assert denoiser(images().float(), sigmas.float()).dtype == torch.float32
    with pytest.raises(AssayError, match="outside the diffusion's schedule"):
        denoiser(images(), torch.tensor([0.1, 0.1, 0.0, 0.1]))


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_a_learned_variance_is_left_aside(prediction: str) -> None:
    schedule, noise, places = Schedule("linear", 1000), gaussian(images()), torch.linspace(0, 0.9, 4)
    plain, learned = (Denoiser(SmallNetwork(outputs), schedule, prediction) for outputs in (3, 6))
    with torch.no_grad():
        assert torch.allclose(learned(images(), 0.2), plain(images(), 0.2))
        assert torch.allclose(learned.loss(images(), places, noise, 1.0), plain.loss(images(), places, noise, 1.0))


# the loss


@pytest.mark.parametrize("data_range", [(-1.0, 1.0), (0.0, 1.0)])
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_loss_is_diffusers(prediction: str, data_range: tuple) -> None:
    schedule, network = Schedule("linear", 1000, data_range), SmallNetwork()
    theirs = scheduler(schedule, prediction)
    times = torch.tensor([0, 40, 500, 999])
    clean, noise = images(), gaussian(images())
    data = data_range[0] + schedule.width * clean
    output = network(theirs.add_noise(data, noise, times), times).sample
    target = {"epsilon": noise, "x0": data, "v": theirs.get_velocity(data, noise, times)}[prediction]
    loss = Denoiser(network, schedule, prediction).loss(clean, (times + 0.5) / 1000, noise, schedule.highest)
    assert loss.shape == (4,)
    assert torch.allclose(loss, F.mse_loss(output, target, reduction="none").mean((1, 2, 3)), rtol=1e-10)


def test_places_go_evenly_over_the_time_steps_up_to_a_sigma() -> None:
    network = SmallNetwork()
    denoiser = Denoiser(network, Schedule("linear", 1000))
    last = denoiser.schedule.last_step(0.3)
    places = torch.cat([torch.arange(last + 1) / (last + 1) + 1e-6, torch.tensor([1 - 2**-24])])
    clean = images(1, 2).expand(len(places), -1, -1, -1)
    denoiser.loss(clean, places, torch.zeros_like(clean), 0.3)
    assert network.time.tolist() == [*range(last + 1), last]
    assert denoiser.schedule.sigmas[last - 1] < 0.3 <= denoiser.schedule.sigmas[last]


def test_the_loss_trains_the_network() -> None:
    denoiser = Denoiser(SmallNetwork(), Schedule("linear", 1000), "v")
    denoiser.loss(images(), torch.rand(4), gaussian(images()), 0.5).mean().backward()
    assert denoiser.network.weight.grad.abs().max() > 0


# a size of its own


@pytest.mark.parametrize(("before", "after"), [(14, 16), (16, 14), (7, 30), (30, 7), (9, 9)])
def test_a_resize_is_torchs_bicubic_with_antialiasing(before: int, after: int) -> None:
    x = images(2, before)
    theirs = F.interpolate(x, size=(after, after), mode="bicubic", antialias=True)
    assert torch.allclose(resize(x, (after, after)), theirs, atol=1e-12)
    assert resize(x.float(), (after, after)).dtype == torch.float32
    wide = torch.cat([x, x], dim=3)
    theirs = F.interpolate(wide, size=(after, before), mode="bicubic", antialias=True)
    assert torch.allclose(resize(wide, (after, before)), theirs, atol=1e-12)


@pytest.mark.parametrize(("before", "after"), [((7, 7), (8, 8)), ((8, 6), (5, 9)), ((12, 12), (4, 4))])
def test_a_resizes_norm_is_that_of_its_dense_matrix(before: tuple[int, int], after: tuple[int, int]) -> None:
    pixels = torch.eye(before[0] * before[1], dtype=torch.float64).view(-1, 1, *before)
    dense = F.interpolate(pixels, size=after, mode="bicubic", antialias=True).flatten(1).T
    assert resize_norm(before, after) == pytest.approx(torch.linalg.matrix_norm(dense, 2).item(), rel=1e-10)
    assert resize_norm(before, before) == 1


def test_no_change_is_stretched_further_than_the_norm() -> None:
    norm = resize_norm((14, 14), (16, 16))
    change = torch.linalg.svd(matrix(14, 16))[2][0]
    worst = torch.outer(change, change)[None, None].expand(1, 3, -1, -1)
    assert resize(worst, (16, 16)).norm() / worst.norm() == pytest.approx(norm, rel=1e-10)
    for seed in range(20):
        other = gaussian(images(1, 14), seed)
        assert resize(other, (16, 16)).norm() / other.norm() < norm


def test_images_of_another_size_are_resized_then_noised_at_the_networks_size() -> None:
    network = SmallNetwork()
    denoiser = Denoiser(network, Schedule("linear", 1000), size=(16, 16))
    x, sigma = images(2, 14), 0.2
    noise = step_noise(1, [1, 2], [0, 0], x)
    with torch.no_grad():
        purified = sampled(denoiser, samplers.ddim, [sigma, 0.0])(x, noise)
    abar = 1 / (1 + (2 * sigma) ** 2)
    added = (network.data / abar**0.5 + 1) / 2 - F.interpolate(x, size=(16, 16), mode="bicubic", antialias=True)
    assert torch.allclose(added, sigma * normal(1, [1, 2], [0, 0], 0, (3, 16, 16)).double())
    estimate = denoiser(denoiser.enter(x) + sigma * noise.like(denoiser.enter(x))(0), sigma)
    assert purified.shape == x.shape
    assert torch.equal(purified, denoiser.leave(estimate, x).clamp(0, 1))


def test_images_of_the_networks_size_are_left_as_they_are() -> None:
    denoiser = Denoiser(SmallNetwork(), Schedule("linear", 1000), size=(SIDE, SIDE))
    x = images()
    assert denoiser.enter(x) is x
    assert denoiser.leave(x, x) is x
    assert denoiser.stretch((SIDE, SIDE)) == 1
    assert denoiser.stretch((14, 14)) == resize_norm((14, 14), (SIDE, SIDE))
    assert Denoiser(SmallNetwork(), Schedule("linear", 1000)).enter(x) is x


def test_images_that_were_not_brought_to_the_networks_size_are_refused() -> None:
    denoiser = Denoiser(SmallNetwork(), Schedule("linear", 1000), size=(16, 16))
    with pytest.raises(ValueError, match=r"see Denoiser\.enter"):
        denoiser(images(), 0.1)


def test_sides_that_the_network_cannot_halve_are_refused() -> None:
    denoiser = Denoiser(SmallNetwork(), Schedule("linear", 1000), multiple=8)
    with pytest.raises(AssayError, match="sides are multiples of 8, found 12 by 12 pixels; name another diffusion"):
        denoiser(images(), 0.1)


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("steps", [1, 3])
def test_the_gradient_at_another_size_equals_finite_differences(steps: int, prediction: str) -> None:
    denoiser = Denoiser(SmallNetwork(), Schedule("linear", 1000), prediction, clip=False, size=(16, 16))
    x = 0.4 + 0.2 * images(2, 14)
    noise, direction = step_noise(1, [1, 2], [0, 0], x), gaussian(x, 5)
    purify = sampled(denoiser, samplers.ddpm, denoiser.schedule.ladder(0.05, steps))

    def value(x: Tensor) -> Tensor:
        return (purify(x, noise) ** 2).sum()

    leaf = x.clone().requires_grad_()
    exact = (torch.autograd.grad(value(leaf), leaf)[0] * direction).sum().item()
    h = 1e-7
    estimate = (value(x + h * direction) - value(x - h * direction)).item() / (2 * h)
    assert estimate == pytest.approx(exact, rel=1e-5)


# on disk


@pytest.mark.parametrize(("prediction", "clip"), [("epsilon", True), ("v", False), ("x0", True)])
def test_a_folder_gives_back_the_denoiser(prediction: str, clip: bool, tmp_path: Path) -> None:
    keys = {"channels": [8, 16], "layers_per_block": 1, "norm_groups": 4, "steps": 1, "time_steps": 4000}
    diffusion = Diffusion(**keys, prediction=prediction, schedule="cosine", data_range=(0, 1))
    torch.manual_seed(0)
    made = denoiser_of(build_network(diffusion, 16), diffusion, clip).eval()
    with Wanted(tmp_path / "made", "diffusion", {}, "", {}).write({}) as draft:
        write_diffusion(draft, made)
    loaded = load_denoiser(tmp_path / "made", torch.device("cpu"))
    facts = read_manifest(tmp_path / "made", "diffusion")["facts"]
    told = {"prediction": prediction, "clip": clip, "size": [16, 16], "time_steps": 4000, "schedule": "cosine"}
    assert {key: facts[key] for key in told} == told
    assert json.loads((tmp_path / "made/config.json").read_text())["sample_size"] == 16
    x = images(2, 16).float()
    with torch.no_grad():
        assert torch.allclose(loaded(x, torch.tensor([0.1, 0.7])), made(x, torch.tensor([0.1, 0.7])), atol=1e-4)
    assert (loaded.size, loaded.multiple) == ((16, 16), 2)
