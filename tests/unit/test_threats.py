"""Threats: what each victim is, over classifiers and diffusions on disk, and how a locked stack is judged."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from assay.planning.specs import Specs
from torch import Tensor, nn

from assay.attacks.attack import attack_stack
from assay.attacks.methods.losses import mean_gradient, negative_margin
from assay.attacks.methods.method import build_search, margin
from assay.attacks.threats.blackbox import without_gradient
from assay.attacks.threats.bpda import straight_through
from assay.attacks.threats.defended import Expected
from assay.attacks.threats.victim import Victim, build_victim
from assay.batches import Part
from assay.defended import Defended
from assay.diffusion.denoiser import denoiser_of, write_diffusion
from assay.evaluation.classify import classify_stack
from assay.evaluation.scores import read_scores
from assay.files import AssayError, artifact, read_manifest
from assay.networks.classifier import build_classifier, load_classifier, write_classifier
from assay.networks.unet import build_network
from assay.noise import image_key
from assay.planning.cells import cells
from assay.planning.resources import JobNeeds
from assay.purifiers.purifier import build_purifier, evaluation_noise
from assay.purifiers.purify import purify_stack
from assay.stacks import read_stack, read_table, write_stack
from assay.study.attacks import AttackSpec
from assay.study.classifiers import Classifier
from assay.study.diffusions import Diffusion
from assay.study.evaluation import ClassifySpec
from assay.study.parse import parse_study
from assay.study.purifiers import DdpmPurifier, PurifySpec

SIDE, IMAGES, BATCH, SEED = 16, 10, 4, 3
CPU = torch.device("cpu")
CLASSIFIER = Classifier(
    network="timm/resnet18", arguments={"layers": [1, 1, 1, 1], "channels": [8, 8, 16, 16]}, small_stem=True
)
DIFFUSION = Diffusion(channels=[8, 16], layers_per_block=1, norm_groups=4, middle_attention=False, steps=1)
DDPM = {"method": "ddpm", "diffusion": "unet", "sigmas": [0.1], "steps": 4}
IDENTITY = DDPM | {"sigmas": [0.0]}
THREATS = {
    "transfer": {},
    "adaptive": {"draws": 2},
    "bpda": {"draws": 2},
    "surrogate": {"draws": 2, "surrogate_steps": 2},
    "locked": {},
    "blackbox": {"draws": 2},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images, a classifier and a diffusion with random weights; some labels are not what the classifier says."""
    folder = tmp_path_factory.mktemp("made")
    torch.manual_seed(0)
    with artifact(folder / "classifier", "classifier", {"classifier": CLASSIFIER.model_dump()}, "", {}, {}) as draft:
        model = build_classifier(CLASSIFIER, 2).eval()
        write_classifier(draft, model, CLASSIFIER, 2)
    with artifact(folder / "diffusion", "diffusion", {"diffusion": DIFFUSION.model_dump()}, "", {}, {}) as draft:
        write_diffusion(draft, denoiser_of(build_network(DIFFUSION, SIDE), DIFFUSION))
    images = np.random.default_rng(0).integers(60, 196, (IMAGES, SIDE, SIDE, 3), np.uint8)
    with torch.no_grad():
        labels = model(torch.from_numpy(images.transpose(0, 3, 1, 2) / 255).float()).argmax(1).numpy()
    labels[::5] = 1 - labels[::5]
    with artifact(folder / "images", "stack", {}, "", {}, {}) as draft:
        draft.facts["classes"] = 2
        write_stack(draft, images, pd.DataFrame({"id": [f"i{k}" for k in range(IMAGES)], "label": labels}))
    return folder


def spec_of(threat: str, method: str, purifier: dict | None = DDPM, **keys: object) -> AttackSpec:
    attack = {"method": method, "threat": threat, "eps": [4 / 255]} | THREATS[threat] | keys
    purifier = None if threat == "transfer" else purifier
    return AttackSpec.model_validate({"attack": attack, "purifier": purifier, "batch_size": BATCH, "seed": SEED})


def attacked(made: Path, out: Path, spec: AttackSpec, part: Part | None = None) -> None:
    diffusion = made / "diffusion" if spec.purifier else None
    attack_stack(spec, "code", made / "images", made / "classifier", diffusion, out, 1, part)


def victim_of(made: Path, spec: AttackSpec) -> Victim:
    return build_victim(spec, made / "classifier", made / "diffusion", CPU).eval().requires_grad_(False)


def batch_of(made: Path) -> tuple[Tensor, Tensor, Tensor]:
    stack = read_stack(made / "images")
    keys = torch.tensor([image_key(name) for name in stack.ids])
    return torch.from_numpy(stack.pixels()), torch.from_numpy(stack.labels.astype("int64")), keys


# what each victim is


def test_each_threat_differentiates_what_it_says(made: Path) -> None:
    images, labels, keys = batch_of(made)
    gradients = {}
    for threat in THREATS:
        victim = victim_of(made, spec_of(threat, "square" if threat == "blackbox" else "pgd", draws=1))
        victim.begin(keys)
        if threat == "blackbox":
            assert not victim(images.requires_grad_()).requires_grad
            images = images.detach()
        else:
            gradients[threat] = mean_gradient(victim, images, labels, negative_margin)[1]
    assert len({tuple(gradient.flatten()[:50].tolist()) for gradient in gradients.values()}) == len(gradients)
    classifier = load_classifier(made / "classifier", CPU)
    fewer = DdpmPurifier.model_validate(DDPM | {"steps": THREATS["surrogate"]["surrogate_steps"]})
    purify = build_purifier(fewer, made / "diffusion", CPU)
    victim = victim_of(made, spec_of("adaptive", "pgd", draws=1))
    victim.attacked = Defended(purify, classifier)
    victim.begin(keys)
    assert torch.equal(mean_gradient(victim, images, labels, negative_margin)[1], gradients["surrogate"])


def test_all_stochastic_threats_are_judged_on_the_true_defence(made: Path) -> None:
    images, _, keys = batch_of(made)
    answers = []
    for threat in ("adaptive", "bpda", "surrogate", "blackbox"):
        victim = victim_of(made, spec_of(threat, "square" if threat == "blackbox" else "pgd"))
        victim.begin(keys)
        answers.append(victim.judge(images, 3, "selection"))
    assert all(torch.equal(answer, answers[0]) for answer in answers)
    assert answers[0].std(1).min() > 0


def test_the_straight_through_purifier_has_its_values_and_the_identitys_gradient() -> None:
    x = torch.rand(2, 3, 4, 4).requires_grad_()
    purified = straight_through(lambda x, noise: (8 * x).round() / 8)(x, None)
    assert torch.equal(purified, (8 * x).round() / 8)
    weights = torch.rand(x.shape)
    assert torch.equal(torch.autograd.grad((weights * purified).sum(), x)[0], weights)


# known answers


def images_of(result: Path) -> np.ndarray:
    return np.array(read_stack(result).images)


@pytest.mark.parametrize("threat", [threat for threat in THREATS if threat not in ("transfer", "blackbox")])
@pytest.mark.parametrize("method", ["fgsm", "pgd"])
def test_the_identity_defence_gives_the_undefended_result(threat: str, method: str, made: Path, tmp_path: Path) -> None:
    keys = {"random_start": False, "steps": 6} if method == "pgd" else {}
    attacked(made, tmp_path / "bare", spec_of("transfer", method, **keys))
    attacked(made, tmp_path / "defended", spec_of(threat, method, IDENTITY, **keys))
    bare, defended = (read_table(tmp_path / name / "table.csv", ("id",)) for name in ("bare", "defended"))
    assert bare["fooled"].any()
    assert defended["fooled"].tolist() == bare["fooled"].tolist()
    if method == "fgsm":
        assert np.array_equal(images_of(tmp_path / "bare"), images_of(tmp_path / "defended"))
        assert defended["margin"].tolist() == pytest.approx(bare["margin"].tolist(), abs=1e-5)


def test_square_behind_the_identity_has_the_undefended_verdicts(made: Path, tmp_path: Path) -> None:
    attacked(made, tmp_path / "bare", spec_of("transfer", "square", queries=40))
    attacked(made, tmp_path / "defended", spec_of("blackbox", "square", IDENTITY, queries=40))
    bare, defended = (read_table(tmp_path / name / "table.csv", ("id",)) for name in ("bare", "defended"))
    assert defended["fooled"].tolist() == bare["fooled"].tolist()


class Rounding(nn.Module):
    """A defence that masks its gradient: pixels are rounded to a few levels."""

    def forward(self, x: Tensor, noise: object) -> Tensor:
        return (5 * x).round() / 5


def test_a_defence_that_masks_its_gradient_is_broken_by_bpda_and_by_black_box_but_not_by_its_own_gradient() -> None:
    generator = torch.Generator().manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 2)).requires_grad_(False)
    colours = torch.randn(2, 3, 1, 1, generator=generator).repeat(1, 1, 8, 8).flatten(1)
    network[1].weight.data, network[1].bias.data = colours, -0.5 * colours.sum(1)
    images = torch.randint(60, 196, (12, 3, 8, 8), generator=generator) / 255
    labels, keys, eps = network(Rounding()(images, None)).argmax(1), torch.arange(12), 40 / 255
    away = torch.where(labels == 0, 1.0, -1.0).view(-1, 1, 1, 1) * (colours[1] - colours[0]).sign().view(1, 3, 8, 8)
    worst = margin(network(Rounding()((images + eps * away).clamp(0, 1), None)), labels)  # rounding is monotone
    breakable = worst < 0
    assert breakable.sum() > 8

    def fooled(threat: str, method: str, purify: object, **options: object) -> Tensor:
        attack = spec_of(threat, method, eps=[eps], **options).attack
        victim = Expected(Defended(purify, network), Defended(Rounding(), network), attack.draws, 0)
        victim.begin(keys)
        torch.manual_seed(0)
        found = build_search(attack, victim, 2)(images, labels, keys)
        return margin(network(Rounding()(found, None)), labels) < 0

    assert not fooled("adaptive", "pgd", Rounding(), random_start=False).any()
    assert torch.equal(fooled("bpda", "pgd", straight_through(Rounding())), breakable)
    assert fooled("blackbox", "square", without_gradient(Rounding()), queries=200).sum() > breakable.sum() / 2


# locked


def test_a_locked_stack_is_judged_with_the_very_noise(made: Path, tmp_path: Path) -> None:
    spec = spec_of("locked", "pgd", steps=8)
    for name in ("attacked", "again"):
        attacked(made, tmp_path / name, spec)
    table = read_table(tmp_path / "attacked/table.csv", ("id", "margin"))
    assert (tmp_path / "attacked/images.tif").read_bytes() == (tmp_path / "again/images.tif").read_bytes()
    purify = PurifySpec.model_validate({"purifier": DDPM, "draws": 1, "batch_size": BATCH, "seed": SEED})
    purify_stack(purify, "code", tmp_path / "attacked", made / "diffusion", tmp_path / "purified", 1)
    classify_stack(
        ClassifySpec(batch_size=BATCH), "code", tmp_path / "purified", made / "classifier", tmp_path / "scores", 1
    )
    scores = read_scores(tmp_path / "scores")
    assert scores.logits.shape == (IMAGES, 1, 2)
    judged = margin(torch.tensor(scores.logits[:, 0]), torch.tensor(scores.labels)).numpy()
    assert judged == pytest.approx(table["margin"].to_numpy(), abs=2e-4)  # purified images are stored in 16 bits
    other = purify.model_copy(update={"seed": SEED + 1})
    purify_stack(other, "code", tmp_path / "attacked", made / "diffusion", tmp_path / "other", 1)
    assert not np.array_equal(images_of(tmp_path / "other"), images_of(tmp_path / "purified"))


def test_the_locked_noise_is_draw_0_of_the_evaluation_and_the_other_threats_never_meet_the_evaluation(
    made: Path,
) -> None:
    images, _, keys = batch_of(made)
    locked = victim_of(made, spec_of("locked", "pgd"))
    locked.begin(keys)
    purify = build_purifier(DdpmPurifier.model_validate(DDPM), made / "diffusion", CPU)
    with torch.no_grad():
        expected = load_classifier(made / "classifier", CPU)(purify(images, evaluation_noise(SEED, keys, 0, images)))
    assert torch.equal(locked.judge(images, 1, "verdict")[:, 0], expected)
    noises = []

    class Noting(nn.Module):
        def forward(self, x: Tensor, noise: object) -> Tensor:
            noises.append(noise(0))
            return x.flatten(1)[:, :2]

    victim = victim_of(made, spec_of("adaptive", "pgd", draws=4))
    victim.attacked = victim.judged = Noting()
    victim.begin(keys)
    for _ in range(20):
        victim(images)
    for purpose in ("selection", "verdict"):
        victim.judge(images, 8, purpose)
    met = torch.cat(noises)[:, 0, 0, 0]
    evaluated = torch.cat([evaluation_noise(SEED, keys, draw, images)(0)[:, 0, 0, 0] for draw in range(20)])
    assert not torch.isin(evaluated, met).any()


CONFIG = {
    "study": "threats",
    "seed": SEED,
    "images": {"source": "phantom", "size": SIDE, "train": 8, "validation": 8},
    "classifiers": {"net": CLASSIFIER.model_dump()},
    "diffusions": {"unet": DIFFUSION.model_dump()},
    "purifiers": {"ddpm": DDPM | {"sigmas": [0.1, 0.2]}},
    "attacks": {
        threat: {"method": "square" if threat == "blackbox" else "pgd", "threat": threat, "eps": [4 / 255]} | keys
        for threat, keys in THREATS.items()
    },
    "evaluation": {"images": IMAGES, "draws": 3, "batch_size": BATCH},
}


def test_every_threat_but_transfer_makes_a_stack_a_defence_and_a_locked_one_is_purified_once() -> None:
    study = parse_study(CONFIG, "x")
    specs, needs = Specs(study), JobNeeds(study)
    places = {}
    for cell in cells(study):
        if cell.attacked:
            places.setdefault(cell.attacked.attack, set()).add((cell.attacked.path, cell.defence.path))
            draws = json.loads(specs.purify(cell.attacked.path, "ddpm", "0.1"))["draws"]
            assert draws == (1 if cell.attacked.attack == "locked" else 3)
            assert specs.code_of_attack(cell.attacked.path)
            assert needs.attack(cell.attacked.path).runtime >= 30
    assert json.loads(specs.purify("clean", "ddpm", "0.1"))["draws"] == 3
    assert len({stack for stack, _ in places["transfer"]}) == 1
    assert len(places["transfer"]) == 3
    for threat in set(THREATS) - {"transfer"}:
        assert len({stack for stack, _ in places[threat]}) == len(places[threat]) == 2


@pytest.mark.parametrize(
    ("purifiers", "message"),
    [
        ({"noise": {"method": "noise", "sigmas": [0.1]}}, "'noise' has no steps; list the purifiers that it is to"),
        (
            {"ddpm": DDPM | {"steps": 2}},
            "surrogate.surrogate_steps: 2 is no fewer than the 2 steps of purifier",
        ),
    ],
)
def test_a_surrogate_needs_a_purifier_with_more_steps(purifiers: dict, message: str) -> None:
    with pytest.raises(AssayError, match=message):
        parse_study(CONFIG | {"purifiers": purifiers}, "x")


# the stage


@pytest.mark.parametrize(("threat", "method"), [("adaptive", "apgd"), ("locked", "pgd"), ("blackbox", "square")])
def test_parts_and_interruptions_give_the_same_bytes(threat: str, method: str, made: Path, tmp_path: Path) -> None:
    keys = {"queries": 5} if method == "square" else {"steps": 3}
    spec = spec_of(threat, method, **keys)
    attacked(made, tmp_path / "whole", spec)
    for index in (1, 2):
        attacked(made, tmp_path / "parts", spec, Part(index, 2))
    attacked(made, tmp_path / "parts", spec)
    for name in ("images.tif", "table.csv", "manifest.json"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes()


def test_the_manifest_counts_queries_and_the_table_says_how_far_the_attack_went(made: Path, tmp_path: Path) -> None:
    spec = spec_of("transfer", "apgd", steps=3)
    attacked(made, tmp_path / "apgd", spec)
    assert read_manifest(tmp_path / "apgd")["facts"]["queries"] == {"gradient": 4.0, "forward": 4.0}
    attacked(made, tmp_path / "sign", spec_of("transfer", "random_sign"))
    assert read_table(tmp_path / "sign/table.csv", ("id",))["boundary"].tolist() == [1.0] * IMAGES
    attacked(made, tmp_path / "l2", spec_of("transfer", "pgdl2", steps=2))
    assert "boundary" not in read_table(tmp_path / "l2/table.csv", ("id",))
