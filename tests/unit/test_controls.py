"""The cheap controls: JPEG, the median filter and non-local means, each against an independent implementation."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage
from torch import Tensor

from assay.evaluation.checks.probed import stand_in
from assay.files import AssayError
from assay.inputs import Inputs
from assay.noise import step_noise
from assay.planning.cells import defends
from assay.purifiers import jpeg
from assay.purifiers.median import medians
from assay.purifiers.nonlocal_means import nonlocal_means
from assay.purifiers.purifier import build_purifier
from assay.study.parse import parse_study
from assay.study.purifiers import JpegPurifier, MedianPurifier, NonlocalMeansPurifier, Purifier

CONTROLS = [
    JpegPurifier(method="jpeg"),
    MedianPurifier(method="median"),
    NonlocalMeansPurifier(method="nonlocal_means", window=5, patch=3),
]
EXACT = CONTROLS[1:]
NAMES = [control.method for control in CONTROLS]


def images(height: int = 12, width: int = 10) -> Tensor:
    """Smooth images on the 8-bit grid, so that no two ways of rounding a pixel differ."""
    values = np.random.default_rng(0).random((2, 3, height, width))
    smooth = ndimage.gaussian_filter(values, (0, 0, 2, 2))
    return torch.from_numpy(np.round(255 * (0.5 + 0.15 * (smooth - smooth.mean()) / smooth.std())) / 255).clamp(0, 1)


def purified(control: Purifier, x: Tensor, draw: int = 0) -> Tensor:
    return build_purifier(control, Inputs({}))(x, step_noise(0, range(len(x)), [draw] * len(x), x))


def study(**purifiers: dict) -> dict:
    return {
        "study": "s",
        "images": {"source": "phantom", "size": 16, "train": 16, "validation": 16},
        "classifiers": {"net": {"network": "timm/resnet18", "epochs": 1}},
        "purifiers": purifiers,
        "attacks": {"pgd": {"method": "pgd", "eps": [0.1], "threat": "adaptive"}},
        "evaluation": {"images": 8, "draws": 2, "batch_size": 4},
    }


@pytest.mark.parametrize("control", CONTROLS, ids=NAMES)
def test_a_control_changes_an_image_the_same_way_every_time_without_noise(control: Purifier) -> None:
    x = images()
    found = purified(control, x)
    assert found.shape == x.shape
    assert found.dtype == x.dtype
    assert 0 <= found.min() <= found.max() <= 1
    assert not torch.equal(found, x)
    assert torch.equal(found, purified(control, x, draw=1))


@pytest.mark.parametrize("control", CONTROLS, ids=NAMES)
def test_with_a_sigma_noise_comes_first(control: Purifier) -> None:
    x = images()
    noise = step_noise(0, range(2), [0, 0], x)(0)
    noisy = control.at(0.05)
    if isinstance(control, NonlocalMeansPurifier):
        expected = nonlocal_means(x + 0.05 * noise, control.patch, control.window, control.strength, 0.05).clamp(0, 1)
    else:
        expected = purified(control, x + 0.05 * noise)
    assert torch.equal(purified(noisy, x), expected)
    assert not torch.equal(purified(noisy, x), purified(noisy, x, draw=1))


@pytest.mark.parametrize("quality", [10, 49, 75, 100])
def test_jpeg_is_what_a_file_of_that_quality_holds(quality: int) -> None:
    x = images()
    for image, found in zip(x, jpeg.compress(x, quality), strict=True):
        file = io.BytesIO()
        Image.fromarray((255 * image).byte().permute(1, 2, 0).numpy()).save(file, "JPEG", quality=quality)
        read = Image.open(file)
        assert torch.equal(found, torch.from_numpy(np.array(read)).permute(2, 0, 1).double() / 255)
        for number, base in enumerate((jpeg.BRIGHTNESS, jpeg.COLOUR)):
            assert read.quantization[number] == jpeg.quantisation(base, quality).flatten().tolist()


@pytest.mark.parametrize("quality", [50, 75])
def test_the_differentiable_jpeg_with_true_rounding_is_the_codec(quality: int) -> None:
    """Up to the codec's arithmetic in whole grey levels; a grey image shows brightness alone."""
    colour = images(41, 52)
    for x, mean in ((colour[:, :1].repeat(1, 3, 1, 1), 0.5), (colour, 1.5)):
        error = 255 * (jpeg.differentiable(x, quality, torch.round) - jpeg.codec(x, quality)).abs()
        assert error.mean() < mean
        assert error.mean() < 0.4 * 255 * (x - jpeg.codec(x, quality)).abs().mean()


def test_the_gradient_of_jpeg_is_that_of_the_differentiable_one() -> None:
    x = images()
    weights = torch.linspace(-1, 1, x.numel(), dtype=x.dtype).view(x.shape)
    h, direction = 1e-6, torch.randn(x.shape, generator=torch.Generator().manual_seed(1), dtype=x.dtype)

    def value(x: Tensor) -> Tensor:
        return (weights * jpeg.differentiable(x, 60, jpeg.soft_round)).sum()

    leaf = x.clone().requires_grad_()
    (found,) = torch.autograd.grad((weights * jpeg.compress(leaf, 60)).sum(), leaf)
    slope = (value(x + h * direction) - value(x - h * direction)).item() / (2 * h)
    assert slope == pytest.approx((found * direction).sum().item(), rel=1e-5)


@pytest.mark.parametrize("window", [1, 3, 5])
def test_the_median_filter_is_scipys(window: int) -> None:
    x = images()
    expected = ndimage.median_filter(x.numpy(), size=(1, 1, window, window), mode="mirror")
    assert np.array_equal(medians(x, window).numpy(), expected)


def test_nonlocal_means_is_its_definition() -> None:
    patch, window, strength, sigma = 3, 5, 0.1, 0.03
    x = images(6, 7)
    expected = np.stack([by_definition(image.numpy(), patch, window, strength, sigma) for image in x])
    assert np.allclose(nonlocal_means(x, patch, window, strength, sigma).numpy(), expected, atol=1e-12)


def by_definition(image: np.ndarray, patch: int, window: int, strength: float, sigma: float) -> np.ndarray:
    """Pixel by pixel."""
    reach, half = window // 2, patch // 2
    edge = reach + half
    padded = np.pad(image, [(0, 0), (edge, edge), (edge, edge)], mode="reflect")

    def around(row: int, column: int, by: int) -> np.ndarray:
        return padded[:, edge + row - by : edge + row + by + 1, edge + column - by : edge + column + by + 1]

    out = np.empty_like(image)
    for row in range(image.shape[1]):
        for column in range(image.shape[2]):
            weights, values = [], []
            for other_row in range(row - reach, row + reach + 1):
                for other_column in range(column - reach, column + reach + 1):
                    distance = np.mean((around(row, column, half) - around(other_row, other_column, half)) ** 2)
                    weights.append(np.exp(-max(distance - 2 * sigma**2, 0) / strength**2))
                    values.append(around(other_row, other_column, 0)[:, 0, 0])
            out[:, row, column] = np.average(values, axis=0, weights=weights)
    return out


def test_nonlocal_means_removes_noise_from_a_flat_image() -> None:
    flat = torch.full((1, 3, 32, 32), 0.5, dtype=torch.float64)
    noisy = flat + 0.05 * step_noise(0, [0], [0], flat)(0)
    left = (nonlocal_means(noisy, 5, 11, 0.05, 0.05) - flat).square().mean().sqrt()
    assert left < 0.05 / 8, "the mean of 121 pixels has an eleventh of the noise"


@pytest.mark.parametrize("control", EXACT, ids=NAMES[1:])
def test_the_gradient_of_a_filter_equals_finite_differences(control: Purifier) -> None:
    x = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weights = torch.linspace(-1, 1, x.numel(), dtype=x.dtype).view(x.shape)

    def value(x: Tensor) -> Tensor:
        return (weights * purified(control.at(0.03), x)).sum()

    leaf = x.clone().requires_grad_()
    (exact,) = torch.autograd.grad(value(leaf), leaf)
    h, direction = 1e-7, torch.randn(x.shape, generator=torch.Generator().manual_seed(1), dtype=x.dtype)
    slope = (value(x + h * direction) - value(x - h * direction)).item() / (2 * h)
    assert slope == pytest.approx((exact * direction).sum().item(), rel=1e-5)


def test_a_control_without_noise_is_a_defence_and_a_diffusion_without_noise_is_none() -> None:
    found = parse_study(study(squeeze={"method": "median"}, noise={"method": "noise", "sigmas": [0, 0.1]}), "s.yaml")
    assert [defends(found, *cell) for cell in (("squeeze", 0.0), ("noise", 0.0), ("noise", 0.1), ("none", 0.0))] == [
        *(True, False, True, False),
    ]


def test_the_gradient_of_jpeg_is_declared_a_stand_in_and_no_others() -> None:
    attack = parse_study(study(jpeg={"method": "jpeg"}), "s.yaml").attacks["pgd"]
    assert stand_in(attack, CONTROLS[0]) == (
        "The purifier's gradient is a stand-in for its own, by design: it is judged by what the attack leaves."
    )
    assert [stand_in(attack, control) for control in [*EXACT, None]] == [None] * 3


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"method": "median", "window": 4}, "window: 4 is even"),
        ({"method": "median", "window": 33}, "window: the filter reaches 16 pixels beyond each pixel"),
        ({"method": "nonlocal_means", "window": 31, "patch": 3}, "window: the filter reaches 16 pixels"),
        ({"method": "jpeg", "quality": 0}, "quality"),
    ],
)
def test_a_window_that_does_not_fit_is_refused_in_one_line(keys: dict, said: str) -> None:
    with pytest.raises(AssayError, match=said) as caught:
        parse_study(study(control=keys), "s.yaml")
    assert len(str(caught.value).splitlines()) == 1
