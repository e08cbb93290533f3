"""Training on several ranks: the same networks as on one, whatever is minimised; how the ranks are started."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as distributed
from safetensors.torch import load_file
from torch import nn

from assay.data.prepare import prepare_images
from assay.files import AssayError
from assay.inputs import Inputs
from assay.networks.libraries import import_library
from assay.study.diffusions import DiffusionSpec
from assay.study.images import ImagesSpec
from assay.study.training import Recipe
from assay.training import ranks as module
from assay.training.batch_norm import SynchronisedBatchNorm, synchronise
from assay.training.checkpoints import Checkpoints
from assay.training.diffusion import train_diffusion
from assay.training.fit import _last_state
from assay.training.launch import on_nodes, torchrun
from assay.training.ranks import Ranks, join_ranks, run_on_ranks
from trainings import Stopped, save_always

CPU = torch.device("cpu")
SIZES = (1, 2, 4)
CLASSIFIER = {
    "network": "timm/resnet18",  # with batch normalisation
    "arguments": {"layers": [1, 1, 1, 1], "channels": [8, 8, 8, 8]},
    "small_stem": True,
    "steps": 4,
    "validate_every": 2,
    "batch_size": 16,
    "optimiser": "sgd",
    "learning_rate": 0.05,
    "ema_decay": 0.5,
}
ADVERSARIAL = {"method": "adversarial", "eps": "6/255", "steps": 2, "validation_steps": 1, "validation_images": 8}
FAST = {
    "method": "n_fgsm",
    "eps": "6/255",
    "awp": {"gamma": 0.01},
    "validation_steps": 1,
    "validation_images": 8,
    "label_smoothing": 0.1,
}
DIFFUSION = {
    "channels": [8, 8],
    "layers_per_block": 1,
    "norm_groups": 4,
    "middle_attention": False,
    "objective": {"method": "denoising", "max_sigma": 0.3},
    "steps": 4,
    "batch_size": 16,
    "validate_every": 2,
    "learning_rate": 2e-3,
}
TRAININGS = {
    "cross_entropy": ("classifier", CLASSIFIER),
    "adversarial": ("classifier", CLASSIFIER | {"objective": ADVERSARIAL}),
    "n_fgsm with blocks and moved weights": (
        "classifier",
        CLASSIFIER | {"objective": FAST, "denoise": {"operation": "non_local_gaussian"}},
    ),
    "denoising": ("diffusion", DIFFUSION),
    "denoising in parts": ("diffusion", DIFFUSION | {"accumulate": 4}),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each training on one, two and four ranks."""
    folder = tmp_path_factory.mktemp("ranks")
    for split, count in (("train", 40), ("validation", 8)):
        spec = ImagesSpec(images={"source": "phantom", "size": 16}, split=split, count=count, seed=0)
        prepare_images(spec, "", Inputs({}), folder / split)
    inputs = {split: str(folder / split) for split in ("train", "validation")}
    runs = [
        {"ranks": ranks, "stage": stage, "spec": {stage: keys, "seed": 0}, "inputs": inputs, "out": str(out)}
        for name, (stage, keys) in TRAININGS.items()
        for ranks in SIZES
        for out in [folder / name / str(ranks)]
    ]
    program = Path(__file__).parents[1] / "on_ranks.py"
    subprocess.run([sys.executable, program, json.dumps(runs)], check=True)
    return folder


def weights(folder: Path) -> dict[str, torch.Tensor]:
    (path,) = folder.glob("*.safetensors")
    return load_file(path)


@pytest.mark.parametrize("training", TRAININGS)
def test_any_number_of_ranks_trains_the_network_of_one(training: str, trained: Path) -> None:
    one = weights(trained / training / "1")
    for ranks in SIZES[1:]:
        for name, value in weights(trained / training / str(ranks)).items():
            assert torch.allclose(value.double(), one[name].double(), rtol=1e-3, atol=2e-5), (ranks, name)


def test_a_batch_in_parts_trains_the_network_of_a_whole_one(trained: Path) -> None:
    whole, parts = (weights(trained / name / "1") for name in ("denoising", "denoising in parts"))
    assert all(torch.allclose(parts[name], value, rtol=1e-3, atol=2e-5) for name, value in whole.items())


def test_a_stage_starts_its_ranks_by_torchrun(trained: Path, tmp_path: Path) -> None:
    stage, keys = TRAININGS["denoising"]
    inputs = {split: str(trained / split) for split in ("train", "validation")}
    program = [sys.executable, f"workflow/stages/train_{stage}.py", "--ranks", "2", "--out", str(tmp_path / "out")]
    options = ["--spec", json.dumps({stage: keys, "seed": 0}), "--inputs", json.dumps(inputs)]
    subprocess.run([*program, *options], check=True, cwd=Path(__file__).parents[2])
    one = weights(trained / "denoising" / "1")
    found = weights(tmp_path / "out")
    assert all(torch.allclose(found[name], value, rtol=1e-3, atol=2e-5) for name, value in one.items())


def test_ranks_resume_from_one_checkpoint_or_all_begin_anew(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training is stopped on one rank and goes on on two; of another one the checkpoint is damaged in between."""
    inputs = {split: trained / split for split in ("train", "validation")}
    spec = {"diffusion": DIFFUSION, "seed": 0}
    saves = save_always(monkeypatch)
    for name in ("whole", "damaged"):
        saves.stop_after = len(saves) + 2
        with pytest.raises(Stopped):
            train_diffusion(DiffusionSpec(**spec), "code", Inputs(inputs), tmp_path / name, 1)
    (checkpoint,) = tmp_path.glob(".damaged.resume-*/*")
    checkpoint.write_bytes(checkpoint.read_bytes()[:-1])
    run = {"ranks": 2, "stage": "diffusion", "spec": spec, "inputs": {role: str(at) for role, at in inputs.items()}}
    runs = [run | {"out": str(tmp_path / name)} for name in ("whole", "damaged")]
    program = [sys.executable, Path(__file__).parents[1] / "on_ranks.py", json.dumps(runs)]
    done = subprocess.run(program, check=True, stderr=subprocess.PIPE, text=True)
    assert done.stderr.count("resumed after step 2") == 1
    assert done.stderr.count(f"{checkpoint}: damaged, training begins anew") == 1
    one = weights(trained / "denoising" / "1")
    for run in runs:
        found = weights(Path(run["out"]))
        assert all(torch.allclose(found[name], value, rtol=1e-3, atol=2e-5) for name, value in one.items())


TWO_RANKS = """
import os, sys, torch, torch.distributed as distributed
from assay.training.ranks import Ranks
rank = 0 if os.fork() else 1
distributed.init_process_group("gloo", store=distributed.FileStore(sys.argv[1], 2), rank=rank, world_size=2)
ranks, device = Ranks(rank, 2), torch.device("cpu")
assert ranks.same(3, device)
assert not ranks.same(3 + rank, device)
assert not ranks.same(3 - rank, device)
distributed.destroy_process_group()
if rank == 0:
    sys.exit(os.wait()[1] != 0)
"""


def test_ranks_know_whether_a_number_is_the_same_on_all(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", TWO_RANKS, tmp_path / "store"], check=True)
    assert Ranks().same(3, CPU)


def test_a_rank_that_reads_another_checkpoint_stops_the_training(tmp_path: Path) -> None:
    class Second(Ranks):
        """A rank whose first rank has read a whole checkpoint, of a step that nobody else reads."""

        first = False

        def agree(self, decision: bool, device: torch.device) -> bool:
            return True

        def same(self, number: float, device: torch.device) -> bool:
            return number == 7

    checkpoints = Checkpoints(tmp_path / "checkpoint.pt")
    for step in (None, 6):
        if step:
            checkpoints.save({"step": step})
        with pytest.raises(AssayError, match=r"checkpoint.pt: not every rank reads the same checkpoint; run again"):
            _last_state(checkpoints, Second(), CPU)
    checkpoints.save({"step": 7})
    assert _last_state(checkpoints, Second(), CPU) == {"step": 7}


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[None]:
    """A process group of this process alone."""
    store = distributed.FileStore(str(tmp_path / "store"), 1)
    distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("fused", [False, True])
def test_a_synchronised_normalisation_is_torchs_on_one_rank(alone: None, momentum: float | None, fused: bool) -> None:
    torch.manual_seed(0)
    kind = import_library("timm").layers.BatchNormAct2d if fused else nn.BatchNorm2d
    layers = [nn.Sequential(kind(5, momentum=momentum)) for _ in range(2)]
    layers[1].load_state_dict(layers[0].state_dict())
    synchronise(layers[1])
    assert isinstance(layers[1][0], SynchronisedBatchNorm)
    for training in (True, True, False):
        x = 3 * torch.randn(4, 5, 6, 6) + 1
        found = []
        for layer in layers:
            shown = x.clone().requires_grad_()
            output = layer.train(training)(shown)
            output.square().sum().backward()
            found.append([output, shown.grad, *[parameter.grad for parameter in layer.parameters()]])
        assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-4) for a, b in zip(*found, strict=True))
    states = [layer.state_dict() for layer in layers]
    assert states[0].keys() == states[1].keys()
    assert all(torch.allclose(states[0][name].float(), states[1][name].float(), atol=1e-5) for name in states[0])


def test_a_normalisation_that_cannot_be_shared_is_refused() -> None:
    class Own(nn.BatchNorm2d):
        pass

    with pytest.raises(AssayError, match=r"^ranks: Own \(inner.0\) is a batch normalisation whose statistics cannot"):
        synchronise(nn.ModuleDict({"inner": nn.Sequential(Own(3))}))


def test_shares_are_parts_of_the_batch_in_order() -> None:
    rows = torch.arange(10)
    assert torch.equal(torch.cat([Ranks(rank, 4).share(rows) for rank in range(4)]), rows)


def test_a_batch_that_ranks_cannot_share_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(AssayError, match="batch_size: 16 cannot be shared by 3 ranks; choose a multiple of 3"):
        join_ranks(Recipe(steps=1, batch_size=16), CPU)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(AssayError, match="by 2 ranks of 3 parts each; choose a multiple of 6"):
        join_ranks(Recipe(steps=1, batch_size=18, accumulate=3).model_copy(update={"batch_size": 16}), CPU)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The programs that this one would turn into."""
    found: list[list[str]] = []
    monkeypatch.setattr(module.os, "execvp", lambda path, command: found.append(command))
    monkeypatch.setattr(sys, "argv", ["train.py", "--spec", "{}"])
    return found


def test_ranks_are_started_once_and_on_all_gpus_that_can_share_the_batch(
    started: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = Recipe(steps=1, batch_size=16, accumulate=2)
    run_on_ranks(None, 1, recipe)
    assert not started, "there is no GPU here"
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    run_on_ranks(None, 1, recipe)
    assert started.pop()[3:] == ["--nproc-per-node=2", "--standalone", "train.py", "--spec", "{}"]
    run_on_ranks(4, 2, recipe)
    assert "--nproc-per-node=8" in started.pop(), "outside a Slurm job all ranks are here"
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    run_on_ranks(4, 2, recipe)
    command = started.pop()
    assert command[:3] == ["srun", "--nodes=2", "--ntasks=2"]
    assert {"--nproc-per-node=4", "--nnodes=2", "--rdzv-backend=c10d"} <= set(command)
    monkeypatch.setenv("WORLD_SIZE", "2")
    run_on_ranks(2, 1, recipe)
    assert not started


def test_a_job_of_several_nodes_starts_torchrun_on_each_within_its_container(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    command = on_nodes(["stage.py", "--out", "a"], 4, 2, "node1:29500", ["apptainer", "exec", "torch.sif"])
    assert command[0] == "srun"
    at = command.index("apptainer")
    assert command[at : at + 4] == ["apptainer", "exec", "torch.sif", "python"]
    assert command[at + 4 : -3] == torchrun(4, 2, "node1:29500")
    assert {"--nnodes=2", "--nproc-per-node=4", "--rdzv-endpoint=node1:29500", "--rdzv-id=17"} <= set(command)
    assert command[-3:] == ["stage.py", "--out", "a"]


def test_the_launcher_imports_no_torch() -> None:
    code = "import sys, assay.training.launch; assert not {'torch', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
