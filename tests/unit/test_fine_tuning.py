"""Objectives that go on from a trained diffusion along a classifier: ADDT, ADBM and joint training."""

import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from assay.diffusion.denoiser import Denoiser, load_denoiser
from assay.diffusion.schedule import Schedule
from assay.evaluation.checks import controls
from assay.evaluation.checks.finding import FAIL, PASS, WARN
from assay.files import AssayError
from assay.inputs import Inputs
from assay.manifests import read_manifest
from assay.modules import build
from assay.noise import derive_seed, step_noise
from assay.planning.jobs import Jobs
from assay.stacks import read_stack
from assay.study.diffusions import CHANGE
from assay.study.objectives import AdbmObjective, AddtObjective, DenoisingObjective, JointObjective
from assay.study.parse import parse_study
from assay.training.objective import Batch, Objective
from assay.training.objectives.addt import by_norm, by_ranks
from trainings import prepare, train

SIDE, COUNT, TOP = 8, 6, 0.4


class Output(SimpleNamespace):
    pass


class Network(nn.Module):
    """A small network of a U-Net's calling shape, whose output depends on image and time."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.mix = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x: Tensor, time: Tensor) -> Output:
        return Output(sample=torch.tanh(self.mix(x)) + 0.1 * torch.sin(time / 50).view(-1, 1, 1, 1).to(x))


class Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.layer = nn.Linear(3 * SIDE**2, 2).requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        return 5 * self.layer(x.flatten(1))


def objective(spec: object, prediction: str = "epsilon") -> Objective:
    inputs = SimpleNamespace(classifier=lambda role: Classifier())
    denoiser = Denoiser(Network(), Schedule("linear", 1000), prediction)
    return build(spec, SimpleNamespace(network=denoiser, inputs=inputs, seed=0, held_out=None))


def batch(step: int = 3, rows: slice = slice(None)) -> Batch:
    images = torch.rand(COUNT, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(2))
    labels = torch.arange(COUNT) % 2
    return Batch(images[rows], labels[rows], torch.arange(COUNT)[rows], step, 0.0, 0)


GUIDE = {"guide": "net", "max_sigma": TOP}
SPECS = {
    **{shape: AddtObjective(method="addt", shape=shape, **GUIDE) for shape in ("ranks", "norm", "linf")},
    "denoising's": AddtObjective(method="addt", loss="denoising", **GUIDE),
    "adbm": AdbmObjective(method="adbm", **GUIDE),
    "joint": JointObjective(method="joint", **GUIDE),
    "stability": JointObjective(method="joint", target="prediction", weight=1, **GUIDE),
}
NOTHING = {
    "ranks": {"strength": 0},
    "norm": {"strength": 0},
    "linf": {"eps": 0},
    "denoising's": {"strength": 0},
    "joint": {"weight": 0},
    "stability": {"weight": 0},
}


@pytest.mark.parametrize("prediction", ["epsilon", "v", "x0"])
@pytest.mark.parametrize("name", NOTHING)
def test_without_a_perturbation_the_loss_is_the_denoising_loss(name: str, prediction: str) -> None:
    plain = objective(DenoisingObjective(method="denoising", max_sigma=TOP), prediction)
    nothing = objective(SPECS[name].model_copy(update=NOTHING[name]), prediction)
    assert torch.equal(nothing(batch()), plain(batch()))
    assert not torch.equal(objective(SPECS[name], prediction)(batch()), plain(batch()))


def test_without_a_perturbation_adbms_loss_is_the_denoising_loss_up_to_where_the_bridge_begins() -> None:
    nothing = objective(SPECS["adbm"].model_copy(update={"eps": 0.0}))
    plain = objective(DenoisingObjective(method="denoising", max_sigma=nothing.start(batch())))
    assert torch.equal(nothing(batch()), plain(batch()))
    assert not torch.equal(objective(SPECS["adbm"])(batch()), plain(batch()))


@pytest.mark.parametrize("name", SPECS)
def test_the_loss_is_a_function_of_seed_step_and_place_and_trains_the_denoiser_alone(name: str) -> None:
    found = objective(SPECS[name])
    whole = found(batch())
    parts = [found(batch(rows=rows)) for rows in (slice(0, 2), slice(2, 6))]
    assert (2 * parts[0] + 4 * parts[1]).item() / 6 == pytest.approx(whole.item(), rel=1e-5)
    assert not torch.equal(whole, found(batch(step=4)))
    whole.backward()
    assert {key.split(".")[0] for key, _ in found.named_parameters()} == {"denoiser"}
    assert all(parameter.grad.abs().max() > 0 for parameter in found.parameters())
    assert all(parameter.grad is None for parameter in found.guide[0].parameters())


def test_rbgm_gives_a_permutation_of_the_draws_with_the_gradients_ranks() -> None:
    generator = torch.Generator().manual_seed(0)
    gradient, draws = (torch.randn(2, 3, 5, 7, generator=generator) for _ in range(2))
    found = by_ranks(gradient**3, draws)
    for image in range(2):
        for channel in range(3):
            mapped, wanted, drawn = (part[image, channel].flatten() for part in (found, gradient, draws))
            assert torch.equal(mapped.sort().values, drawn.sort().values)
            assert torch.equal(mapped.argsort(), wanted.argsort())


def test_a_normed_gradient_has_the_size_of_noise_and_its_own_direction() -> None:
    gradient = torch.randn(2, 3, 5, 7, generator=torch.Generator().manual_seed(0)) * 1e-4
    found = by_norm(gradient)
    assert torch.allclose(found.square().mean((1, 2, 3)), torch.ones(2))
    assert torch.allclose(torch.cosine_similarity(found.flatten(1), gradient.flatten(1)), torch.ones(2))


def test_the_share_of_the_perturbation_is_addts() -> None:
    """lambda = clip(.03 sqrt(abar / (1 - abar)), 0, .3) of the paper's code, on data in [-1, 1]."""
    addt = objective(SPECS["ranks"])
    places = torch.linspace(0, 0.99, COUNT)
    time = (places.double() * (addt.denoiser.schedule.last_step(TOP) + 1)).long()
    abar = torch.from_numpy(addt.denoiser.schedule.abar)[time]
    share = (0.03 * (abar / (1 - abar)).sqrt()).clamp(0, 0.3)
    one, zero = torch.ones(COUNT, 3, 2, 2), torch.zeros(COUNT, 3, 2, 2)
    assert torch.allclose(addt.mixed(one, zero, places)[:, 0, 0, 0].double(), share, atol=1e-6)
    assert torch.allclose(addt.mixed(zero, one, places)[:, 0, 0, 0].double(), (1 - share**2).sqrt(), atol=1e-6)


def test_in_the_ball_the_perturbation_moves_the_noised_image_by_itself() -> None:
    linf = objective(SPECS["linf"])
    places = torch.full((COUNT,), 0.7)
    sigma = linf.denoiser.level(places, TOP)[0].item()
    moved = sigma * linf.mixed(torch.full((COUNT, 3, 2, 2), 0.02), torch.zeros(COUNT, 3, 2, 2), places)
    assert torch.allclose(moved, torch.full_like(moved, 0.02))
    found = linf.perturbation(batch(), places)
    assert found.abs().max() == pytest.approx(8 / 255)


@pytest.mark.parametrize("name", ["ranks", "norm", "linf", "adbm"])
def test_the_perturbation_makes_the_classifier_err_more(name: str) -> None:
    """More than noise of the same law does, on the same levels and fresh noise."""
    found, places = objective(SPECS[name]), torch.full((COUNT,), 0.9)
    fresh = batch(5).normal("fresh", 3, SIDE, SIDE)
    if name == "adbm":
        perturbation = found.perturbation(batch(), places, fresh, TOP)
        assert perturbation.abs().max() <= 8 / 255 + 1e-6
        assert 0 <= (batch().images + perturbation).min() <= (batch().images + perturbation).max() <= 1
        noises = [found.bridge(scale * perturbation, fresh, places, TOP) for scale in (1, 0)]
        judge = objective(SPECS["ranks"])
    else:
        perturbation = found.perturbation(batch(), places)
        other = torch.zeros_like(perturbation) if name == "linf" else batch(6).normal("other", 3, SIDE, SIDE)
        noises = [found.mixed(part, fresh, places) for part in (perturbation, other)]
        judge = found
    harmful, harmless = (judge.harm(batch(), noise, places).item() for noise in noises)
    assert harmful > harmless


def test_the_bridge_is_the_papers_at_every_level() -> None:
    """Input and target of algorithm 1 of the paper's code, on data in [-1, 1]; at its start and towards its end."""
    adbm, start_step = objective(SPECS["adbm"]), 150
    schedule = adbm.denoiser.schedule
    start = float(schedule.sigmas[start_step])
    generator = torch.Generator().manual_seed(0)
    x0, perturbation, noise = (torch.randn(151, 3, 2, 2, generator=generator).double() for _ in range(3))
    places = (torch.arange(151) + 0.5) / 151
    n = adbm.bridge(perturbation, noise, places, start)
    abar = torch.from_numpy(schedule.abar)[:151].view(-1, 1, 1, 1)
    last, adversarial = abar[start_step], 2 * perturbation  # on data in [-1, 1]
    target = noise + adversarial * last * (1 - abar).sqrt() / ((1 - last) * abar.sqrt())
    assert torch.allclose(n, target)
    state = abar.sqrt() * (2 * x0 - 1) + (1 - abar).sqrt() * n
    published = abar.sqrt() * (2 * x0 - 1) + (1 - abar).sqrt() * noise
    published = published + adversarial * last * (1 - abar) / ((1 - last) * abar.sqrt())
    assert torch.allclose(state, published)
    first = abar[start_step].sqrt() * (2 * (x0 + perturbation) - 1) + (1 - abar[start_step]).sqrt() * noise
    assert torch.allclose(state[start_step], first[start_step]), "it begins at the noised adversarial image"
    assert torch.allclose((state - (1 - abar).sqrt() * n) / abar.sqrt(), 2 * x0 - 1), "and leads to the clean one"
    left = (state - abar.sqrt() * (2 * x0 - 1) - (1 - abar).sqrt() * noise)[0].abs().max()
    assert left < 1e-2 * adversarial.abs().max(), "of the perturbation nothing is left at the end"


def test_the_bridge_begins_between_its_sigmas() -> None:
    adbm = objective(SPECS["adbm"])
    starts = [adbm.start(batch(step)) for step in range(200)]
    low, high = (adbm.denoiser.schedule.last_step(sigma) for sigma in (0.171, TOP))
    sigmas = adbm.denoiser.schedule.sigmas
    assert sigmas[low] <= min(starts) < 1.2 * sigmas[low]
    assert 0.9 * sigmas[high] < max(starts) <= sigmas[high]


def test_joint_adds_the_classifiers_loss() -> None:
    plain = objective(DenoisingObjective(method="denoising", max_sigma=TOP))(batch())
    one, two = (objective(SPECS["joint"].model_copy(update={"weight": weight}))(batch()) for weight in (1.0, 2.0))
    assert (two - plain).item() == pytest.approx(2 * (one - plain).item(), rel=1e-4)
    assert one > plain


def test_joint_training_says_how_often_the_classifier_answers_as_on_clean_images(tmp_path: Path) -> None:
    prepared = prepare(tmp_path)
    needs = {"guide": tmp_path / "guide", "start": tmp_path / "start"}
    train("classifier", prepared, needs["guide"])
    train("diffusion", prepared, needs["start"])
    keys = {"objective": {"method": "joint", "guide": "net", "max_sigma": 0.3}, "start": "plain"}
    train("diffusion", prepared, tmp_path / "tuned", needs=needs, **keys)
    inputs = Inputs(needs).on(torch.device("cpu"))
    denoiser, guide = load_denoiser(tmp_path / "tuned", inputs.device), inputs.classifier("guide")
    clean = torch.from_numpy(read_stack(prepared / "validation").pixels())
    noise = step_noise(derive_seed(0, "agreement"), range(len(clean)), [0] * len(clean), clean)(0)
    denoised = denoiser(clean + 0.3 * noise, 0.3).clamp(0, 1)
    share = (guide(denoised).argmax(1) == guide(clean).argmax(1)).double().mean().item()
    assert read_manifest(tmp_path / "tuned")["facts"]["validation_agreement"] == pytest.approx(share)


def test_a_fine_tuned_diffusion_says_how_far_it_is_from_its_start(tmp_path: Path) -> None:
    prepared = prepare(tmp_path)
    needs = {"guide": tmp_path / "guide", "start": tmp_path / "start"}
    train("classifier", prepared, needs["guide"])
    train("diffusion", prepared, needs["start"])
    keys = {"objective": {"method": "addt", "guide": "net", "max_sigma": 0.3, "iterations": 1}, "start": "plain"}
    for rate, statuses in ((1e-2, (PASS, WARN)), (1e-12, (FAIL,))):
        results = tmp_path / str(rate)
        train("diffusion", prepared, results / "diffusions/tuned", needs=needs, learning_rate=rate, **keys)
        facts = read_manifest(results / "diffusions/tuned")["facts"]
        assert math.isfinite(facts["validation_loss"])
        evidence = SimpleNamespace(study=parse_study(study(objective=keys["objective"]), "s.yaml"), results=results)
        (found,) = controls.fine_tuning(evidence)
        assert found.status in statuses
        assert found.number == 255 * facts[CHANGE]
        assert found.subjects == ["scores/net/clean/ddpm/sigma-0.1"]


def study(**keys: object) -> dict:
    unet = {"channels": [8], "norm_groups": 4, "middle_attention": False, "steps": 1}
    return {
        "study": "s",
        "images": {"source": "phantom", "size": 16, "train": 16, "validation": 16},
        "classifiers": {"net": {"network": "timm/resnet18", "epochs": 1}},
        "diffusions": {"plain": unet, "tuned": {**unet, "start": "plain", **keys}},
        "purifiers": {"ddpm": {"method": "ddpm", "diffusion": "tuned", "sigmas": [0.1], "steps": 2}},
        "evaluation": {"images": 8, "draws": 2, "batch_size": 4},
    }


def test_the_guide_is_made_first_and_the_checks_read_what_changed() -> None:
    made = parse_study(study(objective={"method": "addt", "guide": "net"}), "s.yaml")
    jobs = Jobs(made)
    assert set(jobs.train_diffusion("tuned").inputs) == {"train", "validation", "guide", "start"}
    assert list(jobs.check().each["diffusions"]) == ["tuned"]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"objective": {"method": "addt"}}, "diffusions.tuned.objective.guide"),
        ({"objective": {"method": "joint", "guide": "nte"}}, "did you mean 'net'"),
        ({"objective": {"method": "addt", "guide": "net"}, "start": None}, "goes on from a trained diffusion"),
        ({"objective": {"method": "adbm", "guide": "net", "min_sigma": 0.5}}, "min_sigma: 0.5 is above max_sigma"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(keys: dict, said: str) -> None:
    with pytest.raises(AssayError, match=said) as caught:
        parse_study(study(**keys), "s.yaml")
    assert len(str(caught.value).splitlines()) == 1
