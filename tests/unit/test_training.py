"""Training: what is shared by both kinds, and classifiers and diffusions at tiny size."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from assay.data.prepare import prepare_images
from assay.diffusion.denoiser import load_denoiser
from assay.files import AssayError, artifact
from assay.networks.classifier import build_classifier, load_classifier
from assay.networks.libraries import import_library
from assay.study.classifiers import Classifier, ClassifierSpec
from assay.study.diffusions import DiffusionSpec
from assay.study.images import ImagesSpec
from assay.training import classifier as classifier_training
from assay.training import steps as training
from assay.training.classifier import train_classifier
from assay.training.diffusion import train_diffusion
from assay.training.ranks import join_ranks
from assay.training.steps import Checkpoints, cosine_rate, flip, flip_coins, one_cycle_rate, step_rows

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
    "max_sigma": 0.3,
    "steps": 6,
    "batch_size": 8,
    "validate_every": 3,
}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for split, count in (("train", 40), ("validation", 8)):
        spec = ImagesSpec(images={"source": "phantom", "size": 16}, split=split, count=count, seed=0)
        prepare_images(spec, "", folder / split)
    return folder


def train(kind: str, images: Path, out: Path, **changes: object) -> Path:
    if kind == "classifier":
        spec = ClassifierSpec(classifier=CLASSIFIER | changes, seed=0)
        train_classifier(spec, "code", images / "train", images / "validation", out, 1)
    else:
        spec = DiffusionSpec(diffusion=DIFFUSION | changes, seed=0)
        train_diffusion(spec, "code", images / "train", images / "validation", out, 1)
    return out


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("kind", ["classifier", "diffusion"])
def test_training_stopped_and_resumed_gives_the_bytes_of_one_that_was_not(
    kind: str, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = contents(train(kind, images, tmp_path / "whole"))
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
        train(kind, images, tmp_path / "stopped")
    assert not (tmp_path / "stopped").exists()
    assert contents(train(kind, images, tmp_path / "stopped")) == whole
    assert saved == sorted(set(saved)), "a step was done twice"
    assert not list(tmp_path.glob(".*.resume-*"))


@pytest.mark.parametrize("kind", ["classifier", "diffusion"])
def test_a_corrupt_checkpoint_is_reported_and_training_begins_anew(
    kind: str, images: Path, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(b"no checkpoint")
    assert Checkpoints(path).load() is None
    assert "unreadable checkpoint" in capfd.readouterr().err


def test_nothing_is_unpickled_from_a_checkpoint(tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "harm",))

    torch.save({"step": Harmful()}, tmp_path / "checkpoint.pt")
    assert Checkpoints(tmp_path / "checkpoint.pt").load() is None
    assert not (tmp_path / "harm").exists()


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


def test_every_epoch_is_a_permutation_and_a_later_start_goes_on_with_it() -> None:
    everything = list(step_rows(10, 4, seed=1, start=0, stop=6))
    assert [step for step, _ in everything] == list(range(6))
    for epoch in range(3):
        rows = torch.cat([rows for _, rows in everything[2 * epoch : 2 * epoch + 2]])
        assert len(set(rows.tolist())) == 8
    later = list(step_rows(10, 4, seed=1, start=3, stop=6))
    assert all(torch.equal(a[1], b[1]) for a, b in zip(everything[3:], later, strict=True))
    assert not torch.equal(everything[0][1], everything[2][1])


def test_flips_are_flips() -> None:
    images = torch.rand(64, 3, 4, 4)
    coins = flip_coins(64, seed=1, step=2)
    assert torch.equal(coins, flip_coins(64, seed=1, step=2))
    flipped = flip(images, coins)
    kinds = [
        next(k for k, dims in enumerate([(), (2,), (1,), (1, 2)]) if torch.equal(new, old.flip(dims) if dims else old))
        for new, old in zip(flipped, images, strict=True)
    ]
    assert set(kinds) == {0, 1, 2, 3}


def test_learning_rates_rise_and_fall() -> None:
    cycle = [one_cycle_rate(step, 100) for step in range(101)]
    assert cycle[0] == pytest.approx(1 / 25)
    assert max(cycle) == pytest.approx(1)
    assert cycle.index(max(cycle)) == 30
    assert cycle[100] == pytest.approx(0, abs=1e-9)
    cosine = [cosine_rate(step, 100, 10) for step in range(101)]
    assert cosine[0] == pytest.approx(0.1)
    assert cosine[10] == pytest.approx(1)
    assert cosine[100] == pytest.approx(0, abs=1e-9)


def test_a_classifier_whose_output_is_no_table_of_logits_is_refused_before_training(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classifier_training, "build_classifier", lambda spec, classes: nn.Identity())
    with pytest.raises(AssayError, match=r"gives no .* logits"):
        train("classifier", images, tmp_path / "a")


@pytest.mark.parametrize(
    ("stage", "unwanted"),
    [
        ("purify", {"timm", "torchattacks", "matplotlib", "torchvision"}),
        ("attack", {"timm", "diffusers", "matplotlib", "torchvision"}),
        ("classify", {"torchattacks", "diffusers", "matplotlib", "scipy"}),
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
    with artifact(part, "stack", {}, "", {}, {}) as draft:
        draft.facts["classes"] = 2
        write_stack(draft, whole.images[16:24], whole.table.iloc[16:24])

    def purified(stack: Path, name: str, batch_size: int) -> np.ndarray:
        purifier = {"method": "ddpm", "diffusion": "unet", "sigmas": [0.1], "steps": 2}
        spec = PurifySpec(purifier=purifier, draws=2, batch_size=batch_size, seed=0)
        purify_stack(spec, "", stack, diffusion, tmp_path / name, 1)
        return np.asarray(read_stack(tmp_path / name).images)

    together = purified(images / "train", "a", 16)
    assert np.array_equal(purified(part, "b", 16), together[32:48])
    difference = purified(images / "train", "c", 5).astype(int) - together.astype(int)
    assert np.abs(difference).max() <= 2  # of 65535: float tolerance


@pytest.mark.parametrize("kind", ["classifier", "diffusion"])
def test_two_ranks_give_the_loss_curve_of_one(kind: str, images: Path, tmp_path: Path) -> None:
    without_batch_statistics = {"layers": [1, 1, 1, 1], "channels": [32] * 4, "norm_layer": "groupnorm"}
    if kind == "classifier":
        spec = ClassifierSpec(classifier=CLASSIFIER | {"arguments": without_batch_statistics}, seed=0)
    else:
        spec = DiffusionSpec(diffusion=DIFFUSION, seed=0)
    root = Path(__file__).parent.parent.parent
    histories = []
    for ranks in (1, 2):
        out = tmp_path / str(ranks)
        program = [
            sys.executable,
            f"workflow/stages/train_{kind}.py",
            "--ranks",
            str(ranks),
            "--spec",
            spec.model_dump_json(),
        ]
        places = ["--train", images / "train", "--validation", images / "validation", "--out", out]
        subprocess.run([*program, *map(str, places)], check=True, cwd=root)
        histories.append(pd.read_csv(out / "history.csv"))
    pd.testing.assert_frame_equal(*histories, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("told_by_slurm", [True, False])
def test_training_stops_with_a_checkpoint_before_the_jobs_time_limit_and_goes_on_in_the_next(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told_by_slurm: bool
) -> None:
    whole = contents(train("diffusion", images, tmp_path / "whole"))
    end = time.time() + training.SECONDS_TO_STOP_IN - 1
    if told_by_slurm:
        monkeypatch.setenv(training.END_OF_JOB, str(end))
    else:
        monkeypatch.setenv(training.STEP, "0")
        monkeypatch.setenv(training.MINUTES, str((end - training.STARTED) / 60))
    with pytest.raises(AssayError, match="time limit is near; stopped with this checkpoint, run again"):
        train("diffusion", images, tmp_path / "stopped")
    assert list(tmp_path.glob(".stopped.resume-*/checkpoint.pt"))
    monkeypatch.delenv(training.END_OF_JOB if told_by_slurm else training.STEP)
    assert contents(train("diffusion", images, tmp_path / "stopped")) == whole


def test_a_batch_that_ranks_cannot_share_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(AssayError, match="batch_size: 16 cannot be shared by 3 ranks"):
        join_ranks(16, torch.device("cpu"))
