"""Training: the loop, what it reads, and classifiers and diffusions at tiny size."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from torch import nn

from assay.artifacts import Wanted
from assay.data.prepare import prepare_images
from assay.diffusion.denoiser import load_denoiser
from assay.files import AssayError
from assay.inputs import Inputs
from assay.manifests import read_manifest
from assay.networks.classifier import build_classifier, load_classifier
from assay.networks.importing import import_classifier
from assay.networks.libraries import import_library
from assay.stacks import read_stack
from assay.study.classifiers import Classifier, ClassifierSpec, PublishedClassifierSpec
from assay.study.diffusions import DiffusionSpec
from assay.study.images import ImagesSpec
from assay.study.training import Recipe
from assay.training import checkpoints as checkpointing
from assay.training import classifier as classifier_training
from assay.training import loading
from assay.training.augmentation import augment
from assay.training.checkpoints import Checkpoints
from assay.training.classifier import train_classifier
from assay.training.diffusion import train_diffusion
from assay.training.loading import Batches, useful_workers
from assay.training.ranks import Ranks
from assay.training.rates import build_optimiser, learning_rate
from assay.training.running_mean import RunningMean

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
STATISTICS = {"running_mean", "running_var", "num_batches_tracked"}
CLASSIFIER = {
    "network": "timm/resnet18",
    "arguments": {"layers": [1, 1, 1, 1], "channels": [8, 8, 8, 8]},
    "small_stem": True,
    "epochs": 2,
    "batch_size": 16,
}
DIFFUSION = {
    "channels": [8, 8],
    "layers_per_block": 1,
    "norm_groups": 4,
    "middle_attention": False,
    "objective": {"method": "denoising", "max_sigma": 0.3},
    "steps": 6,
    "batch_size": 8,
    "validate_every": 3,
}


ADVERSARIAL = {"method": "adversarial", "eps": "6/255", "steps": 2, "validation_steps": 2, "validation_images": 8}
JOINT = {"method": "joint", "guide": "a", "weight": 0.5, "target": "prediction", "max_sigma": 0.3}
OWN_OBJECTIVE = """
import torch
import torch.nn.functional as F
from assay.study.objectives import PythonObjective
from assay.training.objective import Objective

class Distilled(PythonObjective):
    temperature: float = 2.0

def build(spec, task):
    return Distillation(spec, task)

class Distillation(Objective):
    def __init__(self, spec, task):
        super().__init__()
        self.student, self.task, self.spec, self.judgements = task.network, task, spec, 0
        self.scale = torch.nn.Parameter(torch.ones(()))
        self.asked = {"teacher": task.inputs.classifier("teacher")}

    def forward(self, batch):
        wanted = (self.asked["teacher"](batch.images) / self.spec.temperature).softmax(1)
        noised = batch.images + 0.1 * batch.normal("noise", *batch.images.shape[1:])
        return F.cross_entropy(self.scale * self.student(noised), wanted)

    def judge(self):
        self.judgements += 1
        return {"validation_loss": float(self.judgements)}

    def write(self, draft, history):
        draft.facts["scale"] = self.scale.item()

    def state(self):
        return {"judgements": self.judgements}

    def restore(self, state):
        self.judgements = state["judgements"]
"""


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for split, count in (("train", 40), ("validation", 8)):
        spec = ImagesSpec(images={"source": "phantom", "size": 16}, split=split, count=count, seed=0)
        prepare_images(spec, "", Inputs({}), folder / split)
    return folder


@pytest.fixture(scope="module")
def trained(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier and a diffusion of a few steps."""
    folder = tmp_path_factory.mktemp("trained")
    for kind in ("classifier", "diffusion"):
        train(kind, images, folder / kind)
    return folder


def train(kind: str, images: Path, out: Path, *, needs: dict[str, Path] | None = None, **changes: object) -> Path:
    inputs = Inputs({"train": images / "train", "validation": images / "validation", **(needs or {})})
    if kind == "classifier":
        brought = {} if changes.get("method") == "python" else CLASSIFIER
        train_classifier(ClassifierSpec(classifier=brought | changes, seed=0), "code", inputs, out, 1)
    else:
        train_diffusion(DiffusionSpec(diffusion=DIFFUSION | changes, seed=0), "code", inputs, out, 1)
    return out


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.fixture
def own_objective(tmp_path: Path, trained: Path) -> dict[str, object]:
    """A training whose objective is a user's module, which asks a teacher and trains a parameter of its own."""
    (tmp_path / "distillation.py").write_text(OWN_OBJECTIVE)
    keys = {"method": "python", "module": str(tmp_path / "distillation.py"), "uses": {"teacher": ["classifier", "a"]}}
    return {"objective": keys | {"temperature": 4.0}, "needs": {"teacher": trained / "classifier"}}


ALL_OF_THE_RECIPE = {
    "network": "torchvision/googlenet",  # with dropout, and batch normalisation
    "arguments": {"aux_logits": False, "init_weights": False},
    "small_stem": False,
    "epochs": None,
    "steps": 5,
    "validate_every": 2,
    "batch_size": 4,
    "accumulate": 2,
    "optimiser": "sgd",
    "learning_rate": 0.01,
    "decay": "weights",
    "learning_rate_schedule": "triangular",
    "warmup_steps": 1,
    "gradient_clip": 1.0,
    "ema_decay": 0.9,
    "augment": ["flip_lr", {"crop": 2}, {"resized_crop": [0.5, 1]}, {"colour": {"contrast": 0.2, "hue": 0.1}}],
}


@pytest.mark.parametrize(
    "objective", ["cross_entropy", "adversarial", "denoising", "joint", "own", "all of the recipe"]
)
def test_training_stopped_and_resumed_gives_the_bytes_of_one_that_was_not(
    objective: str,
    own_objective: dict[str, object],
    images: Path,
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    guide, start = trained / "classifier", trained / "diffusion"
    kind, changes = {
        "cross_entropy": ("classifier", {"objective": "cross_entropy"}),
        "adversarial": ("classifier", {"objective": ADVERSARIAL}),
        "denoising": ("diffusion", {}),
        "joint": ("diffusion", {"objective": JOINT, "start": "plain", "needs": {"guide": guide, "start": start}}),
        "own": ("classifier", own_objective),
        "all of the recipe": ("classifier", ALL_OF_THE_RECIPE),
    }[objective]
    whole = contents(train(kind, images, tmp_path / "whole", **changes))
    monkeypatch.setattr(Checkpoints, "due", lambda self: True)
    save, saved = Checkpoints.save, []

    def save_and_stop(self: Checkpoints, state: dict) -> None:
        save(self, state)
        saved.append(state["step"])
        if len(saved) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoints, "save", save_and_stop)
    with pytest.raises(KeyboardInterrupt):
        train(kind, images, tmp_path / "stopped", **changes)
    assert not (tmp_path / "stopped").exists()
    assert contents(train(kind, images, tmp_path / "stopped", **changes)) == whole
    assert saved == sorted(set(saved)), "a step was done twice"
    assert saved[:3] == [1, 2, 3]
    assert not list(tmp_path.glob(".*.resume-*"))


def test_a_users_objective_works_from_a_file(
    own_objective: dict[str, object], images: Path, trained: Path, tmp_path: Path
) -> None:
    folder = train("classifier", images, tmp_path / "a", **own_objective)
    facts = read_manifest(folder)["facts"]
    assert facts["scale"] != 1, "the objective's own parameter was not trained"
    assert list(pd.read_csv(folder / "history.csv")["validation_loss"]) == [1, 2]
    assert load_classifier(folder, CPU)(torch.rand(1, 3, 16, 16)).shape == (1, 2)
    assert read_manifest(folder)["inputs"].keys() == {"train", "validation", "teacher"}


OWN_NETWORK = """
import torch
from assay.study.classifiers import PythonClassifier

class Linear(PythonClassifier):
    channels: int = 4

def build(spec, classes):
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, spec.channels, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
        torch.nn.Linear(spec.channels, classes),
    )
"""


def test_a_users_network_is_trained_loaded_and_imported_by_its_module(images: Path, tmp_path: Path) -> None:
    module = tmp_path / "linear.py"
    module.write_text(OWN_NETWORK)
    keys = {"method": "python", "module": str(module), "channels": 6}
    folder = train("classifier", images, tmp_path / "a", **keys, epochs=1, batch_size=8, objective=ADVERSARIAL)
    facts = read_manifest(folder)["facts"]
    assert facts["network"] == {"method": "python", "module": str(module), "uses": {}, "channels": 6}
    assert facts["classes"] == ["normal", "tumour"]
    shown = torch.rand(2, 3, 16, 16)
    logits = load_classifier(folder, CPU)(shown)
    assert logits.shape == (2, 2)
    spec = PublishedClassifierSpec(classifier=keys | {"published": str(folder / "model.safetensors")})
    assert spec.classifier.kind == "published"
    import_classifier(spec, "", Inputs({"validation": images / "validation"}), tmp_path / "published", 1)
    assert torch.equal(load_classifier(tmp_path / "published", CPU)(shown), logits)
    with pytest.raises(ValidationError, match="epochs: a published classifier is not trained"):
        PublishedClassifierSpec(classifier=keys | {"published": "weights.safetensors", "epochs": 3})


def test_a_network_starts_from_anothers_weights(trained: Path, images: Path, tmp_path: Path) -> None:
    short = {"epochs": None, "steps": 1, "learning_rate": 1e-12, "weight_decay": 0.0}
    for kind, weights in (("classifier", "model"), ("diffusion", "diffusion_pytorch_model")):
        out = train(kind, images, tmp_path / kind, start="a", needs={"start": trained / kind}, **short)
        own, other = (load_file(folder / f"{weights}.safetensors") for folder in (out, trained / kind))
        assert all(
            torch.allclose(own[name], other[name], atol=1e-6)
            for name in own
            if name.rpartition(".")[2] not in STATISTICS
        )


def test_a_start_of_other_classes_leaves_the_head_and_one_of_other_layers_is_refused(
    trained: Path, images: Path, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    state = load_file(trained / "classifier/model.safetensors")
    for name in ("network.fc.weight", "network.fc.bias"):
        state[name] = torch.cat([state[name]] * 2)
    save_file(state, other / "model.safetensors")
    (other / "manifest.json").write_text((trained / "classifier/manifest.json").read_text())
    out = train("classifier", images, tmp_path / "a", start="other", needs={"start": other}, learning_rate=1e-9)
    assert "network.fc.bias, network.fc.weight start from random weights" in capfd.readouterr().err
    own = load_file(out / "model.safetensors")
    assert torch.allclose(own["network.conv1.weight"], state["network.conv1.weight"], atol=1e-4)
    wider = {"arguments": CLASSIFIER["arguments"] | {"channels": [16, 8, 8, 8]}}
    with pytest.raises(AssayError, match=r"^start: other: its weights are not those of timm/resnet18: it .*shape"):
        train("classifier", images, tmp_path / "b", start="other", needs={"start": other}, **wider)


def test_a_loss_that_is_not_finite_ends_the_training(images: Path, tmp_path: Path) -> None:
    with pytest.raises(
        AssayError, match=r"^train classifier: the loss is \S+ at step \d of 4; lower learning_rate \(1e\+20\)"
    ):
        train("classifier", images, tmp_path / "a", learning_rate=1e20, learning_rate_schedule="constant")
    assert not (tmp_path / "a").exists()


def test_a_classifier_reads_back_and_gives_plain_logits(images: Path, tmp_path: Path) -> None:
    folder = train("classifier", images, tmp_path / "a")
    model = load_classifier(folder, torch.device("cpu"))
    logits = model(torch.rand(3, 3, 16, 16))
    assert logits.shape == (3, 2)
    assert not torch.allclose(logits.exp().sum(1), torch.ones(3))
    assert not any(parameter.requires_grad for parameter in model.parameters())
    history = pd.read_csv(folder / "history.csv")
    assert list(history["epoch"]) == [1, 2]
    assert history["validation_accuracy"].between(0, 1).all()


def test_normalisation_is_inside_the_module(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build_classifier(Classifier(**CLASSIFIER | {"mean": (0.1, 0.2, 0.3), "std": (0.5, 0.25, 1.0)}), 2)
    model.network = nn.Identity()
    expected = torch.tensor([0.8, 1.2, 0.2]).view(1, 3, 1, 1)
    assert torch.allclose(model(torch.full((1, 3, 4, 4), 0.5)), expected.expand(1, 3, 4, 4))


def test_a_small_stem_keeps_the_full_resolution() -> None:
    model = build_classifier(Classifier(**CLASSIFIER), 2)
    shapes = []
    model.network.layer1.register_forward_hook(lambda module, inputs, output: shapes.append(output.shape))
    model(torch.rand(2, 3, 16, 16))
    assert shapes[0][-2:] == (16, 16)


@pytest.mark.parametrize("network", ["timm/convnext_atto", "torchvision/resnet18", "torchvision/mobilenet_v3_small"])
def test_networks_of_both_libraries_are_found_by_name(network: str) -> None:
    model = build_classifier(Classifier(network=network), 3).eval()
    assert model(torch.rand(1, 3, 64, 64)).shape == (1, 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": "timm/resnet81"}, "timm/resnet81 cannot be built"),
        ({"network": "torchvision/resnet81"}, "torchvision/resnet81 cannot be built"),
        ({"arguments": {"layerz": 3}}, "cannot be built"),
        ({"network": "timm/vit_tiny_patch16_224", "arguments": {}}, "no convolutional stem"),
    ],
)
def test_a_network_that_cannot_be_built_is_named(changes: dict, message: str) -> None:
    with pytest.raises(AssayError, match=message):
        build_classifier(Classifier(**CLASSIFIER | changes), 2)


def test_a_diffusion_loads_in_diffusers_and_as_a_denoiser(images: Path, tmp_path: Path) -> None:
    folder = train("diffusion", images, tmp_path / "a")
    network = import_library("diffusers.models.unets.unet_2d").UNet2DModel.from_pretrained(folder)
    assert network.config.sample_size == 16
    denoiser = load_denoiser(folder, torch.device("cpu"))
    estimate = denoiser(torch.rand(2, 3, 16, 16), 0.1)
    assert estimate.shape == (2, 3, 16, 16)
    assert estimate.min() >= 0
    assert estimate.max() <= 1
    assert (folder / "samples.png").stat().st_size > 0


def test_a_unet_too_deep_for_the_images_is_refused(images: Path, tmp_path: Path) -> None:
    with pytest.raises(AssayError, match=r"images.size: 16 cannot be halved"):
        train("diffusion", images, tmp_path / "a", channels=[8, 8, 8, 8, 8, 8])
    assert not (tmp_path / "a").exists()


def test_diffusion_training_lowers_the_loss(images: Path, tmp_path: Path) -> None:
    folder = train("diffusion", images, tmp_path / "a", steps=60, learning_rate=2e-3, validate_every=20, ema_decay=0.5)
    losses = pd.read_csv(folder / "history.csv")["validation_loss"]
    assert losses.iloc[-1] < 0.9 * losses.iloc[0]


def test_training_covers_max_sigma_and_stops_there(monkeypatch: pytest.MonkeyPatch) -> None:
    from assay.diffusion.schedule import Schedule

    schedule = Schedule("linear", 1000)
    last = schedule.last_step(0.3)
    assert schedule.sigmas[last - 1] < 0.3 <= schedule.sigmas[last]


def test_a_classifier_whose_output_is_no_table_of_logits_is_refused_before_training(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classifier_training, "build_classifier", lambda spec, classes: nn.Identity())
    with pytest.raises(AssayError, match=r"must return 2 logits per image, .* found"):
        train("classifier", images, tmp_path / "a")


@pytest.mark.parametrize(
    ("stage", "unwanted"),
    [
        ("purify", {"timm", "torchattacks", "matplotlib", "torchvision"}),
        ("attack", {"timm", "diffusers", "matplotlib", "torchvision"}),
        ("classify", {"torchattacks", "diffusers", "matplotlib", "scipy"}),
        ("certify", {"torchattacks", "diffusers", "timm", "matplotlib"}),
        ("attack_certificates", {"torchattacks", "diffusers", "timm", "matplotlib"}),
        ("train_classifier", {"torchattacks", "diffusers", "matplotlib"}),
        ("train_diffusion", {"torchattacks", "timm", "matplotlib"}),
        ("import_classifier", {"torchattacks", "diffusers", "matplotlib", "huggingface_hub"}),
        ("import_diffusion", {"torchattacks", "timm", "matplotlib", "huggingface_hub"}),
        ("prepare_images", {"torch", "matplotlib", "timm"}),
        ("summarise", {"torch", "matplotlib"}),
        ("report", {"torch", "timm", "diffusers", "torchattacks"}),
    ],
)
def test_a_stage_imports_only_what_it_uses(stage: str, unwanted: set[str]) -> None:
    code = f"import sys, runpy; runpy.run_path('workflow/stages/{stage}.py'); print(*sys.modules)"
    root = Path(__file__).parent.parent.parent
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root).stdout
    assert not unwanted & set(shown.split())


@pytest.mark.parametrize("library", ["timm", "torchvision", "diffusers.models.unets.unet_2d"])
def test_libraries_import_without_the_compiler_which_still_works_afterwards(library: str) -> None:
    code = (
        "import sys; from assay.networks.libraries import import_library\n"
        f"import_library({library!r})\n"
        "assert 'torch._dynamo' not in sys.modules\n"
        "import torch, torch._dynamo\n"
        "assert torch._dynamo.disable.__module__.startswith('torch._dynamo')\n"
        "assert torch.utils.checkpoint.checkpoint(torch.sin, torch.ones(1), use_reentrant=False) > 0\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_purifier_loads_its_network_without_timm(images: Path, tmp_path: Path) -> None:
    folder = train("diffusion", images, tmp_path / "a")
    code = (
        "import sys, torch; from pathlib import Path; from assay.diffusion.denoiser import load_denoiser\n"
        f"load_denoiser(Path({str(folder)!r}), torch.device('cpu'))\n"
        "print(*sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"timm", "torchattacks", "matplotlib"} & set(shown)


def test_the_last_batch_is_padded_so_that_a_part_gives_the_bytes_of_the_whole(images: Path, tmp_path: Path) -> None:
    from assay.purifiers.purify import purify_stack
    from assay.stacks import read_stack
    from assay.study.purifiers import PurifySpec
    from stack_files import write_stack

    diffusion = train("diffusion", images, tmp_path / "diffusion")
    whole = read_stack(images / "train")
    part = tmp_path / "part"
    with Wanted(part, "stack", {}, "", {}).write({}) as draft:
        draft.facts["classes"] = whole.classes
        write_stack(draft, whole.images[16:24], whole.table.iloc[16:24])

    def purified(stack: Path, name: str, batch_size: int) -> np.ndarray:
        inputs = Inputs({"images": stack, "diffusion": diffusion})
        purifier = {"method": "ddpm", "diffusion": "unet", "sigmas": [0.1], "steps": 2}
        spec = PurifySpec(purifier=purifier, draws=2, batch_size=batch_size, seed=0)
        purify_stack(spec, "", inputs, tmp_path / name, 1)
        return np.asarray(read_stack(tmp_path / name).images)

    together = purified(images / "train", "a", 16)
    assert np.array_equal(purified(part, "b", 16), together[32:48])
    difference = purified(images / "train", "c", 5).astype(int) - together.astype(int)
    assert np.abs(difference).max() <= 2  # of 65535: float tolerance


@pytest.mark.parametrize("told_by_slurm", [True, False])
def test_training_stops_with_a_checkpoint_before_the_jobs_time_limit_and_goes_on_in_the_next(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told_by_slurm: bool
) -> None:
    whole = contents(train("diffusion", images, tmp_path / "whole"))
    end = time.time() + checkpointing.SECONDS_TO_STOP_IN - 1
    if told_by_slurm:
        monkeypatch.setenv(checkpointing.END_OF_JOB, str(end))
    else:
        monkeypatch.setenv(checkpointing.STEP, "0")
        monkeypatch.setenv(checkpointing.MINUTES, str((end - checkpointing.STARTED) / 60))
    with pytest.raises(AssayError, match="time limit is near; stopped with this checkpoint, run again"):
        train("diffusion", images, tmp_path / "stopped")
    assert list(tmp_path.glob(".stopped.resume-*/checkpoint.pt"))
    monkeypatch.delenv(checkpointing.END_OF_JOB if told_by_slurm else checkpointing.STEP)
    assert contents(train("diffusion", images, tmp_path / "stopped")) == whole


# what the loop is made of


def batches(images: Path, **recipe: object) -> Batches:
    keys = {"epochs": 2, "batch_size": 16, "augment": ALL_OF_THE_RECIPE["augment"]}
    return Batches(read_stack(images / "train"), Recipe(**keys | recipe), 1, Ranks())


def test_every_pass_is_a_permutation_in_an_order_of_its_own(images: Path) -> None:
    rows = [batches(images, batch_size=20).rows(step).tolist() for step in range(4)]
    assert sorted(rows[0] + rows[1]) == sorted(rows[2] + rows[3]) == list(range(40))
    assert rows[0] != rows[2]


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("first", [0, 3])
def test_neither_workers_nor_a_later_start_change_what_is_loaded(images: Path, workers: int, first: int) -> None:
    loader = batches(images)
    loaded = list(loader.load(first, 4, CPU, workers))
    for step, found in zip(range(first, 4), loaded, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(found, loader[step], strict=True))
    assert loaded[0][0].dtype == torch.uint8


def test_ranks_load_together_what_one_would(images: Path) -> None:
    whole = batches(images)
    for size in (2, 4):
        parts = [Batches(whole.images, whole.recipe, 1, Ranks(rank, size))[2] for rank in range(size)]
        together = [torch.cat(part) for part in zip(*parts, strict=True)]
        assert all(torch.equal(part, one) for part, one in zip(together, whole[2], strict=True))


def test_a_fault_in_a_worker_is_one_line(images: Path) -> None:
    class Broken:
        def rows(self, indices: np.ndarray) -> np.ndarray:
            raise AssayError("a.png: broken")

    loader = batches(images)
    loader.images = Broken()
    with pytest.raises(AssayError, match=r"^a.png: broken$"):
        next(loader.load(0, 2, CPU, 1))


def test_a_stack_on_the_cpu_is_loaded_without_workers(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading.os, "sched_getaffinity", lambda process: set(range(16)))
    monkeypatch.setattr(loading.torch, "get_num_threads", lambda: 4)
    stack = read_stack(images / "train")
    assert useful_workers(stack, CPU) == 0
    assert useful_workers(object(), CPU) == loading.MOST_WORKERS
    assert useful_workers(stack, torch.device("cuda")) == loading.MOST_WORKERS
    monkeypatch.setattr(loading.os, "sched_getaffinity", lambda process: {0, 1})
    assert useful_workers(object(), CPU) == 0


def changed(images: torch.Tensor, *augmentations: object, step: int = 2) -> torch.Tensor:
    recipe = Recipe(epochs=1, augment=augmentations)
    return augment(images, recipe.augment, 1, step, torch.arange(len(images)))


def test_flips_are_flips() -> None:
    images = torch.randint(0, 256, (64, 3, 4, 4), dtype=torch.uint8)
    flipped = changed(images, "flip_lr", "flip_ud")
    assert torch.equal(flipped, changed(images, "flip_lr", "flip_ud"))
    kinds = [
        next(k for k, dims in enumerate([(), (2,), (1,), (1, 2)]) if torch.equal(new, old.flip(dims) if dims else old))
        for new, old in zip(flipped, images, strict=True)
    ]
    assert set(kinds) == {0, 1, 2, 3}
    assert torch.equal(changed(images), images)


def test_a_crop_shifts_within_the_padding() -> None:
    images = torch.randint(1, 256, (32, 3, 8, 8), dtype=torch.uint8)
    shifts = set()
    for new, old in zip(changed(images, {"crop": 2}), images, strict=True):
        padded = nn.functional.pad(old, [2] * 4)
        places = [(y, x) for y in range(5) for x in range(5) if torch.equal(new, padded[:, y : y + 8, x : x + 8])]
        shifts.update(places)
        assert places
    assert len(shifts) > 10


def test_a_resized_crop_keeps_the_size_and_shows_a_part() -> None:
    ramp = torch.arange(0, 128, 4, dtype=torch.uint8).view(1, 1, 1, 32).expand(16, 3, 32, 32)
    new = changed(ramp, {"resized_crop": [0.2, 0.3]}).float()
    widths = new[:, 0, 0, -1] - new[:, 0, 0, 0]
    assert new.shape == ramp.shape
    assert widths.max() < 0.7 * 124
    assert new[:, 0, 0, 0].unique().numel() > 8
    assert torch.equal(changed(ramp, {"resized_crop": [1, 1]})[:1].float().mean().round(), ramp.float().mean().round())


def test_colours_change_by_no_more_than_they_may() -> None:
    images = torch.full((64, 3, 4, 4), 100, dtype=torch.uint8)
    brightness = changed(images, {"colour": {"brightness": 0.2}}).float().mean((1, 2, 3))
    assert brightness.min() >= 79
    assert brightness.max() <= 121
    assert brightness.std() > 5
    assert torch.equal(changed(images, {"colour": {"hue": 0.5}}), images), "grey has no hue"
    assert not torch.equal(changed(images, {"colour": {"brightness": 0.2}}, step=3).float().mean((1, 2, 3)), brightness)


def rates(schedule: str, warmup: int = 0, steps: int = 101) -> list[float]:
    recipe = Recipe(steps=1, learning_rate=1.0, learning_rate_schedule=schedule, warmup_steps=warmup)
    return [learning_rate(recipe, step, 100 + warmup) for step in range(steps)]


def test_learning_rates_rise_and_fall() -> None:
    for schedule in ("one_cycle", "triangular"):
        cycle = rates(schedule)
        assert cycle[0] == pytest.approx(1 / 25)
        assert max(cycle) == pytest.approx(1)
        assert cycle.index(max(cycle)) == 30
        assert cycle[100] == pytest.approx(0, abs=1e-9)
    assert rates("triangular")[65] == pytest.approx(0.5)
    cosine = rates("cosine", warmup=10, steps=111)
    assert cosine[0] == pytest.approx(0.1)
    assert cosine[9:11] == pytest.approx([1, 1])
    assert cosine[110] == pytest.approx(0, abs=1e-9)
    assert set(rates("constant")) == {1.0}
    step = rates("step")
    assert [step[49], step[50], step[74], step[75]] == pytest.approx([1, 0.1, 0.1, 0.01])


def test_only_weights_decay_where_the_recipe_says_so() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    groups = build_optimiser(network, Recipe(steps=1, weight_decay=0.1, decay="weights")).param_groups
    assert [(len(group["params"]), group["weight_decay"]) for group in groups] == [(1, 0.1), (3, 0.0)]
    (group,) = build_optimiser(network, Recipe(steps=1, weight_decay=0.1, optimiser="sgd")).param_groups
    assert (group["weight_decay"], group["momentum"], group["nesterov"]) == (0.1, 0.9, True)


def test_the_running_mean_is_that_of_diffusers() -> None:
    network = nn.Linear(3, 2)
    mean = RunningMean(network, 0.5)
    oracle = import_library("diffusers.training_utils").EMAModel(network.parameters(), decay=0.5)
    for _ in range(20):
        with torch.no_grad():
            network.weight.add_(torch.randn(2, 3))
        mean.update()
        oracle.step(network.parameters())
    own = network.weight.clone()
    with mean.shown():
        assert torch.allclose(network.weight, oracle.shadow_params[0], atol=1e-6)
    assert torch.equal(network.weight, own)


def test_a_recipe_has_one_length_and_ranks_are_no_part_of_a_spec() -> None:
    assert Recipe(epochs=3, batch_size=16).total_steps(40) == 6
    assert Recipe(steps=7).total_steps(40) == 7
    assert Classifier(network="timm/resnet18").epochs == 10
    assert Classifier(network="timm/resnet18", steps=5).epochs is None
    for keys in ({}, {"epochs": 1, "steps": 1}):
        with pytest.raises(ValidationError, match="either steps or epochs"):
            Recipe(**keys)
    here, there = (
        ClassifierSpec(classifier=CLASSIFIER | keys, seed=0) for keys in ({}, {"ranks": {"nodes": 2, "gpus": 4}})
    )
    assert there.classifier.ranks.nodes == 2
    assert here.model_dump_json() == there.model_dump_json()
