"""Trainings that diverge: they stop at the same step however often they are resumed, and no such network is kept."""

import json
import math
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from pydantic import ValidationError
from torch import nn

import trainings
from assay.diffusion.denoiser import load_denoiser
from assay.files import AssayError
from assay.manifests import check, read_manifest
from assay.networks.classifier import load_classifier
from assay.reporting.read import read_artifacts
from assay.reporting.training import trainings as shown_trainings
from assay.study.training import Recipe
from assay.training.divergence import Diverged, Watch, largest
from assay.training.running_mean import RunningMean
from trainings import STEPS, Saves, Stopped, contents, save_always

CPU = torch.device("cpu")
KINDS = ["classifier", "diffusion"]
FAR_TOO_HIGH = {"learning_rate": 1e20, "learning_rate_schedule": "constant"}
# A loss whose gradient is not a number in one step, though its value is; the loss may or may not show it afterwards.
FAULTY_OBJECTIVE = """
import torch
import torch.nn.functional as F
from assay.study.objectives import PythonObjective
from assay.training.objective import Objective

class FaultySpec(PythonObjective):
    at: int
    seen: bool

def build(spec, task):
    return Faulty(spec, task)

class Faulty(Objective):
    def __init__(self, spec, task):
        super().__init__()
        self.network, self.spec = task.network, spec
        self.unseen = torch.nn.Parameter(torch.ones(()))

    def forward(self, batch):
        loss = F.cross_entropy(self.network(batch.images), batch.labels)
        loss = loss + torch.where(torch.tensor(False), self.unseen, 0.0)
        if batch.step + 1 == self.spec.at:
            harmed = next(self.network.parameters()) if self.spec.seen else self.unseen
            loss = loss + (harmed - harmed.detach()).abs().sqrt().sum()
        return loss

    def judge(self):
        return {"validation_loss": 1.0}
"""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = trainings.prepare(tmp_path_factory.mktemp("prepared"))
    (folder / "faulty.py").write_text(FAULTY_OBJECTIVE)
    return folder


@pytest.fixture
def saves(monkeypatch: pytest.MonkeyPatch) -> Saves:
    return save_always(monkeypatch)


def faulty(prepared: Path, at: int, seen: bool = True) -> dict[str, object]:
    """An objective that makes weights not a number in step `at`; `seen` says whether the next loss shows it."""
    return {"objective": {"method": "python", "module": str(prepared / "faulty.py"), "at": at, "seen": seen}}


def failure(kind: str, prepared: Path, out: Path, **changes: object) -> str:
    """What a training fails with."""
    with pytest.raises(AssayError) as caught:
        trainings.train(kind, prepared, out, **changes)
    return str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_a_loss_that_overflows_stops_the_training_at_the_same_step_each_time(
    kind: str, prepared: Path, tmp_path: Path, saves: Saves
) -> None:
    message = failure(kind, prepared, tmp_path / "out", **FAR_TOO_HIGH)
    clip = {"classifier": "set gradient_clip", "diffusion": r"gradient_clip \(1\)"}[kind]
    pattern = rf"train {kind}: the loss is (nan|inf) at step (\d) of 5; lower learning_rate \(1e\+20\) or {clip}"
    step = int(re.fullmatch(pattern, message)[2])
    assert saves == list(range(1, step)), "the last good checkpoint is kept"
    assert not (tmp_path / "out").exists()
    assert failure(kind, prepared, tmp_path / "out", **FAR_TOO_HIGH) == message
    assert saves == list(range(1, step)), "the second run resumed from it"


@pytest.mark.parametrize("kind", KINDS)
def test_a_failed_training_leaves_the_artifact_of_an_earlier_one_as_it_was(
    kind: str, prepared: Path, tmp_path: Path
) -> None:
    before = contents(trainings.train(kind, prepared, tmp_path / "out"))
    failure(kind, prepared, tmp_path / "out", **FAR_TOO_HIGH)
    assert contents(tmp_path / "out") == before


@pytest.mark.parametrize("kind", KINDS)
def test_a_validation_loss_that_is_not_finite_is_divergence(kind: str, prepared: Path, tmp_path: Path) -> None:
    """One step: its loss is that of the initial weights, so only the validation shows what it did."""
    message = failure(kind, prepared, tmp_path / "out", **FAR_TOO_HIGH | {"learning_rate": 1e30, "steps": 1})
    assert re.match(rf"train {kind}: the validation loss is (nan|inf) at step 1 of 1; lower learning_rate", message)
    assert not (tmp_path / "out").exists()


def test_weights_that_break_in_the_last_step_are_not_kept(prepared: Path, tmp_path: Path, saves: Saves) -> None:
    message = failure("classifier", prepared, tmp_path / "out", **faulty(prepared, at=STEPS))
    assert message.startswith(
        f"train classifier: a weight or its running mean is nan at step {STEPS} of {STEPS}; lower"
    )
    assert saves == [1, 2, 3, 4]
    assert not (tmp_path / "out").exists()


def test_weights_that_break_after_a_checkpoint_are_never_in_one(prepared: Path, tmp_path: Path, saves: Saves) -> None:
    changes = faulty(prepared, at=3)
    message = failure("classifier", prepared, tmp_path / "out", **changes)
    assert message.startswith("train classifier: the loss is nan at step 4 of 5; lower")
    assert saves == [1, 2]
    assert failure("classifier", prepared, tmp_path / "out", **changes) == message
    assert saves == [1, 2]


def test_broken_weights_that_no_loss_shows_stop_the_training_at_the_next_validation(
    prepared: Path, tmp_path: Path, saves: Saves
) -> None:
    changes = faulty(prepared, at=3, seen=False)
    message = failure("classifier", prepared, tmp_path / "out", **changes)
    assert message.startswith("train classifier: a weight or its running mean is nan at step 4 of 5; lower")
    assert saves == [1, 2]


def test_when_checkpoints_are_saved_does_not_change_where_a_training_stops(prepared: Path, tmp_path: Path) -> None:
    for name, at in (("a", 2), ("b", 3), ("c", STEPS)):
        without = failure("classifier", prepared, tmp_path / name, **faulty(prepared, at=at))
        with pytest.MonkeyPatch.context() as patched:
            save_always(patched)
            assert failure("classifier", prepared, tmp_path / name, **faulty(prepared, at=at)) == without


def test_the_end_of_a_training_is_checked_after_the_objective_had_its_say(prepared: Path, tmp_path: Path) -> None:
    module = tmp_path / "finishing.py"
    ending = "\n    def finish(self):\n        self.unseen.data.fill_(torch.inf)\n"
    module.write_text(FAULTY_OBJECTIVE + ending)
    objective = {"method": "python", "module": str(module), "at": 99, "seen": True}
    message = failure("classifier", prepared, tmp_path / "out", objective=objective)
    assert message.startswith("train classifier: a weight or its running mean is inf at step 5 of 5; lower")


# on_divergence: record


@pytest.mark.parametrize("kind", KINDS)
def test_a_recorded_divergence_is_an_artifact_without_weights(
    kind: str, prepared: Path, tmp_path: Path, saves: Saves
) -> None:
    changes = FAR_TOO_HIGH | {"on_divergence": "record"}
    out = trainings.train(kind, prepared, tmp_path / f"{kind}s" / "hot", **changes)
    assert sorted(contents(out)) == ["history.csv", "manifest.json"]
    manifest = read_manifest(out, kind)
    (diverged,) = manifest["facts"].values()
    assert manifest["facts"].keys() == {"diverged"}
    assert diverged.keys() == {"step", "steps", "loss"}
    assert diverged["steps"] == STEPS
    assert diverged["loss"] in ("nan", "inf")
    assert manifest["spec"][kind]["on_divergence"] == "record"
    history = pd.read_csv(out / "history.csv")
    assert list(history.columns)[:3] == ["step", "train_loss", "validation_loss"]
    assert (history["step"] < diverged["step"]).all()
    assert not list(out.parent.glob(".*")), "no unfinished work is left"
    (page,) = shown_trainings(tmp_path, read_artifacts(tmp_path))
    assert page.samples is None


def test_a_record_keeps_the_validations_before(prepared: Path, tmp_path: Path) -> None:
    out = trainings.train("classifier", prepared, tmp_path / "out", **faulty(prepared, at=3), on_divergence="record")
    history = pd.read_csv(out / "history.csv")
    assert list(history["step"]) == [2]
    assert history.map(math.isfinite).all(axis=None)
    assert read_manifest(out)["facts"] == {"diverged": {"step": 4, "steps": STEPS, "loss": "nan"}}


def test_a_resumed_record_has_the_bytes_of_one_that_was_not(prepared: Path, tmp_path: Path, saves: Saves) -> None:
    changes = faulty(prepared, at=4) | {"on_divergence": "record"}
    whole = contents(trainings.train("classifier", prepared, tmp_path / "whole", **changes))
    saves.clear()
    saves.stop_after = 2
    with pytest.raises(Stopped):
        trainings.train("classifier", prepared, tmp_path / "out", **changes)
    assert contents(trainings.train("classifier", prepared, tmp_path / "out", **changes)) == whole
    assert saves == [1, 2, 3]


@pytest.mark.parametrize("kind", KINDS)
def test_what_loads_a_network_that_diverged_is_told(kind: str, prepared: Path, tmp_path: Path) -> None:
    hot = trainings.train(kind, prepared, tmp_path / "hot", **FAR_TOO_HIGH, on_divergence="record")
    step = read_manifest(hot)["facts"]["diverged"]["step"]
    said = rf"^{hot}: its training diverged at step {step} \(on_divergence: record\); it has no weights: lower [^\n]*$"
    load = {"classifier": load_classifier, "diffusion": load_denoiser}[kind]
    with pytest.raises(AssayError, match=said):
        load(hot, CPU)
    onward = trainings.train(kind, prepared, tmp_path / "next", start="hot", needs={"start": hot})
    why = f"its start could not be trained: diverged at step {step}"
    assert check(onward, kind)["facts"] == {"unmade": why}
    with pytest.raises(AssayError, match=f"^{onward}: {why}; it has no weights: remove what uses it from the study$"):
        load(onward, CPU)


@pytest.mark.parametrize("kind", KINDS)
def test_a_record_of_a_training_that_does_not_diverge_is_the_network_itself(
    kind: str, prepared: Path, tmp_path: Path
) -> None:
    usual, recorded = (
        contents(trainings.train(kind, prepared, tmp_path / word, on_divergence=word)) for word in ("fail", "record")
    )
    assert usual.keys() == recorded.keys()
    assert {name for name in usual if usual[name] != recorded[name]} == {"manifest.json"}


def test_what_happens_on_divergence_is_one_of_two_words() -> None:
    assert Recipe(steps=1).on_divergence == "fail"
    with pytest.raises(ValidationError, match="on_divergence"):
        Recipe(steps=1, on_divergence="ignore")


# several ranks


def test_ranks_stop_together(prepared: Path, tmp_path: Path) -> None:
    described = trainings.CLASSIFIER | {"module": str(prepared / "network.py")}
    inputs = {split: str(prepared / split) for split in ("train", "validation")}
    recorded, failed = described | FAR_TOO_HIGH | {"on_divergence": "record"}, described | faulty(prepared, at=3)
    runs = [
        {"ranks": 2, "stage": "classifier", "spec": {"classifier": keys, "seed": 0}, "inputs": inputs, "out": str(out)}
        for keys, out in ((recorded, tmp_path / "recorded"), (failed, tmp_path / "failed"))
    ]
    program = Path(__file__).parents[1] / "on_ranks.py"
    done = subprocess.run([sys.executable, program, json.dumps(runs)], capture_output=True, text=True)
    assert read_manifest(tmp_path / "recorded")["facts"]["diverged"]["step"] == 2, done.stderr
    assert sorted(contents(tmp_path / "recorded")) == ["history.csv", "manifest.json"]
    assert done.returncode == 1
    assert done.stderr.count("Diverged: train classifier: the loss is nan at step 4 of 5; lower") == 2
    assert not (tmp_path / "failed").exists()


# what is looked at


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", ["weight", "statistic", "mean"])
def test_one_value_among_all_is_enough(value: float, place: str) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    network.register_buffer("nothing", torch.empty(0))
    network.register_buffer("coarse", torch.full((2,), 1e38, dtype=torch.bfloat16))
    mean = RunningMean(network, 0.9)
    assert math.isfinite(largest(network, mean))
    harmed = {"weight": network[0].weight.data, "statistic": network[1].running_var, "mean": mean.mean[0]}[place]
    harmed.view(-1)[-1] = value
    assert not math.isfinite(largest(network, mean))


def test_large_values_are_no_divergence() -> None:
    network = nn.Linear(1000, 1000)
    nn.init.constant_(network.weight, 3e38)
    assert math.isfinite(largest(network, RunningMean(network, None)))


def test_a_watch_says_where_in_json() -> None:
    watch = Watch("train", Recipe(steps=9, learning_rate=0.5, gradient_clip=2), 9)
    watch.check("loss", 1e300, 1)
    with pytest.raises(Diverged, match=r"^train: the loss is inf at step 3 of 9; lower learning_rate \(0.5\) or "):
        watch.check("loss", math.inf, 3)
    with pytest.raises(Diverged) as caught:
        watch.check("validation_loss", math.nan, 9)
    assert json.loads(json.dumps(caught.value.facts, allow_nan=False)) == caught.value.facts
    assert caught.value.facts == {"step": 9, "steps": 9, "validation_loss": "nan"}
