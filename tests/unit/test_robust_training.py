"""Adversarial training as Xie et al. did it, and fast recipes: each against its definition, written anew here."""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

import trainings
from assay.attacks.methods.geometry import random_point
from assay.attacks.methods.method import build_search
from assay.attacks.threats.transfer import Bare
from assay.inputs import Inputs
from assay.manifests import read_manifest
from assay.modules import build
from assay.networks.classifier import build_classifier
from assay.stacks import read_stack
from assay.study.attacks import PgdAttack
from assay.study.classifiers import Classifier
from assay.study.objectives import RobustObjective
from assay.training.inner_attack import perturb
from assay.training.objective import Batch, Task
from assay.training.objectives.robust import Robust
from assay.training.rates import learning_rate
from assay.training.weight_perturbation import perturbed
from trainings import Stopped, contents, save_always

CPU = torch.device("cpu")
SIDE = 16
EPS = 8 / 255
JUDGED = {"validation_steps": 2, "validation_images": 8}
RECIPES = {
    "adversarial": {"steps": 3},
    "fgsm_rs": {},
    "n_fgsm": {},
    "trades": {"steps": 3},
}
XIE = {"steps": 2, "target": "random", "clean_starts": 0.2, "clean_share": 0, "label_smoothing": 0.1, "keep": "last"}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trainings.prepare(tmp_path_factory.mktemp("prepared"))


def small_model(classes: int = 2) -> nn.Module:
    torch.manual_seed(0)
    keys = {"network": "timm/resnet18", "arguments": {"layers": [1, 1, 1, 1], "channels": [4, 4, 4, 4]}}
    model = build_classifier(Classifier(**keys, small_stem=True), classes)
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(std=0.1)
            nn.init.uniform_(part.weight, 0.5, 1.5)
    return model


def recipe(prepared: Path, method: str, model: nn.Module | None = None, **keys: object) -> Robust:
    described = Classifier(network="timm/resnet18", objective={"method": method, "eps": EPS} | JUDGED | keys)
    task = Task(model or small_model(), described, read_stack(prepared / "validation"), Inputs({}), 0, CPU)
    return build(described.objective, task)


def batch(count: int = 6, classes: int = 2, step: int = 3, epochs: float = 1.0) -> Batch:
    torch.manual_seed(1)
    images = torch.rand(count, 3, SIDE, SIDE)
    return Batch(images, torch.arange(count) % classes, torch.arange(count), step, epochs, seed=0)


def coins(shown: Batch) -> Tensor:
    return 2 * shown.uniform("start", *shown.images.shape[1:]) - 1


# the attacks inside


@pytest.mark.parametrize("target", [None, "random"])
@pytest.mark.parametrize("start", [False, True])
@pytest.mark.parametrize("classes", [2, 4])
def test_pgd_inside_training_finds_what_the_attack_stages_does(target: str | None, start: bool, classes: int) -> None:
    """With the same numbers; of two classes the training follows the margin, whose sign is the cross-entropy's."""
    model, shown = small_model(classes).eval(), batch(classes=classes)
    keys, aims = torch.arange(6), (shown.labels + 1) % classes if target else shown.labels
    numbers = {"steps": 5, "step_size": EPS / 3, "momentum": 0, "decay": "none", "loss": "ce", "random_start": start}
    attack = PgdAttack(method="pgd", eps=[EPS], target=target, **numbers)
    theirs = build_search(attack, Bare(model), classes, seed=7)(shown.images, aims, keys)
    point = random_point(shown.images, "Linf", EPS, 7, keys, 0) if start else shown.images
    where = (point - shown.images) / EPS
    ours = perturb(model, shown.images, aims, where, EPS, EPS / 3, 5, targeted=target is not None)
    assert (ours - theirs).abs().max() < 1e-6
    assert (ours - shown.images).abs().max() > EPS / 2


def test_a_targeted_attack_comes_nearer_to_its_targets() -> None:
    model, shown = small_model(4).eval(), batch(classes=4)
    targets = (shown.labels + 2) % 4
    found = perturb(model, shown.images, targets, torch.zeros_like(shown.images), EPS, EPS / 4, 5, targeted=True)
    with torch.inference_mode():
        before, after = (functional.cross_entropy(model(x), targets, reduction="none") for x in (shown.images, found))
    assert (after < before).all()


def test_targets_are_wrong_classes_drawn_evenly_and_anew_in_each_step(prepared: Path) -> None:
    adversarial = recipe(prepared, "adversarial", **XIE)
    adversarial.task.held_out.manifest["facts"]["classes"] = list("abcde")
    drawn = torch.stack([adversarial._targets(batch(40, 5, step)) for step in range(100)])
    offsets = (drawn - batch(40, 5).labels) % 5
    counts = offsets.flatten().bincount(minlength=5)
    assert counts[0] == 0
    assert (counts[1:] - 1000).abs().max() < 4 * (4000 * 0.25 * 0.75) ** 0.5
    assert not torch.equal(drawn[0], drawn[1])


def test_a_share_of_the_steps_starts_at_the_images_themselves(prepared: Path) -> None:
    starts = recipe(prepared, "adversarial", **XIE)._starts_clean
    assert sum(starts(batch(1, step=step)) for step in range(1000)) == pytest.approx(200, abs=4 * 160**0.5)
    never = recipe(prepared, "adversarial", **XIE | {"clean_starts": 0})._starts_clean
    assert not any(never(batch(1, step=step)) for step in range(99))
    always, model, shown = recipe(prepared, "adversarial", **XIE | {"clean_starts": 1}), small_model(), batch()
    expected = perturb(model, shown.images, 1 - shown.labels, torch.zeros_like(shown.images), EPS, 1.25 * EPS, 2, True)
    assert torch.equal(always.attacked(shown), expected), "of two classes one is wrong"


def gradient_sign(model: nn.Module, x: Tensor, labels: Tensor) -> Tensor:
    x = x.clone().requires_grad_()
    functional.cross_entropy(model.eval()(x), labels).backward()
    return x.grad.sign()


def test_fgsm_rs_is_one_long_step_projected_into_the_ball(prepared: Path) -> None:
    model, shown = small_model(), batch()
    delta = EPS * coins(shown)
    delta = torch.max(torch.min(delta, 1 - shown.images), -shown.images)
    delta = (delta + 10 / 255 * gradient_sign(model, shown.images + delta, shown.labels)).clamp(-EPS, EPS)
    expected = (shown.images + delta).clamp(0, 1)
    assert (recipe(prepared, "fgsm_rs").attacked(shown) - expected).abs().max() < 1e-6


def test_n_fgsm_steps_from_noise_and_is_not_projected(prepared: Path) -> None:
    model, shown = small_model(), batch()
    noisy = (shown.images + 2 * EPS * coins(shown)).clamp(0, 1)
    expected = (noisy + EPS * gradient_sign(model, noisy, shown.labels)).clamp(0, 1)
    found = recipe(prepared, "n_fgsm").attacked(shown)
    assert (found - expected).abs().max() < 1e-6
    assert 2 * EPS < (found - shown.images).abs().max() <= 3 * EPS + 1e-6


def test_trades_attacks_what_is_answered_otherwise(prepared: Path) -> None:
    model, shown = small_model(), batch()
    keys = {"steps": 3, "step_size": EPS / 2}
    x = shown.images + 0.001 * shown.normal("start", 3, SIDE, SIDE)
    x = torch.max(torch.min(x, shown.images + EPS), shown.images - EPS).clamp(0, 1)
    clean = model.eval()(shown.images).softmax(1).detach()
    for _ in range(3):
        x = x.detach().requires_grad_()
        nn.KLDivLoss(reduction="sum")(model(x).log_softmax(1), clean).backward()
        x = torch.max(torch.min(x + EPS / 2 * x.grad.sign(), shown.images + EPS), shown.images - EPS).clamp(0, 1)
    assert (recipe(prepared, "trades", **keys).attacked(shown) - x).abs().max() < 1e-5


@pytest.mark.parametrize("method", RECIPES)
def test_attacks_leave_modes_and_statistics_as_they_are(method: str, prepared: Path) -> None:
    trained = recipe(prepared, method, **RECIPES[method]).train()
    before = copy.deepcopy(trained.network.state_dict())
    trained.attacked(batch())
    assert all(torch.equal(value, before[name]) for name, value in trained.network.state_dict().items())
    assert all(part.training for part in trained.modules())


@pytest.mark.parametrize("method", RECIPES)
def test_attacks_grow_with_eps_over_the_warm_up(method: str, prepared: Path) -> None:
    trained = recipe(prepared, method, **RECIPES[method], warmup_epochs=2)
    full, half, none = (
        (trained.attacked(batch(epochs=epochs)) - batch().images).abs().max().item() for epochs in (2.0, 1.0, 0.0)
    )
    assert half == pytest.approx(full / 2, rel=0.1)
    assert none == 0


# the losses


def test_labels_are_smoothed_in_the_loss(prepared: Path) -> None:
    trained, shown = recipe(prepared, "n_fgsm", label_smoothing=0.3).eval(), batch()
    log_p = trained.network(trained.attacked(shown)).log_softmax(1)
    soft = 0.7 * functional.one_hot(shown.labels, 2) + 0.15
    assert trained(shown).item() == pytest.approx(-(soft * log_p).sum(1).mean().item(), rel=1e-5)


def test_the_loss_of_trades_is_the_papers(prepared: Path) -> None:
    trained, shown = recipe(prepared, "trades", steps=2, beta=6).train(), batch()
    model, attacked = copy.deepcopy(trained.network), trained.attacked(shown)
    logits = model(shown.images)
    far = nn.KLDivLoss(reduction="batchmean")(model(attacked).log_softmax(1), logits.softmax(1))
    expected = functional.cross_entropy(logits, shown.labels) + 6 * far
    assert trained(shown).item() == pytest.approx(expected.item(), rel=1e-5)
    states = zip(trained.network.state_dict().values(), model.state_dict().values(), strict=True)
    assert all(torch.allclose(ours, theirs) for ours, theirs in states), "batch statistics see both kinds of images"


def test_moved_weights_are_those_of_a_proxy_that_took_one_step_upwards() -> None:
    """Wu et al. take the step with SGD on a copy of the network, and measure how far each layer went."""
    model, images, labels = small_model().double().train(), batch().images.double(), batch().labels
    gamma, proxy, moved = 0.05, copy.deepcopy(model), copy.deepcopy(model)
    optimiser = torch.optim.SGD(proxy.parameters(), lr=0.01)
    (-functional.cross_entropy(proxy(images), labels)).backward()
    optimiser.step()
    far = dict(proxy.named_parameters())
    with torch.no_grad():
        for name, weight in moved.named_parameters():
            if weight.ndim > 1 and "weight" in name:
                change = far[name] - weight
                weight += gamma * weight.norm() / (change.norm() + 1e-20) * change
    functional.cross_entropy(moved(images), labels).backward()
    found = perturbed(model, lambda network: functional.cross_entropy(network(images), labels), gamma)
    functional.cross_entropy(found(images), labels).backward()
    for ours, theirs in zip(model.parameters(), moved.parameters(), strict=True):
        assert torch.allclose(ours.grad, theirs.grad, rtol=1e-6, atol=1e-10)
    for ours, theirs in zip(model.buffers(), moved.buffers(), strict=True):
        assert torch.allclose(ours, theirs), "batch statistics are of one pass only"


def test_weights_are_moved_after_so_many_epochs(prepared: Path) -> None:
    losses = [
        recipe(prepared, "n_fgsm", **keys)(batch(epochs=4.9)).item()
        for keys in ({}, {"awp": {"gamma": 0.1, "after_epochs": 5}}, {"awp": {"gamma": 0.1, "after_epochs": 4}})
    ]
    assert losses[0] == losses[1] < losses[2]


class Passes(TorchDispatchMode):
    """Counts what convolutions multiply; a convolution's backward counts once for each gradient that it gives."""

    multiply_adds = 0

    def __torch_dispatch__(self, func: Callable, types: object, args: tuple = (), kwargs: dict | None = None) -> object:
        out = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.convolution.default:
            self.multiply_adds += out.numel() * args[1][0].numel()
        elif func is torch.ops.aten.convolution_backward.default:
            self.multiply_adds += sum(args[-1][:2]) * args[0].numel() * args[2][0].numel()
        return out


@pytest.mark.parametrize("keys", [{}, {"awp": {"gamma": 0.01}}])
@pytest.mark.parametrize("method", RECIPES)
def test_planning_counts_the_gradients_that_a_step_takes(method: str, keys: dict, prepared: Path) -> None:
    """In forward passes: three for a gradient of the weights, two for one of the images alone."""
    trained, shown = recipe(prepared, method, **RECIPES[method], **keys).train(), batch(8)
    one, all_of_them = Passes(), Passes()
    with one:
        trained.network(shown.images)
    with all_of_them:
        trained(shown).backward()
    spec: RobustObjective = trained.spec
    taken = all_of_them.multiply_adds / one.multiply_adds
    assert taken == pytest.approx(3 + 2 * spec.extra_gradients(8, 0) / 8, rel=0.1)


# what is kept


def judged(trained: Robust, scores: list[float], monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether the training ended after each of these robust accuracies; the head's bias counts the validations."""
    given = iter(scores)
    monkeypatch.setattr(Robust, "robust_accuracy", lambda self: next(given))
    ended = []
    for epoch in range(len(scores)):
        nn.init.constant_(trained.network.network.fc.bias, epoch)
        trained.judge()
        ended.append(trained.ended())
    trained.finish()
    return ended


def test_catastrophic_overfitting_ends_a_fast_training(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = recipe(prepared, "fgsm_rs", keep="last")
    assert judged(trained, [0.3, 0.5, 0.31, 0.05], monkeypatch) == [False, False, False, True]
    assert trained.network.network.fc.bias.tolist() == [1, 1], "the weights of before are kept"
    state = trained.state()
    again = recipe(prepared, "fgsm_rs")
    again.restore(state)
    assert again.has_fallen()


def test_the_last_weights_are_kept_if_the_config_says(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = recipe(prepared, "adversarial", **XIE)
    assert not any(judged(trained, [0.5, 0.9, 0.2], monkeypatch))
    assert trained.network.network.fc.bias.tolist() == [2, 2]


@pytest.mark.parametrize("keys", [{"method": "n_fgsm", "awp": {"gamma": 0.01}}, {"method": "adversarial"} | XIE])
def test_a_resumed_training_has_the_bytes_of_one_that_was_not(
    keys: dict, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {"objective": keys | JUDGED | {"eps": EPS}}
    whole = contents(trainings.train("classifier", prepared, tmp_path / "whole", **changes))
    save_always(monkeypatch).stop_after = 3
    with pytest.raises(Stopped):
        trainings.train("classifier", prepared, tmp_path / "out", **changes)
    monkeypatch.undo()
    out = trainings.train("classifier", prepared, tmp_path / "out", **changes)
    assert contents(out) == whole
    assert "robust_validation_accuracy" in read_manifest(out)["facts"]


def test_the_papers_recipe_in_the_readme_is_one_that_can_be_trained() -> None:
    """5 epochs up to .1 x 4096 / 256, a tenth each after epochs 35, 70 and 95 of 110, counted in steps of 312."""
    text = (Path(__file__).parents[2] / "README.md").read_text()
    blocks = [block.split("```")[0] for block in text.split("```yaml\n")[1:]]
    (recipes,) = [yaml.safe_load(block)["classifiers"] for block in blocks if "r152-denoise" in block]
    described = Classifier.model_validate(recipes["r152-denoise"])
    images, per_epoch = 1_281_167, 312
    steps = described.total_steps(images)
    assert steps == 110 * per_epoch
    assert described.parts == 128
    epochs = (2, 5, 34, 36, 69, 71, 94, 96, 109)
    rates = [learning_rate(described, epoch * per_epoch, steps) / (0.1 * 4096 / 256) for epoch in epochs]
    assert rates == pytest.approx([2 / 5, 1, 1, 0.1, 0.1, 0.01, 0.01, 0.001, 0.001], rel=0.01)
    assert described.objective.extra_gradients(images, 0) == 30 * images
