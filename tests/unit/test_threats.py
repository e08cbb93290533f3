"""Threats: what each victim is, over classifiers and diffusions on disk, and how a locked stack is judged."""

import ast
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from assay.artifacts import Wanted
from assay.attacks.attack import attack_stack
from assay.attacks.methods.losses import negative_margin
from assay.attacks.methods.method import build_search, random_targets
from assay.attacks.queries import mean_gradient
from assay.attacks.threats.blackbox import without_gradient
from assay.attacks.threats.bpda import straight_through
from assay.attacks.threats.defended import Expected
from assay.attacks.threats.victim import Victim, build_victim, judgement, search_query
from assay.batches import Part
from assay.defended import Defended
from assay.diffusion.denoiser import denoiser_of, write_diffusion
from assay.evaluation.classify import classify_stack
from assay.evaluation.scores import read_scores
from assay.files import AssayError, remove
from assay.inputs import Inputs
from assay.logits import margin
from assay.manifests import read_manifest
from assay.networks.classifier import build_classifier, load_classifier, write_classifier
from assay.networks.unet import build_network
from assay.noise import image_key
from assay.planning.bring import plan_study
from assay.planning.cells import cells
from assay.planning.fingerprint import _WithoutWords
from assay.planning.jobs import Jobs
from assay.purifiers.purifier import Purify, build_purifier, evaluation_noise
from assay.purifiers.purify import purify_stack
from assay.stacks import read_stack, read_table
from assay.study.attacks import AttackSpec
from assay.study.classifiers import Classifier
from assay.study.diffusions import Diffusion
from assay.study.evaluation import ClassifySpec
from assay.study.parse import parse_study
from assay.study.purifiers import DdpmPurifier, PurifySpec
from stack_files import write_stack

SIDE, IMAGES, BATCH, SEED = 16, 10, 4, 3
CPU = torch.device("cpu")
CLASSES = ["benign", "malignant"]
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
    "surrogate": {"draws": 2, "threat": {"method": "surrogate", "steps": 2}},
    "locked": {},
    "blackbox": {"draws": 2},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images, a classifier and a diffusion with random weights; some labels are not what the classifier says."""
    folder = tmp_path_factory.mktemp("made")
    torch.manual_seed(0)
    with Wanted(folder / "classifier", "classifier", {"classifier": CLASSIFIER.model_dump()}, "", {}).write(
        {}
    ) as draft:
        model = build_classifier(CLASSIFIER, 2).eval()
        write_classifier(draft, model, CLASSIFIER, CLASSES)
    with Wanted(folder / "diffusion", "diffusion", {"diffusion": DIFFUSION.model_dump()}, "", {}).write({}) as draft:
        write_diffusion(draft, denoiser_of(build_network(DIFFUSION, SIDE), DIFFUSION))
    images = np.random.default_rng(0).integers(60, 196, (IMAGES, SIDE, SIDE, 3), np.uint8)
    with torch.no_grad():
        labels = model(torch.from_numpy(images.transpose(0, 3, 1, 2) / 255).float()).argmax(1).numpy()
    labels[::5] = 1 - labels[::5]
    with Wanted(folder / "images", "stack", {}, "", {}).write({}) as draft:
        draft.facts["classes"] = CLASSES
        write_stack(draft, images, pd.DataFrame({"id": [f"i{k}" for k in range(IMAGES)], "label": labels}))
    return folder


def spec_of(threat: str, method: str, purifier: dict | None = DDPM, **keys: object) -> AttackSpec:
    attack = {"method": method, "threat": threat, "eps": [4 / 255]} | THREATS[threat] | keys
    purifier = None if threat == "transfer" else purifier
    return AttackSpec.model_validate({"attack": attack, "purifier": purifier, "batch_size": BATCH, "seed": SEED})


def attacked(made: Path, out: Path, spec: AttackSpec, part: Part | None = None) -> None:
    attack_stack(spec, "code", inputs_of(made), out, 1, part)


def inputs_of(made: Path, images: Path | None = None) -> Inputs:
    folders = {name: made / name for name in ("images", "classifier", "diffusion")}
    return Inputs(folders | ({"images": images} if images else {}), CPU)


def victim_of(made: Path, spec: AttackSpec) -> Victim:
    return build_victim(spec, inputs_of(made))


def purify_of(made: Path, purifier: dict) -> Purify:
    return build_purifier(DdpmPurifier.model_validate(purifier), inputs_of(made))


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
        if threat == "blackbox":
            assert not victim(images.clone().requires_grad_(), keys, search_query(0, 1)).requires_grad
        else:
            gradients[threat] = gradient_of(victim, images, labels, keys)
    assert len({tuple(gradient.flatten()[:50].tolist()) for gradient in gradients.values()}) == len(gradients)
    victim = victim_of(made, spec_of("adaptive", "pgd", draws=1))
    victim.attacked = Defended(purify_of(made, DDPM | {"steps": 2}), load_classifier(made / "classifier", CPU))
    assert torch.equal(gradient_of(victim, images, labels, keys), gradients["surrogate"])


def gradient_of(victim: Victim, images: Tensor, labels: Tensor, keys: Tensor) -> Tensor:
    return mean_gradient(victim, images, labels, keys, search_query(0, 1), negative_margin, room=len(images))[1]


def test_what_the_models_say_of_the_threats_is_so(made: Path) -> None:
    images, _, keys = batch_of(made)
    queries = [search_query(0, 2), search_query(1, 2)]
    for threat in THREATS:
        spec = spec_of(threat, "square" if threat == "blackbox" else "pgd")
        victim, said = victim_of(made, spec), spec.attack.threat
        first, second = (victim(images.clone().requires_grad_(), keys, query) for query in queries)
        assert first.requires_grad == said.gradient
        assert torch.equal(first, second) != said.fresh
        assert first.shape[1] == (2 if said.fresh else 1)
        judged = victim(images, keys, judgement("verdict", 2))
        assert said.clause.startswith("when the attacker")
        assert said.meaning.endswith(".")
        if not said.fresh:
            assert torch.equal(judged, first)
        assert torch.equal(victim(images, keys, queries[0]), first)


def test_all_stochastic_threats_are_judged_on_the_true_defence(made: Path) -> None:
    images, _, keys = batch_of(made)
    answers = []
    for threat in ("adaptive", "bpda", "surrogate", "blackbox"):
        victim = victim_of(made, spec_of(threat, "square" if threat == "blackbox" else "pgd"))
        answers.append(victim(images, keys, judgement("selection", 3)))
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
        victim = Expected(Defended(purify, network), Defended(Rounding(), network), 0)
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
    purify_stack(purify, "code", inputs_of(made, tmp_path / "attacked"), tmp_path / "purified", 1)
    classify = ClassifySpec(batch_size=BATCH)
    classify_stack(classify, "code", inputs_of(made, tmp_path / "purified"), tmp_path / "scores", 1)
    scores = read_scores(tmp_path / "scores")
    assert scores.logits.shape == (IMAGES, 1, 2)
    judged = margin(torch.tensor(scores.logits[:, 0]), torch.tensor(scores.labels)).numpy()
    assert judged == pytest.approx(table["margin"].to_numpy(), abs=2e-4)  # purified images are stored in 16 bits
    other = purify.model_copy(update={"seed": SEED + 1})
    purify_stack(other, "code", inputs_of(made, tmp_path / "attacked"), tmp_path / "other", 1)
    assert not np.array_equal(images_of(tmp_path / "other"), images_of(tmp_path / "purified"))


def test_the_locked_noise_is_draw_0_of_the_evaluation_and_the_other_threats_never_meet_the_evaluation(
    made: Path,
) -> None:
    images, _, keys = batch_of(made)
    locked = victim_of(made, spec_of("locked", "pgd"))
    purify = purify_of(made, DDPM)
    with torch.no_grad():
        expected = load_classifier(made / "classifier", CPU)(purify(images, evaluation_noise(SEED, keys, 0, images)))
        assert torch.equal(locked(images, keys, judgement("verdict", 1))[:, 0], expected)
    noises = []

    class Noting(nn.Module):
        def forward(self, x: Tensor, noise: object) -> Tensor:
            noises.append(noise(0))
            return x.flatten(1)[:, :2]

    victim = victim_of(made, spec_of("adaptive", "pgd", draws=4))
    victim.attacked = victim.judged = Noting()
    for number in range(20):
        victim(images, keys, search_query(number, 4))
    for purpose in ("selection", "verdict"):
        victim(images, keys, judgement(purpose, 8))
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
    jobs = Jobs(study)

    def draws_of(attacked: str) -> int:
        return jobs.job("purify", role="", attacked=attacked, purifier="ddpm", sigma="0.1").spec.draws

    places = {}
    for cell in cells(study):
        if cell.attacked:
            places.setdefault(cell.attacked.attack, set()).add((cell.attacked.path, cell.defence.path))
            assert draws_of(cell.attacked.path) == (1 if cell.attacked.attack == "locked" else 3)
            assert jobs.job("attack", role="", attacked_path=cell.attacked.path).code
    assert draws_of("clean") == 3
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
            "surrogate.threat.steps: 2 is no fewer than the 2 steps of purifier",
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


def test_a_targeted_attack_writes_its_targets_and_whether_they_are_hit(made: Path, tmp_path: Path) -> None:
    attacked(made, tmp_path / "untargeted", spec_of("adaptive", "pgd", steps=4))
    attacked(made, tmp_path / "targeted", spec_of("adaptive", "pgd", steps=4, target="random"))
    stack = read_stack(tmp_path / "targeted")
    _, labels, keys = batch_of(made)
    assert stack.table["target"].tolist() == random_targets(labels, keys, 2, SEED).tolist()
    assert stack.table["hit"].tolist() == stack.table["fooled"].tolist()  # there are two classes
    assert read_manifest(tmp_path / "targeted")["facts"]["hit"] == stack.table["hit"].sum()
    assert np.array_equal(stack.images, images_of(tmp_path / "untargeted"))
    assert "target" not in read_table(tmp_path / "untargeted/table.csv", ("id",))


# a user's own


OWN_THREAT = """
import torch
from assay.attacks.threats.victim import Victim
from assay.study.threats import PythonThreat


class Dimmed(PythonThreat):
    rank: int | None = 1
    fresh: bool = False
    brightness: float = 0.5


class Seen(Victim):
    def __init__(self, network, brightness):
        super().__init__()
        self.network, self.brightness = network, brightness

    def forward(self, x, keys, query):
        return self.network(x if query.judges else self.brightness * x)[:, None]


def build(spec, inputs):
    return Seen(inputs.classifier(), spec.attack.threat.brightness)
"""
OWN_ATTACK = """
from assay.attacks.threats.victim import search_query
from assay.study.attacks import PythonAttack


class Lighter(PythonAttack):
    share: float = 1.0


def build(attack, victim, classes, seed):
    def search(images, labels, keys):
        assert victim(images, keys, search_query(0, attack.draws)).shape[2] == classes
        return images + attack.share * attack.radius

    return search
"""


def test_a_users_own_threat_and_attack_are_one_module_each(made: Path, tmp_path: Path) -> None:
    (tmp_path / "dimmed.py").write_text(OWN_THREAT)
    (tmp_path / "lighter.py").write_text(OWN_ATTACK)
    threat = {"method": "python", "module": str(tmp_path / "dimmed.py")}
    lighter = {"method": "python", "module": str(tmp_path / "lighter.py"), "eps": [4 / 255], "share": 0.5}
    attacks = {
        "own-threat": {"method": "pgd", "eps": [4 / 255], "steps": 2, "threat": threat},
        "own-attack": lighter,
        "both": lighter | {"threat": threat},
    }
    study = plan_study(CONFIG | {"attacks": attacks}, "x")
    dimmed = study.attacks["own-threat"].threat
    assert (dimmed.name, dimmed.rank, dimmed.fresh, dimmed.model_extra) == ("dimmed", 1, False, {"brightness": 0.5})
    jobs = Jobs(study)
    for attacked in jobs.attacked:
        job = jobs.job("attack", role="", attacked_path=attacked.path)
        used = [Path(module).name for module in job.modules if module.endswith(".py")]
        own = {"own-threat": ["dimmed.py"], "own-attack": ["lighter.py"], "both": ["lighter.py", "dimmed.py"]}
        assert used == own[attacked.attack]
        if attacked.victim.sigma in (0.0, 0.1):
            attack_stack(AttackSpec.model_validate_json(job.text), "code", inputs_of(made), tmp_path / "out", 1)
            moved = images_of(tmp_path / "out").astype(int) - images_of(made / "images")
            assert np.abs(moved).max() == 4 if attacked.attack == "own-threat" else (moved == 2).all()
            remove(tmp_path / "out")


def test_a_threat_that_has_words_of_its_own_changes_no_fingerprint() -> None:
    def tree(words: str) -> str:
        code = f'class Own:\n    """{words}"""\n    words = Words(clause="{words}", meaning="{words}")\n'
        return ast.dump(_WithoutWords().visit(ast.parse(code)))

    assert tree("when it rains") == tree("when it shines")
