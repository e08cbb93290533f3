"""Resuming, stopped at chosen moments in this process: nothing is done twice, and the bytes are the same."""

import numpy as np
import pytest
import torch
from checkout import differences
from pydantic import TypeAdapter

from assay.attacks.methods.method import build_search
from assay.attacks.threats.transfer import Bare
from assay.attacks.threats.victim import judgement
from assay.inputs import Inputs
from assay.manifests import read_manifest
from assay.resume import Resume
from assay.study.attacks import AnyAttack
from assay.study.classifiers import ClassifierSpec
from assay.study.diffusions import DiffusionSpec
from assay.training import checkpoints as training
from assay.training.classifier import train_classifier
from assay.training.diffusion import train_diffusion

STEPS = 6
KINDS = {
    "classifier": (train_classifier, ClassifierSpec, "classifiers/resnet"),
    "diffusion": (train_diffusion, DiffusionSpec, "diffusions/unet"),
}


class Stopped(Exception):
    """As good as a crash."""


@pytest.fixture
def saves(monkeypatch):
    """A checkpoint after every step; the list grows by each, and `stop_after` of them the training crashes."""
    made = Saves()
    save = training.Checkpoints.save

    def counted(self, state):
        save(self, state)
        made.append(state["step"])
        if len(made) == made.stop_after:
            raise Stopped

    monkeypatch.setattr(training.Checkpoints, "due", lambda self: True)
    monkeypatch.setattr(training.Checkpoints, "save", counted)
    return made


class Saves(list):
    stop_after = None


def train(kind, finished, out, **changes):
    """Train as the finished study did; its folder."""
    function, model, place = KINDS[kind]
    manifest = read_manifest(finished.results / place)
    images = finished.results / "images"
    spec = model.model_validate(manifest["spec"] | changes)
    inputs = Inputs({"train": images / "train", "validation": images / "validation"})
    function(spec, manifest["code"], inputs, out, 2)
    return finished.results / place


def checkpoints(folder):
    return list(folder.glob(".trained.resume-*/checkpoint.pt"))


def bytes_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("step", [1, 3, 5])
@pytest.mark.parametrize("kind", KINDS)
def test_a_stopped_training_goes_on_to_the_same_bytes(kind, step, finished, tmp_path, saves):
    out = tmp_path / "trained"
    saves.stop_after = step
    with pytest.raises(Stopped):
        train(kind, finished, out)
    assert not out.exists()
    assert len(checkpoints(tmp_path)) == 1
    reference = train(kind, finished, out)
    assert saves == list(range(1, STEPS + 1)), "each step was done once"
    assert differences(bytes_of(out), bytes_of(reference)) == []
    assert list(tmp_path.glob(".*")) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_broken_checkpoint_is_told_and_training_begins_anew(kind, finished, tmp_path, saves, capfd):
    out = tmp_path / "trained"
    saves.stop_after = 2
    with pytest.raises(Stopped):
        train(kind, finished, out)
    (checkpoint,) = checkpoints(tmp_path)
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    reference = train(kind, finished, out)
    assert saves[2:] == list(range(1, STEPS + 1))
    assert f"{checkpoint}: damaged, training begins anew" in capfd.readouterr().err
    assert differences(bytes_of(out), bytes_of(reference)) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_of_another_spec_is_not_used(kind, finished, tmp_path, saves):
    out = tmp_path / "trained"
    saves.stop_after = 4
    with pytest.raises(Stopped):
        train(kind, finished, out, seed=1)
    reference = train(kind, finished, out)
    assert saves[4:] == list(range(1, STEPS + 1))
    assert differences(bytes_of(out), bytes_of(reference)) == []


def test_finished_batches_are_read_back_and_damaged_ones_computed_anew(tmp_path, capfd):
    computed = []

    def compute(index):
        if index == 2 and computed.count(2) == 0:
            computed.append(2)
            raise Stopped
        computed.append(index)
        return {"images": np.full(3, index)}

    with pytest.raises(Stopped):
        list(Resume(tmp_path / "out", "key").batches(range(4), compute, "work"))
    assert computed == [0, 1, 2]
    (tmp_path / ".out.resume-key/batch-000000.npz").write_bytes(b"torn")
    results = list(Resume(tmp_path / "out", "key").batches(range(4), compute, "work"))
    assert computed == [0, 1, 2, 0, 2, 3]
    assert [result["images"].tolist() for result in results] == [[k] * 3 for k in range(4)]
    assert "batch-000000.npz: damaged, computed anew" in capfd.readouterr().err


def test_work_under_another_key_is_not_used_and_forgotten_at_the_end(tmp_path):
    list(Resume(tmp_path / "out", "one").batches(range(2), lambda index: {"x": np.zeros(1)}, "work"))
    other = Resume(tmp_path / "out", "other")
    results = list(other.batches(range(2), lambda index: {"x": np.ones(1)}, "work"))
    assert [result["x"].item() for result in results] == [1, 1]
    other.clear()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("method", ["fgsm", "pgd", "pgdl2", "apgd", "square", "random_sign"])
def test_an_attack_leaves_its_victim_as_it_was(method):
    """Else a batch would depend on those before it, and a resumed attack would differ from one that was not."""
    torch.manual_seed(0)
    layers = torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Flatten(), torch.nn.Linear(4 * 6 * 6, 2)
    victim = Bare(torch.nn.Sequential(*layers)).eval().requires_grad_(False)
    before = {name: value.clone() for name, value in victim.state_dict().items()}
    images, labels, keys = torch.rand(4, 3, 8, 8), torch.tensor([0, 1, 0, 1]), torch.arange(4)
    attack = TypeAdapter(AnyAttack).validate_python({"method": method, "eps": [8 / 255]})
    build_search(attack, victim, 2)(images, labels, keys)
    assert not any(module.training for module in victim.modules())
    with torch.inference_mode():
        victim(images, keys, judgement("test", 1))
    assert all(torch.equal(value, before[name]) for name, value in victim.state_dict().items())
