"""Probes measure what is so: victims whose faults are known show them, sound ones do not."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
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
from assay.evaluation.probes.bands import cosines, directions, part, strata, within
from assay.evaluation.probes.continued import (
    by_answers,
    compared,
    go_on,
    judged,
    probe_blinder,
    probe_convergence,
    walker,
)
from assay.evaluation.probes.gradients import probe_gradients
from assay.evaluation.probes.probe import probe_attack
from assay.evaluation.probes.sample import Sample, fewer, judge, run_attack, take
from assay.evaluation.spread import spread
from assay.inputs import Inputs
from assay.networks.classifier import Normalised, build_classifier, write_classifier
from assay.stacks import read_stack
from assay.study.attacks import AttackSpec, FgsmAttack, PgdAttack, PgdL2Attack, PythonAttack, storage_bits
from assay.study.classifiers import Classifier
from assay.study.probing import ProbeSpec
from assay.study.threats import BpdaThreat
from stack_files import write_stack

ROOT = Path(__file__).parents[2]
EPS = 8 / 255
COUNT, SIDE = 12, 12
CLASSES = ["benign", "malignant"]
PGD = PgdAttack(method="pgd", eps=[EPS], steps=10)
ADAPTIVE_L2 = PgdL2Attack(method="pgdl2", eps=[0.4], steps=10, threat="adaptive", draws=2)
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


def test_fewer_images_are_as_many_of_each_class() -> None:
    images = replace(sample(classifier()), labels=torch.tensor([0] * 9 + [1] * 3))
    some = fewer(images, 6)
    assert some.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert some.keys.tolist() == [1, 5, 9, 10, 11, 12]
    assert torch.equal(some.clean, images.clean[some.keys - 1])
    assert fewer(sample(classifier()), 100).keys.tolist() == list(range(1, COUNT + 1))


# gradients


def test_a_sound_victims_gradients_have_nothing_wrong() -> None:
    victim = bare()
    found = probe_gradients(PGD, victim, sample(victim.classifier), 0)
    assert found["zero_start"] == found["zero_end"] == found["not_finite_start"] == found["not_finite_end"] == 0
    for place in ("start", "end"):
        assert min(found[f"captured_{place}"].values()) > 0.999
    assert found["zero_entries"] == 0
    assert found["halves"] == pytest.approx(1, abs=1e-6)
    assert found["rose"] == 1
    assert (found["replay"], found["training_modules"], found["probabilities"]) == (0, 0, 0)
    assert found["batch"] < 1e-5


def test_a_stochastic_victims_gradients_are_compared_under_the_same_noise() -> None:
    found = probe_gradients(ADAPTIVE, noisy(0.1), sample(classifier()), 0)
    assert min(found["captured_start"].values()) > 0.99
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


def half_masked(x: Tensor) -> Tensor:
    """Every other column goes without a gradient."""
    seen = torch.arange(x.shape[-1]) % 2
    return x * seen + (x * (1 - seen)).detach()


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
        (Changed(before=straight_through), "captured_start", "gradient is the loss's slope"),
        (Changed(before=shattered), "captured_end", "gradient is the loss's slope"),
        (Changed(before=half_masked), "captured_start", "gradient is the loss's slope"),
        (Changed(before=forgetful), "replay", "same noise, same answer"),
        (Changed(before=of_its_batch), "batch", "answers do not depend on the batch"),
        (Changed(behind=lambda logits: logits.softmax(1)), "probabilities", "the victim gives logits"),
        (noisy(0.1, purify=lambda x: rounded(x)), "zero_start", "zero gradients at the start"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_fault_of_the_gradients_is_measured_and_judged(victim: Victim, key: str, check: str) -> None:
    images = sample(classifier())
    sound = probe_gradients(PGD, bare(), images, 0)
    found = probe_gradients(ADAPTIVE if isinstance(victim, Expected) else PGD, victim, images, 0)
    assert found[key] != sound[key]
    status = {finding.check: finding.status for finding in probed.gradients(found, PGD, ["a"])}
    assert status[check] == "FAIL", found


class Backward(torch.autograd.Function):
    """The identity, whose gradient a function changes on its way back."""

    @staticmethod
    def forward(context, x, change):
        context.change = change
        return x.clone()

    @staticmethod
    def backward(context, gradient):
        return context.change(gradient), None


def without_low(gradient: Tensor, count: int) -> Tensor:
    """The gradient without its so many slowest waves along each side."""
    waves = cosines(gradient.shape[-1])
    coefficients = waves @ gradient @ waves.T
    coefficients[..., :count, :count] = 0
    return waves.T @ coefficients @ waves


def without_red(gradient: Tensor) -> Tensor:
    return gradient * torch.tensor([0.0, 1.0, 1.0])[:, None, None]


def without_a_share(share: float):
    """The gradient turned away so far that it captures all but a share of its energy."""

    def turned(gradient: Tensor) -> Tensor:
        aside = torch.randn(gradient.shape, generator=torch.Generator().manual_seed(5))
        size = (gradient**2).sum((1, 2, 3), keepdim=True)
        aside -= (aside * gradient).sum((1, 2, 3), keepdim=True) / size * gradient
        aside /= length(aside)
        return (1 - share) ** 0.5 * gradient + share**0.5 * size.sqrt() * aside

    return turned


@pytest.mark.parametrize(
    ("change", "check"),
    [
        (lambda gradient: without_low(gradient, 2), "gradient has every frequency"),
        (lambda gradient: without_low(gradient, 4), "gradient has every frequency"),
        (without_red, "gradient has every colour"),
        (without_a_share(0.2), "gradient is the loss's slope"),
        (lambda gradient: -gradient, "gradient is the loss's slope"),
    ],
    ids=["2x2 slowest", "4x4 slowest", "red", "a fifth", "downhill"],
)
def test_a_gradient_that_lacks_a_part_fails(change: Any, check: str) -> None:
    images = sample(classifier())
    found = probe_gradients(PGD, Changed(before=lambda x: Backward.apply(x, change)), images, 0)
    assert {f.check: f.status for f in probed.gradients(found, PGD, ["a"])}[check] == "FAIL", found


def test_what_a_gradient_lacks_is_measured() -> None:
    images = sample(classifier())
    victim = Changed(before=lambda x: Backward.apply(x, without_a_share(0.07)))
    found = probe_gradients(PGD, victim, images, 0)
    assert found["captured_start"]["all"] == pytest.approx(0.93, abs=0.02)
    assert {f.check: f.status for f in probed.gradients(found, PGD, ["a"])}["gradient is the loss's slope"] == "WARN"


def test_values_that_are_left_out_of_a_gradient_are_counted() -> None:
    found = probe_gradients(PGD, Changed(before=half_masked), sample(classifier()), 0)
    assert found["zero_entries"] == 0.5
    assert {f.check: f.status for f in probed.gradients(found, PGD, ["a"])}["few zeros in the gradient"] == "WARN"


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_how_long_a_gradient_is_makes_no_difference(factor: float) -> None:
    images = sample(classifier())
    victim = Changed(before=lambda x: Backward.apply(x, lambda gradient: factor * gradient))
    assert min(probe_gradients(PGD, victim, images, 0)["captured_start"].values()) > 0.999


def test_the_attacks_own_loss_is_probed() -> None:
    saturated, images = Changed(behind=lambda logits: 3e3 * logits), sample(classifier())
    by_margin = probe_gradients(PGD, saturated, images, 0)
    by_entropy = probe_gradients(PGD.model_copy(update={"loss": "ce"}), saturated, images, 0)
    assert by_margin["zero_start"] == 0
    assert by_entropy["zero_start"] > 0.5


def test_strata_take_a_gradient_apart_and_leave_nothing_out() -> None:
    values = torch.randn(3, 3, 20, 16, generator=torch.Generator().manual_seed(0))
    energy = sum(part(values, stratum) for stratum in strata(values.shape))
    assert torch.allclose(energy, (values**2).sum((1, 2, 3)))
    assert torch.allclose(cosines(16) @ cosines(16).T, torch.eye(16), atol=1e-5)
    assert sum(within(band, 20, 16) for band in range(4)).eq(1).all()
    for stratum in strata(values.shape):
        direction = directions(stratum, values.shape, torch.Generator().manual_seed(1), values)
        assert torch.allclose(part(direction, stratum), (direction**2).sum((1, 2, 3)), rtol=1e-4)


def test_saturated_probabilities_have_gradients_that_vanish() -> None:
    found = probe_gradients(PGD, Changed(behind=lambda logits: (3e4 * logits).softmax(1)), sample(classifier()), 0)
    assert found["zero_start"] > 0.5
    assert found["probabilities"] == 1


def test_a_module_in_training_mode_is_counted() -> None:
    model = network()
    model.insert(4, nn.Dropout(0.5))
    victim = Bare(classifier(model))
    victim.classifier.network[4].train()
    assert (
        probe_gradients(PGD, victim, sample(classifier()), 0)["training_modules"] == 2
    )  # the victim itself, and the dropout


def test_noise_takes_the_gradients_of_two_queries_apart_and_draws_bring_them_together() -> None:
    images = sample(classifier())
    one, many = (ADAPTIVE.model_copy(update={"draws": draws}) for draws in (1, 16))
    by_level = [probe_gradients(one, noisy(level), images, 0)["halves"] for level in (0.01, 0.3, 3.0)]
    assert by_level[0] > 0.95
    assert by_level[0] > by_level[1] > by_level[2]
    assert probe_gradients(many, noisy(0.3), images, 0)["halves"] > by_level[1] + 0.05


def test_an_attack_that_went_the_wrong_way_did_not_raise_the_loss() -> None:
    victim = bare()
    images = sample(victim.classifier)
    away = Sample(images.clean, 2 * images.clean - images.attacked, images.labels, images.keys, 2)
    assert probe_gradients(PGD, victim, away, 0)["rose"] == 0
    none_right = Sample(images.clean, images.attacked, 1 - images.labels, images.keys, 2)
    assert probe_gradients(PGD, victim, none_right, 0)["rose"] is None


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


def attacked_by(attack: PgdAttack, victim: Victim, images: Sample) -> Sample:
    """The images with what an attack makes of them."""
    points = run_attack(attack, victim, images, images.labels, images.classes, seed=7)
    return replace(images, attacked=points)


def test_an_attack_with_too_few_steps_is_not_converged() -> None:
    victim, images = at_three_steps(step=2 / 255)
    short = PgdAttack(method="pgd", eps=[20 / 255], steps=2, step_size=2 / 255, random_start=False)
    found = probe_convergence(short, lambda attack: victim, attacked_by(short, victim, images), seed=0)
    assert (found["accuracy"], found["more"]["accuracy"]) == (1, 0)
    assert found["more"]["p"] == pytest.approx(2.0**-COUNT)
    assert {f.check: f.status for f in probed.convergence(found, short, ["a"])}["attack converged"] == "FAIL"
    enough = short.model_copy(update={"steps": 3})
    found = probe_convergence(enough, lambda attack: victim, attacked_by(enough, victim, images), seed=0)
    assert found["accuracy"] == found["more"]["accuracy"] == found["parameters_changed"] == 0


def test_going_on_never_leaves_more_by_the_draws_that_it_is_chosen_on() -> None:
    victim = noisy(0.1)
    images = attacked_by(ADAPTIVE, victim, sample(classifier()))
    found = probe_convergence(ADAPTIVE, lambda attack: victim, images, seed=0)
    assert found["more"]["gain"] > -0.05
    assert found["again"]["accuracy"] == pytest.approx(found["accuracy"], abs=0.3)


@pytest.mark.parametrize("attack", [ADAPTIVE, ADAPTIVE_L2, PGD], ids=["Linf", "L2", "bare"])
def test_what_goes_on_is_the_attack_from_another_point(attack: PgdAttack | PgdL2Attack) -> None:
    more = walker(attack, draws=2 * attack.draws if attack.threat.fresh else 1)
    same = ("radius", "ball", "threat", "loss", "target", "objective", "steps")
    assert [getattr(more, key) for key in same] == [getattr(attack, key) for key in same]
    assert more.step_size * more.steps == pytest.approx(4 * attack.radius)
    blind = walker(attack, draws=3, threat=BpdaThreat(), steps=5)
    assert (blind.threat.name, blind.draws, blind.steps) == ("bpda", 3, 5)


def test_an_attack_on_the_vote_is_judged_by_the_vote() -> None:
    attack = ADAPTIVE.model_copy(update={"draws": 3, "objective": "majority"})
    assert walker(attack, draws=6).objective == "majority"
    victim = noisy(3.0)
    images = sample(classifier())
    assert judged(attack, victim, images.clean, images).shape == (COUNT, 1)
    assert judged(ADAPTIVE, victim, images.clean, images).shape == (COUNT, 16)
    votes = judged(ADAPTIVE, victim, images.clean, images).mean(1)
    clear = np.abs(votes - 0.5) > 0.01
    assert (judged(attack, victim, images.clean, images)[clear, 0] == (votes > 0.5)[clear]).all()


@pytest.mark.parametrize("loss", [{}, {"loss": "of my own"}])
def test_an_attack_of_ones_own_goes_on_by_the_margin(loss: dict[str, str]) -> None:
    own = PythonAttack.model_validate(
        {"method": "python", "module": "mine.py", "eps": [EPS], "threat": "adaptive", **loss}
    )
    assert walker(own, draws=2).loss == by_answers(own).loss == "margin"
    assert walker(own, draws=2).steps == 10


def test_one_step_is_not_asked_to_converge() -> None:
    attack = FgsmAttack(method="fgsm", eps=[EPS])
    found = {"parameters_changed": 0}
    assert [f.status for f in probed.convergence(found, attack, ["a"])] == ["DOES NOT APPLY", "PASS"]


def masked(x: Tensor) -> Tensor:
    """The identity as far as anyone can see, with no gradient."""
    return x.detach() + 0 * x


def weak_sample() -> Sample:
    """Images that the attack has left as they were."""
    images = sample(classifier())
    return replace(images, attacked=images.clean)


def test_an_attack_that_takes_a_mask_for_the_identity_finds_the_way_around_it() -> None:
    found = probe_blinder(ADAPTIVE, with_straight_through(masked), weak_sample(), seed=0, defended=True)
    assert found["accuracy"] > 0.9
    assert found["identity"]["gain"] > 0.5
    verdicts = {f.check: f.status for f in probed.blinder(found, ADAPTIVE, ["a"])}
    assert verdicts["identity leaves no less"] == "FAIL"


@pytest.mark.parametrize("attack", [ADAPTIVE, ADAPTIVE_L2], ids=["Linf", "L2"])
def test_answers_alone_find_the_way_around_a_mask(attack: PgdAttack | PgdL2Attack) -> None:
    victim, images, asking = noisy(0.02, purify=masked), weak_sample(), by_answers(attack)
    points = go_on(asking, victim, images, (images.attacked,), images.labels, seed=1)
    before, after = (judge(attack, victim, x, images, images.labels).mean(1) for x in (images.attacked, points))
    assert (after < before).all()
    assert after.mean() < 0.6 * before.mean()
    delta = points - images.clean
    size = delta.abs().amax((1, 2, 3)) if attack.ball == "Linf" else length(delta).flatten()
    assert size.max() < attack.radius + 1e-6
    levels = points * (2 ** storage_bits(attack.ball, attack.radius) - 1)
    assert torch.allclose(levels, levels.round(), atol=0.01)


def test_a_sound_attack_leaves_them_nothing_to_find() -> None:
    victim = noisy(0.02)
    images = attacked_by(ADAPTIVE, victim, sample(classifier()))
    found = probe_blinder(ADAPTIVE, with_straight_through(lambda x: x, 0.02), images, seed=0, defended=True)
    assert found["identity"]["gain"] < 0.05
    assert found["answers"]["gain"] < 0.05


def with_straight_through(purify: Any, level: float = 0.02) -> Any:
    """How the victims of a purifier behind noise are built for an attack: for bpda, with the identity's gradient."""

    def build(attack: PgdAttack) -> Victim:
        through = straight(purify) if attack.threat.name == "bpda" else purify
        return noisy(level, purify=through)

    return build


def straight(purify: Any) -> Any:
    return lambda x: purify(x).detach() + (x - x.detach())


@pytest.mark.parametrize(
    ("won", "images", "status"),
    [(0, 64, "PASS"), (0, 32, "NOT RUN"), (5, 64, "FAIL"), (6, 150, "WARN"), (1, 150, "PASS"), (1, 64, "NOT RUN")],
)
def test_a_pass_could_have_seen_five_points(won: int, images: int, status: str) -> None:
    """Of so many images, so many are won."""
    own = np.ones((images, 16), dtype=bool)
    other = own.copy()
    other[:won] = False
    found = {"accuracy": 1.0, "images": images, "identity": None, "answers": compared(own, other)}
    identity, answers = probed.blinder(found, ADAPTIVE, ["a"])
    assert (identity.check, identity.status) == ("identity leaves no less", "DOES NOT APPLY")
    assert (answers.check, answers.status) == ("answers alone leave no less", status)
    assert f"it could gain {100 * found['answers']['at_most']:.1f} points at most" in answers.meaning
    assert (f"checks: {{images: {2 * images}}}" in answers.meaning) == (status == "NOT RUN")


def test_the_bound_on_what_could_be_gained_is_clopper_and_pearsons_where_images_are_won_whole() -> None:
    own, other = np.ones((64, 16), dtype=bool), np.ones((64, 16), dtype=bool)
    assert compared(own, other)["at_most"] == pytest.approx(1 - 0.05 ** (1 / 64))
    other[:3] = False
    exact = stats.beta.ppf(0.95, 4, 61)
    assert compared(own, other)["at_most"] >= exact - 1e-9
    assert compared(own, other)["p"] == pytest.approx(2.0**-3)


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


ALL = {"gradients": True, "convergence": True, "blinder": True, "active": True}


def spec_of(threat: str, images: int = 4, checks: dict[str, bool] = ALL) -> ProbeSpec:
    """The spec of probes of one of the attacks."""
    checks = {"images": images, **checks}
    return ProbeSpec.model_validate(SPECS[threat] | {"batch_size": 8, "seed": 0, "checks": checks})


def attacked_study(study: Path, threat: str) -> tuple[PgdAttack, Inputs]:
    """One of the attacks, and what its probe reads."""
    folders = {"images": study / "images", "classifier": study / "classifier"}
    spec = AttackSpec.model_validate(SPECS[threat] | {"batch_size": 8, "seed": 0})
    attack_stack(spec, "", Inputs(folders), study / "adversarial" / threat, 1)
    return spec.attack, Inputs(folders | {"attacked": study / "adversarial" / threat})


@pytest.mark.parametrize("threat", SPECS)
def test_a_probe_of_a_sound_attack_can_be_read_by_the_checks_and_finds_no_fault(study: Path, threat: str) -> None:
    attack, inputs = attacked_study(study, threat)
    probe_attack(spec_of(threat), "", inputs, study / threat, 1)
    numbers = json.loads((study / threat / "probe.json").read_text())
    judges = (probed.gradients, probed.convergence, probed.blinder, probed.active)
    assert set(numbers) == {of_one.__name__ for of_one in judges}
    for of_one in judges:
        statuses = {found.check: found.status for found in of_one(numbers[of_one.__name__], attack, ["a"])}
        assert "FAIL" not in statuses.values(), (statuses, numbers)


def test_the_program_writes_what_the_function_does(study: Path) -> None:
    _, inputs = attacked_study(study, "transfer")
    spec = spec_of("transfer", images=2)
    places = json.dumps({role: str(inputs.folder(role)) for role in ("images", "classifier", "attacked")})
    command = [sys.executable, "workflow/stages/probe.py", "--spec", spec.model_dump_json()]
    command += ["--inputs", places, "--out", str(study / "program")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    probe_attack(spec, "", inputs, study / "function", 1)
    assert (study / "program/probe.json").read_bytes() == (study / "function/probe.json").read_bytes()
    manifest = json.loads((study / "program/manifest.json").read_text())
    assert manifest["kind"] == "probe"
    assert set(manifest["inputs"]) == {"images", "attacked", "classifier"}


def test_only_what_is_asked_for_is_probed(study: Path) -> None:
    spec = spec_of("transfer", images=4, checks={"gradients": True})
    inputs = Inputs({"images": study / "images", "attacked": study / "images", "classifier": study / "classifier"})
    probe_attack(spec, "", inputs, study / "some", 1)
    assert list(json.loads((study / "some/probe.json").read_text())) == ["gradients"]


def test_the_samples_images_are_those_of_both_stacks(study: Path) -> None:
    stack = read_stack(study / "images")
    chosen = take(stack, stack, 6, torch.device("cpu"))
    rows = spread(stack.labels, 6)
    assert torch.equal(chosen.clean, torch.from_numpy(stack.pixels()[rows]))
    assert torch.equal(chosen.clean, chosen.attacked)
