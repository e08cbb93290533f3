"""Flow matching: a diffusion that predicts the velocity to the clean image, and the purifier that follows it."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from assay.diffusion import samplers
from assay.diffusion.denoiser import Denoiser
from assay.diffusion.schedule import Schedule
from assay.files import AssayError
from assay.noise import step_noise
from assay.purifiers import flow
from assay.study.parse import parse_study
from assay.study.purifiers import FlowPurifier

SPEC = FlowPurifier(method="flow", diffusion="unet", sigmas=[0.15])
RANGES = [(-1.0, 1.0), (0.0, 1.0)]


class Velocity(nn.Module):
    """A network whose output is a function of what it sees."""

    def __init__(self, velocity) -> None:
        super().__init__()
        self.velocity = velocity

    def forward(self, x: Tensor, time: Tensor) -> SimpleNamespace:
        return SimpleNamespace(sample=self.velocity(x, time.view(-1, 1, 1, 1)))


def images(count: int = 3) -> Tensor:
    return torch.rand(count, 3, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def denoiser(velocity, data_range: tuple = RANGES[0]) -> Denoiser:
    return Denoiser(Velocity(velocity), Schedule("flow", 1000, data_range), "flow", clip=False)


def test_the_levels_are_evenly_spaced_up_to_flowpures() -> None:
    sigmas = Schedule("flow", 1000).sigmas
    assert sigmas[-1] == pytest.approx(0.3)
    assert np.allclose(np.diff(sigmas), 0.3 / 1000)
    assert np.allclose(np.diff(Schedule("flow", 1000).ladder(0.15, 9)), -0.15 / 9, rtol=2e-2)


@pytest.mark.parametrize("data_range", RANGES)
@pytest.mark.parametrize("steps", [1, 2, 9])
def test_with_the_true_field_any_number_of_euler_steps_returns_the_clean_image(data_range: tuple, steps: int) -> None:
    """From x_t = (1 - t) x_0 + t x_1 the velocity is x_1 - x_0, with x_0 = x_1 + S n."""
    x1 = images()
    noise = step_noise(1, range(3), [0] * 3, x1)
    low, width = data_range[0], data_range[1] - data_range[0]
    found = denoiser(lambda x, time: -0.6 * noise(0), data_range)
    inputs = SimpleNamespace(denoiser=lambda role: found)
    purified = flow.build(SPEC.model_copy(update={"steps": steps}), inputs)(x1, noise)
    assert torch.allclose(purified, x1, atol=1e-12)
    seen = []
    watched = denoiser(lambda x, time: seen.append(x) or -0.6 * noise(0), data_range)
    samplers.ddim(watched, x1 + 0.15 * noise(0), [0.15, 0.0], noise)
    assert torch.allclose(seen[0], low + width * (x1 + 0.15 * noise(0))), "the network sees the image unscaled"


def test_a_step_is_eulers_on_the_networks_own_data() -> None:
    """x <- x + (t' - t) v(x, t), where the level of noise at t is (1 - t) S."""

    def velocity(x: Tensor, time: Tensor) -> Tensor:
        return torch.sin(3 * x) + x.roll(1, 3) / 2

    found, x = denoiser(velocity), images()
    expected, ladder = 2 * x - 1, [0.15, 0.1, 0.05]
    for s, r in ((0.15, 0.1), (0.1, 0.05)):
        expected = expected + (s - r) / 0.3 * velocity(expected, torch.zeros(3, 1, 1, 1))
    assert torch.allclose(2 * samplers.ddim(found, x, ladder, None) - 1, expected)


@pytest.mark.parametrize("data_range", RANGES)
def test_its_loss_is_flow_matchings_and_zero_for_the_true_field(data_range: tuple) -> None:
    clean, noise, places = images(), step_noise(1, range(3), [0] * 3, images())(0), torch.tensor([0.1, 0.5, 0.99])
    true = denoiser(lambda x, time: -0.6 * noise, data_range)
    assert true.loss(clean, places, noise, true.schedule.highest).abs().max() < 1e-12
    width = data_range[1] - data_range[0]
    seen = []
    other = denoiser(lambda x, time: seen.append((x, time)) or 0 * x, data_range)
    loss = other.loss(clean, places, noise, other.schedule.highest)
    assert torch.allclose(loss, (0.6 * noise).square().mean((1, 2, 3)))
    (state, time) = seen[0]
    share = ((time + 1) / 1000).double()
    start = data_range[0] + width * clean + 0.6 * noise
    assert torch.allclose(state, share * start + (1 - share) * (data_range[0] + width * clean))


def study(prediction: str) -> dict:
    return {
        "study": "s",
        "images": {"source": "phantom", "size": 16, "train": 16, "validation": 16},
        "classifiers": {"net": {"network": "timm/resnet18", "epochs": 1}},
        "diffusions": {"unet": {"channels": [32], "steps": 1, "schedule": "flow", "prediction": prediction}},
        "purifiers": {"flow": SPEC.model_dump()},
        "evaluation": {"images": 8, "draws": 2, "batch_size": 4},
    }


def test_the_purifier_wants_a_diffusion_that_predicts_a_flow() -> None:
    assert parse_study(study("flow"), "s.yaml").purifiers["flow"].steps == 9
    with pytest.raises(AssayError, match="flow follows a diffusion of prediction: flow, and 'unet' predicts epsilon"):
        parse_study(study("epsilon"), "s.yaml")
