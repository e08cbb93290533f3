"""Attacks: equal to torchattacks' own, inside the ball on the storage grid, exact where the answer is known."""

import numpy as np
import pytest
import torch
import torchattacks
from pydantic import TypeAdapter
from torch import nn

from assay.attacks.ball import on_grid, project, sizes
from assay.attacks.methods.method import MarginGradient, build_search, margin
from assay.attacks.threats.defended import Expected
from assay.attacks.threats.transfer import Bare
from assay.defended import Defended
from assay.stacks import to_pixels, to_stored
from assay.study.attacks import AnyAttack, Attack, storage_bits

EPS = 8 / 255


def attack_of(method: str, **keys: object) -> Attack:
    return TypeAdapter(AnyAttack).validate_python({"method": method, "eps": [EPS]} | keys)


def small_network(classes: int, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Tanh(), nn.Flatten(), nn.Linear(8 * 36, classes))
    return network.eval().requires_grad_(False)


def batch(count: int = 6, classes: int = 4) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    stored = torch.randint(0, 256, (count, 3, 8, 8), generator=generator)
    return stored / 255, torch.randint(0, classes, (count,), generator=generator), torch.arange(count)


def run(attack: Attack, network: nn.Module, classes: int) -> torch.Tensor:
    torch.manual_seed(7)
    return build_search(attack, Bare(network), classes)(*batch(classes=classes)).detach()


@pytest.mark.parametrize(
    ("attack", "theirs"),
    [
        (attack_of("fgsm"), lambda net: torchattacks.FGSM(net, eps=EPS)),
        (attack_of("pgd", steps=5), lambda net: torchattacks.PGD(net, eps=EPS, alpha=EPS / 2, steps=5)),
        (
            attack_of("pgd", steps=5, step_size=2 / 255, random_start=False),
            lambda net: torchattacks.PGD(net, eps=EPS, alpha=2 / 255, steps=5, random_start=False),
        ),
    ],
)
def test_gradient_attacks_equal_torchattacks(attack: Attack, theirs) -> None:
    network = small_network(4)
    images, labels, _ = batch()
    torch.manual_seed(7)
    expected = theirs(network)(images, labels)
    assert torch.equal(run(attack, network, 4), expected)


@pytest.mark.parametrize("method", ["fgsm", "pgd"])
def test_two_class_attacks_equal_torchattacks_where_its_cross_entropy_does_not_saturate(method: str) -> None:
    network = small_network(2)
    images, labels, _ = batch(classes=2)
    torch.manual_seed(7)
    theirs = torchattacks.FGSM(network, EPS) if method == "fgsm" else torchattacks.PGD(network, EPS, EPS / 8, 20)
    expected = theirs(images, labels)
    assert torch.equal(run(attack_of(method), network, 2), expected)


def test_images_that_are_fooled_are_torchattacks_own() -> None:
    network = small_network(4)
    images, _, keys = batch(16)
    labels = network(images).argmax(1)  # all right at first: torchattacks then searches on the whole batch
    theirs = torchattacks.Square(network, eps=EPS, n_queries=50, seed=7)(images, labels)
    torch.manual_seed(7)
    own = build_search(attack_of("square", queries=50), Bare(network), 4)(images, labels, keys)
    fooled = network(theirs).argmax(1) != labels
    assert 0 < fooled.sum() < 16
    assert torch.equal(own[fooled], theirs[fooled])
    assert torch.equal(theirs[~fooled], images[~fooled])
    assert (own[~fooled] != images[~fooled]).flatten(1).any(1).all()


def test_apgd_works_on_two_classes_and_keeps_the_best_of_its_restarts() -> None:
    network = small_network(2)
    images, labels, _ = batch(classes=2)
    one, three = (run(attack_of("apgd", steps=10, restarts=n), network, 2) for n in (1, 3))
    assert (margin(network(three), labels) <= margin(network(one), labels) + 1e-6).all()
    assert (margin(network(one), labels) < margin(network(images), labels)).all()


def test_the_margins_gradient_does_not_saturate() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 2, bias=False)).requires_grad_(False)
    network[1].weight.data = 1000 * torch.sign(torch.randn(2, 192, generator=torch.Generator().manual_seed(0)))
    images, _, keys = batch(classes=2)
    labels = network(images).argmax(1)
    assert margin(network(images), labels).min() > 104  # where the cross-entropy's gradient underflows to zero
    theirs = torchattacks.FGSM(network, EPS)(images, labels)
    assert torch.equal(theirs, images)
    own = build_search(attack_of("fgsm"), Bare(network), 2)(images, labels, keys)
    assert (margin(network(own), labels) < margin(network(images), labels)).all()


@pytest.mark.parametrize("method", ["fgsm", "pgd", "apgd"])
def test_a_linear_classifier_is_attacked_to_its_closed_form(method: str) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 2)).requires_grad_(False)
    images = torch.full((4, 3, 8, 8), 0.5)
    labels = torch.tensor([0, 1, 0, 1])
    worst = margin(network(images), labels) - EPS * (network[1].weight[0] - network[1].weight[1]).abs().sum()
    found = build_search(attack_of(method), Bare(network), 2)(images, labels, torch.arange(4))
    assert torch.allclose(margin(network(found), labels), worst, atol=1e-5)


def test_l2_attack_on_a_linear_classifier_reaches_its_closed_form() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 2)).requires_grad_(False)
    images, labels = torch.full((4, 3, 8, 8), 0.5), torch.tensor([0, 1, 0, 1])
    worst = margin(network(images), labels) - 0.5 * (network[1].weight[0] - network[1].weight[1]).norm()
    found = build_search(attack_of("pgdl2", eps=[0.5], steps=40, step_size=0.5), Bare(network), 2)(
        images, labels, torch.arange(4)
    )
    assert torch.allclose(margin(network(found), labels), worst, atol=1e-3)


def test_the_random_control_is_blind_and_lies_on_the_balls_corners() -> None:
    images, labels, keys = batch()
    found = build_search(attack_of("random_sign"), Bare(small_network(4)), 4)(images * 0.5 + 0.25, labels, keys)
    assert torch.allclose((found - (images * 0.5 + 0.25)).abs(), torch.tensor(EPS), atol=1e-6)
    other = build_search(attack_of("random_sign"), Bare(small_network(4, seed=1)), 4)(images * 0.5 + 0.25, labels, keys)
    assert torch.equal(found, other)


@pytest.mark.parametrize(
    ("norm", "eps"), [("Linf", 2 / 255), ("Linf", 0.01), ("L2", 0.5), ("Linf", 0.0), ("Linf", 1.0)]
)
def test_stored_images_lie_in_the_ball_in_integers(norm: str, eps: float) -> None:
    generator = np.random.default_rng(0)
    clean = generator.integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    wild = to_pixels(clean) + generator.normal(0, 3 * eps + 0.01, (5, 3, 8, 8)).astype(np.float32)
    stored = project(wild, clean, norm, eps)
    top = {8: 255, 16: 65535}[storage_bits(norm, eps)]
    assert stored.dtype == {255: np.uint8, 65535: np.uint16}[top]
    delta = stored.astype(np.int64) - on_grid(clean, 8 if top == 255 else 16).astype(np.int64)
    if norm == "Linf":
        assert np.abs(delta).max() <= np.floor(top * eps + 1e-6)
    else:
        assert (np.sqrt((delta**2).sum((1, 2, 3))) <= top * eps).all()
    linf, l2 = sizes(stored, clean)
    assert linf == pytest.approx(np.abs(delta).max((1, 2, 3)) / top)
    assert l2 == pytest.approx(np.sqrt((delta**2).sum((1, 2, 3))) / top)


def test_storing_keeps_a_perturbation_that_lies_on_the_grid() -> None:
    clean = np.full((1, 4, 4, 3), 100, np.uint8)
    assert (project(to_pixels(clean) + np.float32(4 / 255), clean, "Linf", 4 / 255) == 104).all()
    assert (project(to_pixels(clean) - np.float32(4 / 255), clean, "Linf", 4 / 255) == 96).all()


def test_8_bit_images_pass_through_the_16_bit_grid_unchanged() -> None:
    stored = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    assert np.array_equal(to_pixels(to_stored(to_pixels(stored), 16)), to_pixels(stored))
    assert np.array_equal(to_stored(to_pixels(stored), 8), stored)


def noisy_victim(draws: int) -> Expected:
    defended = Defended(lambda x, noise: x + 0.3 * noise(0), small_network(2))
    return Expected(defended, defended, draws, seed=1)


def test_the_adaptive_victim_averages_fresh_draws_and_its_gradient_is_their_mean() -> None:
    images, _, keys = batch(classes=2)
    victim = noisy_victim(4)
    victim.begin(keys)
    first, second = victim(images), victim(images)
    assert not torch.equal(first, second)
    victim.begin(keys)
    assert torch.equal(victim(images), first)
    single = noisy_victim(1)
    single.begin(keys)
    leaf = images.clone().requires_grad_()
    four = [torch.autograd.grad(single(leaf)[:, 0].sum(), leaf)[0] for _ in range(4)]
    victim.begin(keys)
    mean = torch.autograd.grad(victim(leaf)[:, 0].sum(), leaf)[0]
    assert torch.allclose(mean, torch.stack(four).mean(0), atol=1e-6)


def test_the_adaptive_victims_draws_do_not_depend_on_the_batch() -> None:
    images, _, keys = batch(classes=2)
    victim = noisy_victim(3)
    victim.begin(keys)
    whole = victim(images)
    victim.begin(keys[2:4])
    assert torch.allclose(victim(images[2:4]), whole[2:4], atol=1e-6)


def test_a_purifier_that_is_the_identity_leaves_the_bare_gradient() -> None:
    images, labels, keys = batch(classes=2)
    network = small_network(2)
    defended = Defended(lambda x, noise: x, network)
    victim = Expected(defended, defended, 2, seed=1)
    victim.begin(keys)
    adaptive = build_search(attack_of("fgsm"), victim, 2)(images, labels, keys)
    assert torch.equal(adaptive, run(attack_of("fgsm"), network, 2))


def test_square_on_a_stochastic_victim_stays_in_the_ball() -> None:
    images, labels, keys = batch(classes=2)
    victim = noisy_victim(2)
    victim.begin(keys)
    found = build_search(attack_of("square", queries=10), victim, 2)(images, labels, keys)
    assert ((found - images).abs() <= EPS + 1e-6).all()


def test_margin_gradient_has_the_logits_gradient_and_no_value() -> None:
    images, _, _ = batch(classes=2)
    network = small_network(2)
    leaf = images.clone().requires_grad_()
    outcome = MarginGradient(network)(leaf)
    assert not outcome.any()
    assert torch.equal(
        torch.autograd.grad(outcome[:, 0].sum(), leaf)[0], torch.autograd.grad(network(leaf)[:, 0].sum(), leaf)[0]
    )
