"""`assay.evaluate` and `assay.Study`: any network and any purifier, in memory, and what was found as arrays."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import assay
from assay.entry.behaviour import as_function, behaviour_of
from assay.entry.config import usual_attacks
from assay.files import AssayError
from assay.noise import step_noise

IMAGES, SIDE, LEVEL = 6, 16, 0.05
EPS = 8 / 255
ROOT = Path(__file__).parents[2]


def given(x: Tensor, noise: Callable[[int], Tensor]) -> Tensor:
    return (x + LEVEL * noise(0)).clamp(0, 1)


def replaced(x: Tensor) -> Tensor:
    return (x + LEVEL * torch.randn_like(x) + 0.01 * torch.rand(x.shape, device=x.device)).clamp(0, 1)


def own(x: Tensor) -> Tensor:
    return x.roll(int(torch.randint(0, SIDE, ())), dims=3)


def none(x: Tensor) -> Tensor:
    return nn.functional.avg_pool2d(x, 3, stride=1, padding=1)


class Denoiser(nn.Module):
    """A module that draws its noise by itself, with an option that is no noise."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor, steps: int = 2) -> Tensor:
        for _ in range(steps):
            x = x + self.scale * LEVEL * torch.randn(len(x), 3, SIDE, SIDE)
        return x.clamp(0, 1)


def classifier() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3))


@pytest.fixture(scope="module")
def data() -> tuple[Tensor, Tensor]:
    """Random images on the grid of 8 bits, and the classifier's own answers."""
    images = torch.randint(0, 256, (IMAGES, 3, SIDE, SIDE), generator=torch.Generator().manual_seed(1)) / 255
    return images, classifier()(images).argmax(1)


@pytest.fixture(scope="module")
def result(data: tuple[Tensor, Tensor]) -> assay.Study:
    return assay.evaluate(classifier(), *data, Denoiser(), preset="quick", sigma=LEVEL, checks={}, draws=2)


def test_importing_assay_imports_nothing_heavy() -> None:
    code = "import sys, assay; sys.exit(bool({'torch', 'pandas', 'numpy', 'pydantic'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        assay.nothing  # noqa: B018


# purifiers of any form


@pytest.mark.parametrize(
    ("purify", "randomness"),
    [(given, "given"), (replaced, "replaced"), (Denoiser(), "replaced"), (own, "own"), (none, "none")],
)
def test_where_a_purifiers_noise_comes_from_is_found(purify, randomness: str, data: tuple[Tensor, Tensor]) -> None:
    found = behaviour_of(*as_function(purify), data[0][:2])
    assert (found.randomness, found.differentiable) == (randomness, True)


def test_answered_noise_is_that_of_the_image_its_draw_and_the_call(data: tuple[Tensor, Tensor]) -> None:
    images, _ = data
    run, takes_noise = as_function(Denoiser().requires_grad_(False))
    assert not takes_noise
    noise = step_noise(7, [5, 6, 9], [0, 1, 1], images[:3])
    expected = (images[:3] + LEVEL * noise(0) + LEVEL * noise(1)).clamp(0, 1)
    assert torch.allclose(run(images[:3], noise), expected, atol=1e-6)
    before = torch.get_rng_state()
    alone = run(images[1:2], step_noise(7, [6], [1], images[1:2]))
    assert torch.allclose(alone, expected[1:2], atol=1e-6)
    assert torch.equal(torch.get_rng_state(), before)


def test_what_cannot_be_answered_is_repeatable_all_the_same(data: tuple[Tensor, Tensor]) -> None:
    run, _ = as_function(own)
    noise = step_noise(7, [5, 6], [0, 1], data[0][:2])
    assert torch.equal(run(data[0][:2], noise), run(data[0][:2], noise))


@pytest.mark.parametrize(
    ("purify", "threats"),
    [
        (given, {"transfer", "bpda", "adaptive", "locked"}),
        (own, {"transfer", "bpda", "adaptive"}),
        (none, {"transfer", "bpda", "adaptive"}),
        (lambda x: replaced(x.detach()), {"transfer", "bpda"}),
    ],
)
def test_a_purifier_is_attacked_as_far_as_it_can_be(purify, threats: set[str], data: tuple[Tensor, Tensor]) -> None:
    found = usual_attacks([EPS, 2 * EPS], "quick", behaviour_of(*as_function(purify), data[0][:2]))
    assert {attack["threat"] for attack in found.values()} == threats
    assert all(attack["eps"] == [EPS, 2 * EPS] for attack in found.values())
    assert (found["pgd-bpda"].get("draws") == 1) == (purify is none)


@pytest.mark.parametrize(
    ("purify", "threats"), [(lambda x: none(x.detach()), {"transfer", "bpda"}), (None, {"transfer"})]
)
def test_what_is_deterministic_is_asked_once(purify, threats: set[str], data: tuple[Tensor, Tensor]) -> None:
    found = assay.evaluate(classifier(), *data, purify, preset="quick", checks={}, draws=2, batch_size=3)
    assert set(found.table["threat"]) == threats | {"none"}
    assert found.summary["draws"].max() == 1
    assert (purify is None) == ("No gradient flows through it" not in repr(found))


# what comes out


def test_every_threat_is_measured_and_told(result: assay.Study) -> None:
    assert list(result.table["threat"].unique()) == ["none", "transfer", "bpda", "adaptive", "locked"]
    assert result.purifier.randomness == "replaced"
    assert "were answered with Assay's noise" in repr(result)
    assert "Checks: " in repr(result)
    assert result.table["accuracy"].between(0, 1).all()


def test_results_do_not_depend_on_the_batch(result: assay.Study, data: tuple[Tensor, Tensor]) -> None:
    attacks = {"pgd": {"method": "pgd", "eps": [EPS], "preset": "quick"}}
    again = assay.evaluate(
        classifier(), *data, Denoiser(), attacks=attacks, sigma=LEVEL, checks={}, draws=2, batch_size=4
    )
    for keys in ({"attack": "none"}, {"attack": "pgd"}):
        ours, theirs = (found.scores(defence="purify", **keys).logits for found in (result, again))
        assert np.allclose(ours, theirs, atol=1e-4)


def test_networks_are_given_back_as_they_were(data: tuple[Tensor, Tensor]) -> None:
    network, purify = classifier().train(), Denoiser().train()
    network[0].eval()
    network[0].requires_grad_(False)
    weights = [values.clone() for values in network.parameters()]
    assay.evaluate(network, *data, purify, preset="quick", checks={}, draws=1, attacks={})
    assert [module.training for module in network] == [False, True, True, True, True]
    assert [values.requires_grad for values in network.parameters()] == [False, False, True, True]
    assert (purify.training, purify.scale.requires_grad) == (True, True)
    assert all(torch.equal(*pair) for pair in zip(weights, network.parameters(), strict=True))


def test_scores_and_images_are_arrays(result: assay.Study, data: tuple[Tensor, Tensor]) -> None:
    scores = result.scores(attack="pgd-adaptive")
    assert scores.logits.shape == (IMAGES, 2, 3)
    assert scores.labels.tolist() == data[1].tolist()
    assert np.array_equal(result.images.pixels(), data[0].numpy())
    attacked = result.adversarial(attack="pgd-adaptive").pixels()
    assert np.abs(attacked - data[0].numpy()).max() <= EPS + 1e-6
    assert result.stack(attack="pgd-adaptive").images.shape == (IMAGES * 2, SIDE, SIDE, 3)
    bare = {"attack": "pgd", "defence": "none"}
    assert np.array_equal(result.stack(**bare).pixels(), result.adversarial(**bare).pixels())
    with pytest.raises(AssayError, match=r"2 cells have .*; give defence, sigma too"):
        result.scores(attack="pgd")
    with pytest.raises(AssayError, match="colour: is nothing that tells cells apart"):
        result.scores(colour="red")


def test_the_report_and_the_figure_show_every_cell(result: assay.Study, tmp_path: Path) -> None:
    result.save_report(tmp_path / "report.html")
    assert "pgd-locked" in (tmp_path / "report.html").read_text()
    (axes,) = result.figure().axes
    assert len(axes.get_yticklabels()) == len(result.table)


def test_a_folder_keeps_what_was_found(data: tuple[Tensor, Tensor], tmp_path: Path) -> None:
    images = (255 * data[0]).round().byte().permute(0, 2, 3, 1).numpy()
    assay.evaluate(classifier(), images, data[1], attacks={}, folder=tmp_path / "kept", classes=["a", "b", "c"])
    kept = assay.Study(tmp_path / "kept")
    assert (kept.config.images.classes, kept.cell(attack="none")["accuracy"]) == (("a", "b", "c"), 1)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"images": torch.zeros(4, 1, 16, 16)}, r"images: are \(4, 1, 16, 16\); give"),
        ({"images": torch.zeros(4, 3, 16, 18)}, "images: 4 of 16 x 18 pixels; give two or more, square"),
        ({"images": 255 * torch.ones(4, 3, 16, 16)}, r"images: are float32 from 255 to 255; give floats in \[0, 1\]"),
        ({"labels": [0, 1]}, "labels: give 6, one per image, from 0 to 2"),
        ({"labels": [0, 1, 2, 3, 0, 1]}, "labels: give 6, one per image, from 0 to 2"),
        ({"classifier": nn.Identity()}, r"classifier: gives \(2, 3, 16, 16\) for 2 images; return logits"),
        ({"purify": lambda x: x[:, :1]}, r"purify: gives \(2, 1, 16, 16\) for images \(2, 3, 16, 16\)"),
        ({"classes": ["a", "b"]}, "classes: 2 names, but the classifier has 3 outputs"),
        ({"ids": ["a"] * 6}, "ids: 1 different ids for 6 images"),
        ({"attacks": {"pgd": {"method": "pgd", "eps": [9]}}}, "assay.evaluate: attacks.pgd.eps: 9 lies outside"),
        ({"folder": "."}, "folder: .* is not an empty folder"),
    ],
)
def test_what_cannot_be_evaluated_is_one_clear_line(changed: dict, message: str, data: tuple[Tensor, Tensor]) -> None:
    arguments = {"classifier": classifier(), "images": data[0], "labels": data[1], "purify": given} | changed
    with pytest.raises(AssayError, match=message) as error:
        assay.evaluate(**arguments)
    assert "\n" not in str(error.value)


def test_a_folder_without_a_study_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(AssayError, match=r"has no summary\.csv; name the folder of a finished study"):
        assay.Study(tmp_path)


def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cells = json.loads((ROOT / "examples/evaluate.ipynb").read_text())["cells"]
    names: dict[str, object] = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
    assert names["result"].purifier.randomness == "replaced"
    assert (tmp_path / "report.html").is_file()
