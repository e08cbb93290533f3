"""Probes measure what is so: victims whose faults are known show them, sound ones do not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from assay.artifacts import Wanted
from assay.attacks.attack import attack_stack
from assay.attacks.methods.geometry import length
from assay.attacks.threats.defended import Expected
from assay.attacks.threats.transfer import Bare
from assay.attacks.threats.victim import Query, Victim
from assay.defended import Defended
from assay.evaluation.checks import probed
from assay.evaluation.probes.active import corner, pattern, probe_active
from assay.evaluation.probes.convergence import probe_convergence, twice_the_draws, twice_the_steps
from assay.evaluation.probes.gradients import probe_gradients
from assay.evaluation.probes.probe import probe_attack
from assay.evaluation.probes.sample import Sample, take
from assay.evaluation.spread import spread
from assay.inputs import Inputs
from assay.networks.classifier import Normalised, build_classifier, write_classifier
from assay.stacks import read_stack
from assay.study.attacks import AttackSpec, FgsmAttack, PgdAttack
from assay.study.classifiers import Classifier
from assay.study.probing import ProbeSpec
from stack_files import write_stack

ROOT = Path(__file__).parents[2]
EPS = 8 / 255
COUNT, SIDE = 12, 12
CLASSES = ["benign", "malignant"]
PGD = PgdAttack(method="pgd", eps=[EPS], steps=10)
ADAPTIVE = PgdAttack(method="pgd", eps=[EPS], steps=10, threat="adaptive", draws=2)


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    layers = nn.Sequential(nn.Conv2d(3, 16, 3), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(16 * 25, 32))
    layers.append(nn.Tanh()).append(nn.Linear(32, 2))
    return layers


def classifier(own: nn.Module | None = None) -> Normalised:
    model = Normalised(own or network(), (0.5,) * 3, (0.25,) * 3)
    return model.eval().requires_grad_(False)


def sample(model: nn.Module, eps: float = EPS) -> Sample:
    """Images that the classifier gets right, and their attacked ones by one exact step along the margin's gradient."""
    generator = torch.Generator().manual_seed(1)
    clean = torch.randint(60, 190, (COUNT, 3, SIDE, SIDE), generator=generator) / 255
    labels = model(clean).argmax(1)
    leaf = clean.clone().requires_grad_()
    logits = model(leaf)
    (logits.gather(1, 1 - labels[:, None]) - logits.gather(1, labels[:, None])).sum().backward()
    return Sample(clean, clean + eps * leaf.grad.sign(), labels, torch.arange(COUNT) + 1, 2)


def bare(own: nn.Module | None = None) -> Bare:
    return Bare(classifier(own)).eval()


def noisy(level: float, purify=lambda x: x) -> Expected:
    """A victim behind noise of some level."""
    defended = Defended(lambda x, noise: purify(x + level * noise(0)), classifier())
    return Expected(defended, defended, seed=1).eval()


# the sample


def test_the_sample_is_balanced_and_spread_over_the_stack() -> None:
    labels = np.array([0] * 30 + [1] * 10)
    rows = spread(labels, 8)
    assert labels[rows].tolist() == [0] * 4 + [1] * 4
    assert rows == [0, 10, 19, 29, 30, 33, 36, 39]
    assert spread(labels, 60) == [*sorted({round(i) for i in np.linspace(0, 29, 30)}), *range(30, 40)]
    many = np.arange(100) // 2
    assert many[spread(many, 3)].tolist() == [0, 24, 49]


# gradients


def test_a_sound_victims_gradients_have_nothing_wrong() -> None:
    victim = bare()
    found = probe_gradients(PGD, victim, sample(victim.classifier))
    assert found["zero_start"] == found["zero_end"] == found["not_finite_start"] == found["not_finite_end"] == 0
    assert found["along"] == 1
    assert found["random"] > 0.999
    assert found["halves"] == pytest.approx(1, abs=1e-6)
    assert found["rose"] == 1
    assert (found["replay"], found["training_modules"], found["probabilities"]) == (0, 0, 0)
    assert found["batch"] < 1e-5


def test_a_stochastic_victims_gradients_are_compared_under_the_same_noise() -> None:
    found = probe_gradients(ADAPTIVE, noisy(0.1), sample(classifier()))
    assert found["along"] == 1
    assert found["random"] > 0.99
    assert found["replay"] == 0
    assert found["batch"] < 1e-5


class Changed(Bare):
    """A victim with something put before or behind the classifier."""

    def __init__(self, before=lambda x: x, behind=lambda logits: logits) -> None:
        super().__init__(classifier())
        self.before, self.behind = before, behind
        self.eval()

    def forward(self, x: Tensor, keys: Tensor, query: Query) -> Tensor:
        return self.behind(self.classifier(self.before(x)))[:, None]


def rounded(x: Tensor) -> Tensor:
    return (8 * x).round() / 8


def straight_through(x: Tensor) -> Tensor:
    return x + (rounded(x) - x).detach()


def poisoned(x: Tensor) -> Tensor:
    """The square root of zero, whose slope is not finite, at one pixel."""
    return x + 0 * (x - x.detach()).sqrt()


def shattered(x: Tensor) -> Tensor:
    """A fine wave, whose slope says nothing of where the loss goes."""
    return x + 0.05 * torch.sin(1e6 * x)


def forgetful(x: Tensor) -> Tensor:
    """Noise that nobody can replay."""
    return x + 0.1 * torch.randn_like(x)


def of_its_batch(x: Tensor) -> Tensor:
    return x - x.mean(0, keepdim=True)


@pytest.mark.parametrize(
    ("victim", "key", "check"),
    [
        (Changed(before=rounded), "zero_start", "zero gradients at the start"),
        (Changed(before=rounded), "zero_end", "zero gradients at the end"),
        (Changed(before=torch.Tensor.detach), "zero_start", "zero gradients at the start"),
        (Changed(before=poisoned), "not_finite_start", "finite gradients at the start"),
        (Changed(before=poisoned), "not_finite_end", "finite gradients at the end"),
        (Changed(before=straight_through), "along", "gradient is the loss's slope"),
        (Changed(before=shattered), "along", "gradient is the loss's slope"),
        (Changed(before=shattered), "random", "gradient in random directions"),
        (Changed(before=forgetful), "replay", "same noise, same answer"),
        (Changed(before=of_its_batch), "batch", "answers do not depend on the batch"),
        (Changed(behind=lambda logits: logits.softmax(1)), "probabilities", "the victim gives logits"),
        (noisy(0.1, purify=lambda x: rounded(x)), "zero_start", "zero gradients at the start"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_fault_of_the_gradients_is_measured_and_judged(victim: Victim, key: str, check: str) -> None:
    images = sample(classifier())
    sound = probe_gradients(PGD, bare(), images)
    found = probe_gradients(ADAPTIVE if isinstance(victim, Expected) else PGD, victim, images)
    assert found[key] != sound[key]
    status = {finding.check: finding.status for finding in probed.gradients(found, PGD, ["a"])}
    assert status[check] == "FAIL", found


def test_saturated_probabilities_have_gradients_that_vanish() -> None:
    found = probe_gradients(PGD, Changed(behind=lambda logits: (3e4 * logits).softmax(1)), sample(classifier()))
    assert found["zero_start"] > 0.5
    assert found["probabilities"] == 1


def test_a_module_in_training_mode_is_counted() -> None:
    model = network()
    model.insert(4, nn.Dropout(0.5))
    victim = Bare(classifier(model))
    victim.classifier.network[4].train()
    assert (
        probe_gradients(PGD, victim, sample(classifier()))["training_modules"] == 2
    )  # the victim itself, and the dropout


def test_noise_takes_the_gradients_of_two_queries_apart_and_draws_bring_them_together() -> None:
    images = sample(classifier())
    one, many = (ADAPTIVE.model_copy(update={"draws": draws}) for draws in (1, 16))
    by_level = [probe_gradients(one, noisy(level), images)["halves"] for level in (0.01, 0.3, 3.0)]
    assert by_level[0] > 0.95
    assert by_level[0] > by_level[1] > by_level[2]
    assert probe_gradients(many, noisy(0.3), images)["halves"] > by_level[1] + 0.05


def test_an_attack_that_went_the_wrong_way_did_not_raise_the_loss() -> None:
    victim = bare()
    images = sample(victim.classifier)
    away = Sample(images.clean, 2 * images.clean - images.attacked, images.labels, images.keys, 2)
    assert probe_gradients(PGD, victim, away)["rose"] == 0
    none_right = Sample(images.clean, images.attacked, 1 - images.labels, images.keys, 2)
    assert probe_gradients(PGD, victim, none_right)["rose"] is None


# convergence


def at_three_steps(step: float) -> tuple[Victim, Sample]:
    """A linear classifier, and images that are wrong from two and a half steps of that size on."""
    layer = nn.Linear(3 * SIDE * SIDE, 2, bias=True)
    weight = torch.sign(torch.randn(layer.in_features, generator=torch.Generator().manual_seed(0)))
    layer.weight.data = torch.stack([-weight, weight])
    margin = 2.5 * step / 0.25 * layer.in_features  # of pixels that are divided by the normalisation's 0.25
    layer.bias.data = torch.tensor([-margin, margin])
    images = torch.full((COUNT, 3, SIDE, SIDE), 0.5)
    labels = torch.ones(COUNT, dtype=torch.int64)
    return bare(nn.Sequential(nn.Flatten(), layer)), Sample(images, images, labels, torch.arange(COUNT), 2)


def test_an_attack_with_too_few_steps_leaves_less_with_twice_as_many() -> None:
    victim, images = at_three_steps(step=2 / 255)
    short = PgdAttack(method="pgd", eps=[20 / 255], steps=2, step_size=2 / 255, random_start=False)
    found = probe_convergence(short, lambda attack: victim, images, seed=0)
    assert (found["accuracy"], found["steps"]["accuracy"]) == (1, 0)
    assert found["steps"]["p"] == pytest.approx(2.0**-COUNT)
    assert {f.check: f.status for f in probed.convergence(found, short, ["a"])}["converged in steps"] == "FAIL"
    enough = short.model_copy(update={"steps": 3})
    found = probe_convergence(enough, lambda attack: victim, images, seed=0)
    assert found["accuracy"] == found["steps"]["accuracy"] == found["parameters_changed"] == 0
    assert {f.status for f in probed.convergence(found, enough, ["a"])} == {"PASS"}


def test_steps_and_draws_are_doubled_where_there_are_any() -> None:
    assert twice_the_steps(PGD).steps == 20
    assert twice_the_steps(FgsmAttack(method="fgsm", eps=[EPS])) is None
    assert twice_the_draws(ADAPTIVE).draws == 4
    assert twice_the_draws(PGD) is None
    asked = []

    def build(attack):
        asked.append((attack.steps, attack.draws))
        return noisy(0.1)

    found = probe_convergence(ADAPTIVE, build, sample(classifier()), seed=0)
    assert asked == [(10, 2), (20, 2), (10, 4)]
    assert found["accuracy"] == pytest.approx(found["draws"]["accuracy"], abs=0.3)


class Learning(Bare):
    """A victim that changes when it is queried."""

    def __init__(self) -> None:
        super().__init__(classifier())
        self.register_buffer("queries", torch.zeros(1))

    def forward(self, x: Tensor, keys: Tensor, query: Query) -> Tensor:
        self.queries += 1
        return super().forward(x, keys, query)


def test_a_victim_that_changes_under_attack_is_noticed() -> None:
    assert probe_convergence(PGD, lambda attack: Learning().eval(), sample(classifier()), 0)["parameters_changed"] == 1


# the active test


@pytest.mark.parametrize("attack", [PGD, PgdAttack(method="pgd", eps=[2 / 255], steps=20)], ids=["8/255", "2/255"])
def test_a_sound_attack_finds_the_planted_image_and_random_noise_does_not(attack: PgdAttack) -> None:
    found = probe_active(attack, bare(), sample(classifier()), seed=0)
    assert found == {"planted": 1.0, "found": 1.0, "random": 0.0}


def test_so_it_does_behind_noise() -> None:
    found = probe_active(ADAPTIVE, noisy(0.05), sample(classifier()), seed=0)
    assert found["planted"] > 0.5
    assert found["found"] > 0.95
    assert found["random"] < 0.1


def masked(x: Tensor) -> Tensor:
    """The identity as far as anyone can see, with no gradient."""
    return x.detach() + 0 * x


@pytest.mark.parametrize(
    "purify", [masked, lambda x: x + (lambda wave: wave - wave.detach())(1e3 * torch.sin(1e4 * x))]
)
def test_an_attack_on_a_masked_gradient_does_not_find_it(purify) -> None:
    found = probe_active(ADAPTIVE, noisy(0.02, purify=purify), sample(classifier()), seed=0)
    assert found["planted"] > 0.5
    assert found["found"] < 0.5
    assert "FAIL" in {finding.status for finding in probed.active(found, ADAPTIVE, ["a"])}


def test_an_attack_that_does_nothing_does_not_find_it() -> None:
    idle = PgdAttack(method="pgd", eps=[EPS], steps=1, step_size=1e-4, random_start=False)
    assert probe_active(idle, bare(), sample(classifier()), seed=0)["found"] == 0


def test_the_planted_head_is_taken_away_again() -> None:
    victim = bare()
    images = sample(victim.classifier)
    before = victim.classifier(images.clean)
    probe_active(PGD, victim, images, seed=0)
    assert torch.equal(victim.classifier(images.clean), before)


def test_what_is_planted_lies_in_the_ball() -> None:
    images = sample(classifier())
    for norm, attack in (("Linf", PGD), ("L2", PgdAttack(method="pgd", eps=[0.5]))):
        for make in (corner, pattern):
            own = attack if norm == "Linf" else L2(attack)
            delta = make(images, own, 3) - images.clean
            size = delta.abs().amax((1, 2, 3)) if norm == "Linf" else length(delta).flatten()
            assert size.max() <= own.radius * (1 + 1e-4)
            assert size.mean() >= 0.95 * own.radius


class L2:
    """An attack as far as the ball is concerned."""

    ball = "L2"

    def __init__(self, attack: PgdAttack) -> None:
        self.radius = attack.radius


# the stage


TINY = Classifier.model_validate(
    {"network": "timm/resnet18", "arguments": {"layers": [1, 1, 1, 1], "channels": [8, 8, 8, 8]}, "small_stem": True}
)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained classifier, and images that have the labels which it gives them."""
    folder = tmp_path_factory.mktemp("study")
    torch.manual_seed(0)
    model = build_classifier(TINY, 2).eval()
    spec = {"classifier": TINY.model_dump(mode="json")}
    with Wanted(folder / "classifier", "classifier", spec, "", {}).write({}) as draft:
        write_classifier(draft, model, TINY, CLASSES)
    images = np.random.default_rng(0).integers(0, 256, (24, 16, 16, 3)).astype(np.uint8)
    with torch.inference_mode():
        scores = model(torch.from_numpy(images / 255).float().permute(0, 3, 1, 2))
    table = pd.DataFrame({"id": [f"i{n}" for n in range(24)], "label": scores.argmax(1).numpy()})
    with Wanted(folder / "images", "stack", {}, "", {}).write({}) as draft:
        write_stack(draft, images, table)
        draft.facts["classes"] = CLASSES
    return folder


SPECS: dict[str, dict[str, Any]] = {
    "transfer": {"attack": PGD.model_dump(), "purifier": None},
    "adaptive": {"attack": ADAPTIVE.model_dump(), "purifier": {"method": "noise", "sigmas": [0.05]}},
}


@pytest.mark.parametrize("threat", SPECS)
def test_the_program_probes_an_attack_and_the_checks_can_read_it(study: Path, threat: str) -> None:
    spec = SPECS[threat] | {"batch_size": 8, "seed": 0}
    adversarial = study / threat
    folders = {"images": study / "images", "classifier": study / "classifier"}
    attack_stack(AttackSpec.model_validate(spec), "", Inputs(folders), adversarial, 1)
    checks = {"images": 8, "gradients": True, "convergence": True, "active": True}
    command = [sys.executable, "workflow/stages/probe.py", "--spec", json.dumps(spec | {"checks": checks})]
    command += [
        "--inputs",
        json.dumps({role: str(folder) for role, folder in (folders | {"attacked": adversarial}).items()}),
    ]
    found = []
    for name in ("a", "b"):
        done = subprocess.run([*command, "--out", study / threat / name], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        found.append((study / threat / name / "probe.json").read_bytes())
    assert found[0] == found[1]
    numbers = json.loads(found[0])
    manifest = json.loads((study / threat / "a/manifest.json").read_text())
    assert manifest["kind"] == "probe"
    assert set(manifest["inputs"]) == {"images", "attacked", "classifier"}
    attack = AttackSpec.model_validate(spec).attack
    for name, judge in (
        ("gradients", probed.gradients),
        ("convergence", probed.convergence),
        ("active", probed.active),
    ):
        statuses = {finding.check: finding.status for finding in judge(numbers[name], attack, ["a"])}
        assert "FAIL" not in statuses.values(), (statuses, numbers)


def test_only_what_is_asked_for_is_probed(study: Path) -> None:
    spec = SPECS["transfer"] | {"batch_size": 8, "seed": 0, "checks": {"images": 4, "gradients": True}}
    inputs = Inputs({"images": study / "images", "attacked": study / "images", "classifier": study / "classifier"})
    probe_attack(ProbeSpec.model_validate(spec), "", inputs, study / "some", 1)
    assert list(json.loads((study / "some/probe.json").read_text())) == ["gradients"]


def test_the_samples_images_are_those_of_both_stacks(study: Path) -> None:
    stack = read_stack(study / "images")
    chosen = take(stack, stack, 6, torch.device("cpu"))
    rows = spread(stack.labels, 6)
    assert torch.equal(chosen.clean, torch.from_numpy(stack.pixels()[rows]))
    assert torch.equal(chosen.clean, chosen.attacked)
