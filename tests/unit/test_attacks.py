"""Attacks: equal to torchattacks' own, inside the ball on the storage grid, exact where the answer is known."""

import numpy as np
import pytest
import torch
import torchattacks
from pydantic import TypeAdapter
from torch import nn

from assay.attacks import ball
from assay.attacks.methods.method import aims, build_search, random_targets
from assay.attacks.perturbation import on_grid, sizes
from assay.attacks.threats.defended import Expected
from assay.attacks.threats.transfer import Bare
from assay.attacks.threats.victim import search_query
from assay.defended import Defended
from assay.logits import margin
from assay.stacks import to_pixels, to_stored
from assay.study.attacks import AnyAttack, Attack, storage_bits

EPS = 8 / 255


def attack_of(method: str, **keys: object) -> Attack:
    return TypeAdapter(AnyAttack).validate_python({"method": method, "eps": [EPS]} | keys)


PLAIN = {"loss": "ce", "momentum": 0.0, "decay": "none", "random_start": False}


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


@pytest.mark.parametrize(("classes", "steps"), [(4, 5), (2, 20)])
def test_fgsm_and_pgd_equal_torchattacks(classes: int, steps: int) -> None:
    """Without momentum and decay; of two classes cross-entropy and margin have one direction."""
    network = small_network(classes)
    images, labels, _ = batch(classes=classes)
    fgsm = torchattacks.FGSM(network, eps=EPS)(images, labels)
    assert torch.equal(run(attack_of("fgsm", loss="ce"), network, classes), fgsm)
    for alpha in (2.5 * EPS / steps, 2 / 255):
        pgd = torchattacks.PGD(network, eps=EPS, alpha=alpha, steps=steps, random_start=False)(images, labels)
        attack = attack_of("pgd", steps=steps, **PLAIN, step_size=alpha)
        assert torch.equal(run(attack, network, classes), pgd)


@pytest.mark.parametrize("method", ["fgsm", "pgd", "square"])
def test_targeted_attacks_equal_torchattacks(method: str) -> None:
    network = small_network(4)
    images, labels, keys = batch(16)
    targets = random_targets(labels, keys, 4, seed=0)
    theirs = {
        "fgsm": lambda: torchattacks.FGSM(network, eps=EPS),
        "pgd": lambda: torchattacks.PGD(network, eps=EPS, alpha=2.5 * EPS / 20, steps=20, random_start=False),
        "square": lambda: torchattacks.Square(network, eps=EPS, n_queries=50),
    }[method]()
    theirs.set_mode_targeted_by_label(quiet=True)
    torch.manual_seed(7)
    if method == "square":  # its forward gives back the clean image where it failed
        theirs.init_hyperparam(images)
        expected = theirs.attack_single_run(images, targets)[1]
    else:
        expected = theirs(images, targets)
    more = {"fgsm": {"loss": "ce"}, "pgd": PLAIN | {"step_size": 2.5 * EPS / 20}, "square": {"queries": 50}}[method]
    attack = attack_of(method, target="random", **more)
    torch.manual_seed(7)
    found = build_search(attack, Bare(network), 4)(images, targets, keys)
    assert torch.equal(found, expected)
    closer = margin(network(found), targets) > margin(network(images), targets)
    assert closer.float().mean() > 0.9


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


BALLS = [("Linf", 2 / 255), ("Linf", 0.01), ("L2", 0.5), ("Linf", 0.0), ("Linf", 1.0), ("L2", 0.0), ("L2", 3.0)]


def project(pixels: np.ndarray, clean: np.ndarray, norm: str, eps: float) -> np.ndarray:
    """The projection, from and to arrays as they are stored."""
    found = ball.project(torch.from_numpy(pixels), torch.from_numpy(to_pixels(clean)), norm, eps)
    return ball.to_stored(found, norm, eps)


def in_numpy(pixels: np.ndarray, clean: np.ndarray, norm: str, eps: float) -> np.ndarray:
    """The same projection as it stood in numpy, before it went to the device."""
    bits = storage_bits(norm, eps)
    top = 2**bits - 1
    centre = on_grid(clean, bits).astype(np.int64)
    if norm == "Linf":
        reach = int(np.floor(top * eps + 1e-6))
        moved = to_stored(pixels, bits).astype(np.int64).clip(centre - reach, centre + reach)
    else:
        delta = pixels.astype(np.float64).transpose(0, 2, 3, 1) * top - centre
        length = np.sqrt((delta**2).sum(axis=(1, 2, 3), keepdims=True))
        delta *= np.minimum(1, top * eps / np.maximum(length, 1e-12))
        moved = centre + np.trunc(delta).astype(np.int64)
    return moved.clip(0, top).astype(np.uint8 if bits == 8 else np.uint16)


def wild(eps: float, bits: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Clean images as stored, and pixels in and out of their balls and of the range."""
    generator = np.random.default_rng(0)
    clean = generator.integers(0, 2**bits, (5, 8, 8, 3), dtype={8: np.uint8, 16: np.uint16}[bits])
    return clean, to_pixels(clean) + generator.normal(0, 3 * eps + 0.01, (5, 3, 8, 8)).astype(np.float32)


@pytest.mark.parametrize(("norm", "eps"), BALLS)
def test_stored_images_lie_in_the_ball_in_integers(norm: str, eps: float) -> None:
    clean, pixels = wild(eps)
    stored = project(pixels, clean, norm, eps)
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


@pytest.mark.parametrize(
    ("norm", "eps", "bits"),
    [(*ball, bits) for ball in BALLS for bits in (8, 16) if bits <= storage_bits(*ball)],
)
def test_the_projection_on_the_device_equals_the_one_in_numpy_bit_for_bit(norm: str, eps: float, bits: int) -> None:
    clean, pixels = wild(eps, bits)
    assert np.array_equal(project(pixels, clean, norm, eps), in_numpy(pixels, clean, norm, eps))


@pytest.mark.parametrize(("norm", "eps"), BALLS)
def test_what_the_attack_is_judged_on_is_what_later_stages_read(norm: str, eps: float) -> None:
    clean, pixels = wild(eps)
    integers = ball.project(torch.from_numpy(pixels), torch.from_numpy(to_pixels(clean)), norm, eps)
    assert np.array_equal(ball.to_pixels(integers, norm, eps).numpy(), to_pixels(ball.to_stored(integers, norm, eps)))


def test_storing_keeps_a_perturbation_that_lies_on_the_grid() -> None:
    clean = np.full((1, 4, 4, 3), 100, np.uint8)
    assert (project(to_pixels(clean) + np.float32(4 / 255), clean, "Linf", 4 / 255) == 104).all()
    assert (project(to_pixels(clean) - np.float32(4 / 255), clean, "Linf", 4 / 255) == 96).all()


def test_8_bit_images_pass_through_the_16_bit_grid_unchanged() -> None:
    stored = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    assert np.array_equal(to_pixels(to_stored(to_pixels(stored), 16)), to_pixels(stored))
    assert np.array_equal(to_stored(to_pixels(stored), 8), stored)


def noisy_victim() -> Expected:
    defended = Defended(lambda x, noise: x + 0.3 * noise(0), small_network(2))
    return Expected(defended, defended, seed=1)


def test_the_adaptive_victim_averages_fresh_draws_and_its_gradient_is_their_mean() -> None:
    images, _, keys = batch(classes=2)
    victim, leaf = noisy_victim(), images.clone().requires_grad_()
    assert not torch.equal(victim(images, keys, search_query(0, 4)), victim(images, keys, search_query(1, 4)))
    single = [torch.autograd.grad(victim(leaf, keys, search_query(n, 1))[:, 0, 0].sum(), leaf)[0] for n in range(4)]
    mean = torch.autograd.grad(victim(leaf, keys, search_query(0, 4)).mean(1)[:, 0].sum(), leaf)[0]
    assert torch.allclose(mean, torch.stack(single).mean(0), atol=1e-6)


def test_the_adaptive_victims_draws_do_not_depend_on_the_batch() -> None:
    images, _, keys = batch(classes=2)
    victim, query = noisy_victim(), search_query(5, 3)
    whole = victim(images, keys, query)
    assert torch.allclose(victim(images[2:4], keys[2:4], query), whole[2:4], atol=1e-6)


def test_a_purifier_that_is_the_identity_leaves_the_bare_gradient() -> None:
    images, labels, keys = batch(classes=2)
    network = small_network(2)
    defended = Defended(lambda x, noise: x, network)
    attack = attack_of("fgsm", threat="adaptive", draws=2)
    adaptive = build_search(attack, Expected(defended, defended, seed=1), 2)(images, labels, keys)
    assert torch.equal(adaptive, run(attack_of("fgsm"), network, 2))


def test_square_on_a_stochastic_victim_stays_in_the_ball() -> None:
    images, labels, keys = batch(classes=2)
    attack = attack_of("square", threat="blackbox", draws=2, queries=10)
    found = build_search(attack, noisy_victim(), 2)(images, labels, keys)
    assert ((found - images).abs() <= EPS + 1e-6).all()


# targets


def test_targets_are_wrong_classes_uniform_over_the_others_by_seed_and_image() -> None:
    labels, keys = torch.arange(3000) % 5, torch.arange(3000) + 7
    targets = random_targets(labels, keys, 5, seed=1)
    assert (targets != labels).all()
    assert targets.min() == 0
    assert targets.max() == 4
    counts = torch.bincount((targets - labels) % 5)[1:]  # 750 each, by chance within 5 deviations of 24
    assert (counts - 750).abs().max() < 120
    assert torch.equal(random_targets(labels[40:50], keys[40:50], 5, seed=1), targets[40:50])
    assert not torch.equal(random_targets(labels, keys, 5, seed=2), targets)
    assert torch.equal(random_targets(labels % 2, keys, 2, seed=1), 1 - labels % 2)
    assert torch.equal(aims(attack_of("pgd"), labels, keys, 5, seed=1), labels)


@pytest.mark.parametrize(
    ("method", "keys"),
    [
        ("fgsm", {}),
        ("pgd", {}),
        ("pgdl2", {"eps": [0.5]}),
        ("apgd", {"steps": 10}),
        ("square", {"queries": 20}),
        ("pgd", {"threat": "adaptive", "draws": 2}),
        ("apgd", {"threat": "adaptive", "draws": 2, "steps": 10}),
        ("square", {"threat": "blackbox", "draws": 2, "queries": 20}),
    ],
)
def test_of_two_classes_a_targeted_attack_is_the_untargeted_one(method: str, keys: dict) -> None:
    images, labels, noise_keys = batch(classes=2)
    found = []
    for target in (None, "random"):
        attack = attack_of(method, target=target, **keys)
        victim = noisy_victim() if attack.threat.fresh else Bare(small_network(2))
        goals = aims(attack, labels, noise_keys, 2, seed=0)
        torch.manual_seed(7)
        found.append(build_search(attack, victim, 2)(images, goals, noise_keys))
    assert torch.equal(*found)


@pytest.mark.parametrize("method", ["pgd", "apgd"])
def test_a_targeted_attack_reaches_its_target_behind_a_defence(method: str) -> None:
    network = small_network(4)
    images, _, keys = batch(16)
    labels = network(images).argmax(1)
    attack = attack_of(method, target="random", threat="adaptive", eps=[0.3])
    defended = Defended(lambda x, noise: x, network)
    goals = aims(attack, labels, keys, 4, seed=0)
    found = build_search(attack, Expected(defended, defended, seed=0), 4)(images, goals, keys)
    assert (network(found).argmax(1) == goals).float().mean() > 0.9
