"""Adversarial training: the attack inside it, what it keeps, and that it makes a classifier robust."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import nn

from assay.attacks.methods.method import build_search
from assay.attacks.threats.transfer import Bare
from assay.data.prepare import prepare_images
from assay.files import AssayError, read_manifest
from assay.networks.classifier import build_classifier, load_classifier
from assay.planning.resources import JobNeeds
from assay.planning.specs import Specs
from assay.planning.work import classifier_size, sizes_of_study, work
from assay.stacks import read_stack
from assay.study.attacks import PgdAttack
from assay.study.classifiers import AdversarialTraining, Classifier, ClassifierSpec
from assay.study.images import ImagesSpec
from assay.study.parse import read_study
from assay.training import steps as training
from assay.training.classifier import train_classifier
from assay.training.objectives import adversarial as module
from assay.training.objectives.adversarial import Adversarial, clean_rows, perturb, step_size
from assay.training.ranks import Ranks
from assay.training.steps import Checkpoints

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
ADVERSARIAL = {"eps": "6/255", "steps": 3, "validation_steps": 10, "validation_images": 128}
SHORT = {"epochs": 3, "batch_size": 16, "arguments": {"layers": [1, 1, 1, 1], "channels": [4, 4, 4, 4]}}
BRIEF = ADVERSARIAL | {"steps": 2, "validation_steps": 2, "validation_images": 16}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for split, count in (("train", 768), ("validation", 128), ("test", 192)):
        spec = ImagesSpec(images={"source": "phantom", "size": SIDE}, split=split, count=count, seed=0)
        prepare_images(spec, "", folder / split)
    return folder


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("few")
    for split, count in (("train", 40), ("validation", 16)):
        spec = ImagesSpec(images={"source": "phantom", "size": SIDE}, split=split, count=count, seed=0)
        prepare_images(spec, "", folder / split)
    return folder


def train(images: Path, out: Path, adversarial: dict | None, **changes: object) -> Path:
    spec = ClassifierSpec(classifier=CLASSIFIER | changes | {"adversarial": adversarial}, seed=0)
    train_classifier(spec, "code", images / "train", images / "validation", out, 1)
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
    plain = accuracies(train(images, tmp_path / "plain", None), images)
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
        rows = clean_rows(40, share)
        assert rows.sum() == round(40 * share)
        parts = [part.sum() for part in rows.tensor_split(2)]
        assert abs(parts[0] - parts[1]) <= 1


def regime(few: Path, **keys: object) -> Adversarial:
    adversarial = AdversarialTraining(**BRIEF | keys)
    return Adversarial(adversarial, read_stack(few / "validation"), 0, Ranks())


def test_the_images_of_a_step_are_functions_of_seed_and_step(few: Path) -> None:
    model, (images, labels, _) = small_model(), batch()
    show = regime(few).show
    shown = show(model, images, labels, 8, 5, 1.0)
    assert torch.equal(shown, show(model, images, labels, 8, 5, 1.0))
    assert not torch.equal(shown, show(model, images, labels, 8, 6, 1.0))
    clean = clean_rows(8, 0.5)
    assert torch.equal(shown[clean], images[clean])
    assert all((shown[row] != images[row]).any() for row in (~clean).nonzero()[:, 0])


def test_ranks_together_show_what_one_would(few: Path) -> None:
    model, (images, labels, _) = small_model(), batch()
    one = regime(few)
    whole = one.show(model, images, labels, 8, 5, 1.0)
    parts = []
    for rank in range(2):
        ranks = Ranks(rank, 2)
        share = Adversarial(one.adversarial, one.held_out, 0, ranks)
        parts.append(share.show(model, ranks.share(images), ranks.share(labels), 8, 5, 1.0))
    assert torch.allclose(torch.cat(parts), whole, atol=1e-6)


def test_eps_rises_over_the_warm_up(few: Path) -> None:
    model, (images, labels, _) = small_model(), batch()
    show = regime(few, warmup_epochs=2, clean_share=0).show
    sizes = [(show(model, images, labels, 8, 5, epochs) - images).abs().max().item() for epochs in (0.0, 1.0, 2.0, 9.0)]
    assert sizes == pytest.approx([0, EPS / 2, EPS, EPS], abs=1e-6)


def test_the_step_size_is_the_configs_or_covers_the_ball() -> None:
    assert step_size(AdversarialTraining(eps=0.1, steps=5), 0.1, 5) == pytest.approx(0.05)
    assert step_size(AdversarialTraining(eps=0.1, step_size=0.02), 0.05, 5) == pytest.approx(0.01)


def test_the_best_epoch_is_kept_and_patience_ends_training(few: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, judged = small_model(), regime(few, patience=2)
    scores = iter([0.4, 0.6, 0.6, 0.5])
    monkeypatch.setattr(Adversarial, "robust_accuracy", lambda *arguments: next(scores))
    ended = []
    for epoch in range(4):
        with torch.no_grad():
            model.network.fc.bias.fill_(epoch)
        judged.judge(model, epoch, CPU)
        ended.append(judged.ended(epoch + 1))
    assert ended == [False, False, False, True]
    judged.finish(model)
    assert model.network.fc.bias.tolist() == [1, 1]


def test_patience_ends_a_training_of_many_epochs(few: Path, tmp_path: Path) -> None:
    adversarial = BRIEF | {"eps": 1, "patience": 2}  # a ball that holds every image: nothing can get better
    out = train(few, tmp_path / "out", adversarial, **SHORT | {"epochs": 50})
    assert len(pd.read_csv(out / "history.csv")) < 50


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_a_resumed_training_gives_the_bytes_of_one_that_was_not(
    few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = contents(train(few, tmp_path / "whole", BRIEF, **SHORT))
    monkeypatch.setattr(training, "LEAST_SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    monkeypatch.setattr(training, "LARGEST_SHARE_OF_TIME", 1e9)
    save, saved = Checkpoints.save, []

    def save_and_stop(self: Checkpoints, state: dict) -> None:
        save(self, state)
        saved.append(state["step"])
        if len(saved) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoints, "save", save_and_stop)
    with pytest.raises(KeyboardInterrupt):
        train(few, tmp_path / "stopped", BRIEF, **SHORT)
    assert contents(train(few, tmp_path / "stopped", BRIEF, **SHORT)) == whole
    assert saved[:3] == [1, 2, 3]
    assert saved == sorted(set(saved)), "a step was done twice"


def test_two_ranks_give_the_loss_curve_of_one(few: Path, tmp_path: Path) -> None:
    without_batch_statistics = {"layers": [1, 1, 1, 1], "channels": [32] * 4, "norm_layer": "groupnorm"}
    classifier = CLASSIFIER | SHORT | {"arguments": without_batch_statistics, "epochs": 2, "adversarial": BRIEF}
    spec = ClassifierSpec(classifier=classifier, seed=0)
    histories = []
    for ranks in (1, 2):
        out = tmp_path / str(ranks)
        program = [
            sys.executable,
            "workflow/stages/train_classifier.py",
            "--ranks",
            str(ranks),
            "--spec",
            spec.model_dump_json(),
        ]
        places = ["--train", few / "train", "--validation", few / "validation", "--out", out]
        subprocess.run([*program, *map(str, places)], check=True, cwd=ROOT)
        histories.append(pd.read_csv(out / "history.csv"))
    pd.testing.assert_frame_equal(*histories, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("side", [32, 96])
def test_googlenet_trains_adversarially(side: int, few: Path) -> None:
    keys = {"network": "torchvision/googlenet", "arguments": {"aux_logits": False, "init_weights": False}}
    torch.manual_seed(0)
    model = build_classifier(Classifier(**keys), 2).train()
    images, labels = torch.rand(4, 3, side, side), torch.tensor([0, 1, 0, 1])
    shown = regime(few).show(model, images, labels, 4, 0, 1.0)
    before = model.network.conv1.conv.weight.clone()
    optimiser = torch.optim.AdamW(model.parameters())
    nn.functional.cross_entropy(model(shown), labels).backward()
    optimiser.step()
    assert torch.isfinite(model.network.conv1.conv.weight).all()
    assert not torch.equal(model.network.conv1.conv.weight, before)


# the workflow's view

DEMO = ROOT / "config/config.yaml"


def study(adversarial: dict | None):
    demo = read_study(DEMO)
    data = demo.model_dump()
    data["classifiers"]["resnet"]["adversarial"] = adversarial
    return type(demo).model_validate(data)


def test_plain_classifiers_do_not_depend_on_this_module(monkeypatch: pytest.MonkeyPatch) -> None:
    from assay.planning.fingerprint import reachable

    path = Path(module.__file__)
    assert path not in reachable("workflow/stages/train_classifier.py")
    assert path in reachable("workflow/stages/train_classifier.py", "assay.training.objectives.adversarial")
    plain, other = Specs(study(None)), Specs(study({"eps": "2/255"}))
    assert plain.code_of_classifier("resnet") == plain.code("train_classifier")
    assert other.code_of_classifier("resnet") != plain.code_of_classifier("resnet")


def test_plans_and_resources_count_the_steps_of_the_attack() -> None:
    keys = {"eps": "2/255", "steps": 7, "clean_share": 0.25, "validation_steps": 5, "validation_images": 64}
    plain, attacked = study(None), study(keys)
    images, epochs = plain.images.train, plain.classifiers["resnet"].epochs
    size = classifier_size(plain.classifiers["resnet"], plain.images.size).multiply_adds
    amounts = [
        work("train_classifier", "resnet", json.loads(Specs(made).classifier("resnet")), sizes_of_study(made)).amount
        for made in (plain, attacked)
    ]
    assert amounts[0] == 3 * epochs * images * size
    assert amounts[1] == pytest.approx(3 * epochs * (images * (1 + 0.75 * 7) + 5 * 64) * size)
    assert (
        JobNeeds(study(keys | {"steps": 5000})).classifier("resnet").runtime
        > JobNeeds(plain).classifier("resnet").runtime
    )


@pytest.mark.parametrize("key", ["eps", "clean_share", "patience", "steps"])
def test_a_number_out_of_range_is_refused(key: str, tmp_path: Path) -> None:
    text = DEMO.read_text().replace("  resnet:\n", f"  resnet:\n    adversarial: {{eps: 2/255, {key}: -1}}\n", 1)
    (tmp_path / "mine.yaml").write_text(text.replace("eps: 2/255, eps", "eps"))
    with pytest.raises(AssayError, match=rf"classifiers.resnet.adversarial.{key}: input should be greater than"):
        read_study(tmp_path / "mine.yaml")
