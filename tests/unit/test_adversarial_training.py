"""Adversarial training: the attack inside it, what it keeps, and that it makes a classifier robust."""

from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from torch import nn

from assay.attacks.methods.method import build_search
from assay.attacks.threats.transfer import Bare
from assay.data.prepare import prepare_images
from assay.files import AssayError
from assay.inputs import Inputs
from assay.manifests import read_manifest
from assay.networks.classifier import build_classifier, load_classifier
from assay.planning.jobs import Jobs
from assay.stacks import read_stack
from assay.study.attacks import PgdAttack
from assay.study.classifiers import Classifier, ClassifierSpec
from assay.study.images import ImagesSpec
from assay.study.objectives import AdversarialObjective
from assay.study.parse import parse_study
from assay.training.classifier import train_classifier
from assay.training.inner_attack import perturb
from assay.training.objective import Batch, Task
from assay.training.objectives import adversarial as module
from assay.training.objectives.adversarial import Adversarial, clean_rows

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
SIDE = 16
EPS = 6 / 255
CLASSIFIER = {
    "network": "timm/resnet18",
    "arguments": {"layers": [1, 1, 1, 1], "channels": [8, 16, 16, 16]},
    "small_stem": True,
    "epochs": 10,
    "batch_size": 32,
}
ADVERSARIAL = {"method": "adversarial", "eps": "6/255", "steps": 3, "validation_steps": 10, "validation_images": 128}
SHORT = {"epochs": 3, "batch_size": 16, "arguments": {"layers": [1, 1, 1, 1], "channels": [4, 4, 4, 4]}}
BRIEF = ADVERSARIAL | {"steps": 2, "validation_steps": 2, "validation_images": 16}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for split, count in (("train", 768), ("validation", 128), ("test", 192)):
        spec = ImagesSpec(images={"source": "phantom", "size": SIDE}, split=split, count=count, seed=0)
        prepare_images(spec, "", Inputs({}), folder / split)
    return folder


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("few")
    for split, count in (("train", 40), ("validation", 16)):
        spec = ImagesSpec(images={"source": "phantom", "size": SIDE}, split=split, count=count, seed=0)
        prepare_images(spec, "", Inputs({}), folder / split)
    return folder


def train(images: Path, out: Path, objective: dict | str, **changes: object) -> Path:
    spec = ClassifierSpec(classifier=CLASSIFIER | changes | {"objective": objective}, seed=0)
    inputs = Inputs({"train": images / "train", "validation": images / "validation"})
    train_classifier(spec, "code", inputs, out, 1)
    return out


def small_model(classes: int = 2) -> nn.Module:
    torch.manual_seed(0)
    return build_classifier(Classifier(**CLASSIFIER | {"arguments": SHORT["arguments"]}), classes)


def batch(count: int = 8, classes: int = 2) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    images = torch.rand(count, 3, SIDE, SIDE)
    images[0], images[1] = 0, 1
    return images, torch.arange(count) % classes, 2 * torch.rand_like(images) - 1


def accuracies(folder: Path, images: Path) -> tuple[float, float]:
    """Clean accuracy on the test images, and under the library's own PGD, which training has never met."""
    model, stack = load_classifier(folder, CPU), read_stack(images / "test")
    pixels, labels = torch.from_numpy(stack.pixels()), torch.from_numpy(stack.labels.astype("int64"))
    torch.manual_seed(0)
    attack = PgdAttack(method="pgd", eps=[EPS], steps=20)
    found = build_search(attack, Bare(model), 2)(pixels, labels, torch.arange(len(labels)))
    assert (found - pixels).abs().max() <= EPS + 1e-6
    with torch.inference_mode():
        return tuple((model(shown).argmax(1) == labels).float().mean().item() for shown in (pixels, found))


def test_adversarial_training_makes_a_classifier_robust(images: Path, tmp_path: Path) -> None:
    plain = accuracies(train(images, tmp_path / "plain", "cross_entropy"), images)
    robust = accuracies(train(images, tmp_path / "robust", ADVERSARIAL), images)
    assert plain[0] > 0.65
    assert robust[0] > 0.58, "a constant answer is robust and worthless"
    assert robust[1] >= plain[1] + 0.25
    facts = read_manifest(tmp_path / "robust")["facts"]
    history = pd.read_csv(tmp_path / "robust/history.csv")
    assert facts["robust_validation_accuracy"] == history["robust_validation_accuracy"].max()
    kept = history[history["epoch"] == facts["epoch"]].iloc[0]
    assert facts["validation_accuracy"] == pytest.approx(kept["validation_accuracy"])


@pytest.mark.parametrize("classes", [2, 3])
def test_the_attack_stays_in_the_ball_and_the_box_and_raises_the_loss(classes: int) -> None:
    model, (images, labels, coins) = small_model(classes), batch(classes=classes)
    found = perturb(model, images, labels, coins, EPS, 2.5 * EPS / 5, 5)
    assert (found - images).abs().max() <= EPS + 1e-7
    assert found.min() >= 0
    assert found.max() <= 1
    model.eval()
    with torch.inference_mode():
        before, after = (
            nn.functional.cross_entropy(model(shown), labels, reduction="none") for shown in (images, found)
        )
    assert (after > before).all()


def test_the_attack_begins_at_a_random_point_of_the_ball() -> None:
    model, (images, labels, coins) = small_model(), batch()
    assert torch.equal(perturb(model, images, labels, coins, EPS, 0.01, 0), (images + EPS * coins).clamp(0, 1))


def test_the_attack_leaves_batch_statistics_parameters_and_mode_as_they_are() -> None:
    model, (images, labels, coins) = small_model().train(), batch()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    perturb(model, images, labels, coins, EPS, 0.01, 3)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.training
    assert all(part.training for part in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_attack_does_not_saturate() -> None:
    class Confident(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            total = x.mean((1, 2, 3))
            return torch.stack([300 + total, total * 0], dim=1)

    images, _, coins = batch(2)
    labels = torch.zeros(2, dtype=torch.int64)
    logits = Confident()(images.requires_grad_())
    (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(logits, labels), images)
    assert not gradient.any(), "the cross-entropy's gradient underflows here"
    found = perturb(Confident(), images.detach(), labels, coins, EPS, EPS, 3)
    assert torch.equal(found, (images - EPS).clamp(0, 1))


def test_a_share_of_each_batch_stays_clean_on_every_rank() -> None:
    for share in (0.0, 0.25, 0.5, 0.9):
        rows = clean_rows(torch.arange(40), share)
        assert rows.sum() == round(40 * share)
        parts = [part.sum() for part in rows.tensor_split(2)]
        assert abs(parts[0] - parts[1]) <= 1


def objective(few: Path, model: nn.Module | None = None, **keys: object) -> Adversarial:
    recipe = Classifier(**CLASSIFIER)
    task = Task(model or small_model(), recipe, read_stack(few / "validation"), Inputs({}), 0, CPU)
    return Adversarial(task, AdversarialObjective(**BRIEF | keys))


def shown(
    images: torch.Tensor, labels: torch.Tensor, step: int = 5, epochs: float = 1.0, places: object = None
) -> Batch:
    places = torch.arange(len(images)) if places is None else places
    return Batch(images, labels, places, step, epochs, seed=0)


def test_the_images_of_a_step_are_functions_of_seed_and_step(few: Path) -> None:
    images, labels, _ = batch()
    attacked = objective(few).attacked
    found = attacked(shown(images, labels))
    assert torch.equal(found, attacked(shown(images, labels)))
    assert not torch.equal(found, attacked(shown(images, labels, step=6)))
    clean = clean_rows(torch.arange(8), 0.5)
    assert torch.equal(found[clean], images[clean])
    assert all((found[row] != images[row]).any() for row in (~clean).nonzero()[:, 0])


def test_ranks_together_attack_what_one_would(few: Path) -> None:
    images, labels, _ = batch()
    attacked = objective(few).attacked
    whole = attacked(shown(images, labels))
    parts = [
        attacked(shown(images[places], labels[places], places=places)) for places in torch.arange(8).tensor_split(2)
    ]
    assert torch.allclose(torch.cat(parts), whole, atol=1e-6)


def test_eps_rises_over_the_warm_up(few: Path) -> None:
    images, labels, _ = batch()
    attacked = objective(few, warmup_epochs=2, clean_share=0).attacked
    sizes = [
        (attacked(shown(images, labels, epochs=epochs)) - images).abs().max().item() for epochs in (0.0, 1.0, 2.0, 9.0)
    ]
    assert sizes == pytest.approx([0, EPS / 2, EPS, EPS], abs=1e-6)


def test_the_step_size_is_the_configs_or_covers_the_ball(few: Path) -> None:
    assert objective(few, eps=0.1, steps=5).step_size(0.1) == pytest.approx(0.05)
    assert objective(few, eps=0.1, steps=5, step_size=0.02).step_size(0.05) == pytest.approx(0.01)


def test_the_best_weights_are_kept_and_patience_ends_training(few: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = small_model()
    judged = objective(few, model, patience=2)
    scores = iter([0.4, 0.6, 0.6, 0.5])
    monkeypatch.setattr(Adversarial, "robust_accuracy", lambda self: next(scores))
    ended = []
    for epoch in range(4):
        with torch.no_grad():
            model.network.fc.bias.fill_(epoch)
        judged.judge()
        ended.append(judged.ended())
    assert ended == [False, False, False, True]
    judged.finish()
    assert model.network.fc.bias.tolist() == [1, 1]


def test_patience_ends_a_training_of_many_epochs(few: Path, tmp_path: Path) -> None:
    adversarial = BRIEF | {"eps": 1, "patience": 2}  # a ball that holds every image: nothing can get better
    out = train(few, tmp_path / "out", adversarial, **SHORT | {"epochs": 50})
    assert len(pd.read_csv(out / "history.csv")) < 50


@pytest.mark.parametrize("side", [32, 96])
def test_googlenet_trains_adversarially(side: int, few: Path) -> None:
    keys = {"network": "torchvision/googlenet", "arguments": {"aux_logits": False, "init_weights": False}}
    torch.manual_seed(0)
    model = build_classifier(Classifier(**keys), 2).train()
    images, labels = torch.rand(4, 3, side, side), torch.tensor([0, 1, 0, 1])
    before = model.network.conv1.conv.weight.clone()
    optimiser = torch.optim.AdamW(model.parameters())
    objective(few, model)(shown(images, labels)).backward()
    optimiser.step()
    assert torch.isfinite(model.network.conv1.conv.weight).all()
    assert not torch.equal(model.network.conv1.conv.weight, before)


# the workflow's view

DEMO = ROOT / "config/config.yaml"


def study(objective: dict | str):
    demo = parse_study(yaml.safe_load(DEMO.read_text()), "demo")
    data = demo.model_dump()
    data["classifiers"]["resnet"]["objective"] = objective
    return type(demo).model_validate(data)


def test_plain_classifiers_do_not_depend_on_this_module() -> None:
    from assay.planning.fingerprint import reachable

    path = Path(module.__file__)
    assert path not in reachable("workflow/stages/train_classifier.py")
    plain, other = (
        Jobs(study(objective)).train_classifier("resnet")
        for objective in ("cross_entropy", {"method": "adversarial", "eps": "2/255"})
    )
    assert path not in reachable("workflow/stages/train_classifier.py", *plain.modules)
    assert path in reachable("workflow/stages/train_classifier.py", *other.modules)
    assert other.code != plain.code


@pytest.mark.parametrize("key", ["eps", "clean_share", "patience", "steps"])
def test_a_number_out_of_range_is_refused(key: str) -> None:
    keys = f"objective: {{method: adversarial, eps: 2/255, {key}: -1}}".replace("eps: 2/255, eps", "eps")
    text = DEMO.read_text().replace("  resnet:\n", f"  resnet:\n    {keys}\n", 1)
    with pytest.raises(
        AssayError, match=rf"classifiers.resnet.objective.{key}: must be (greater than|at least) 0, found -1"
    ):
        parse_study(yaml.safe_load(text), "mine.yaml")
