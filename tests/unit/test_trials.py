"""Networks that cannot be built, or do not take the study's images, are found when the study is planned."""

import copy
import json
import subprocess
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

from assay.files import AssayError
from assay.networks import trial as trials_of_networks
from assay.networks.trial import trial
from assay.planning import networks, trials
from assay.planning.bring import plan_study
from assay.planning.jobs import Jobs
from assay.planning.trials import check_networks

TINY = yaml.safe_load((Path(__file__).parents[1] / "workflow/tiny.yaml").read_text())
UNET = {"channels": [8, 8], "norm_groups": 4, "middle_attention": False, "steps": 1}


def classifier(network, side=16, trained=True, small_stem=False, **arguments):
    keys = {"network": network, "arguments": arguments, "small_stem": small_stem}
    return {"kind": "classifier", "network": keys, "side": side, "classes": 2, "trained": trained}


@pytest.mark.parametrize(
    "described",
    [
        classifier("timm/resnet18", small_stem=True, layers=[1, 1, 1, 1], channels=[8, 8, 8, 8]),
        classifier("timm/vit_tiny_patch16_224", depth=1, img_size=16),
        classifier("torchvision/alexnet", side=64),
        {"kind": "diffusion", "network": UNET, "side": 16},
    ],
)
def test_a_network_that_takes_the_images_is_passed(described):
    assert trial(described) == ""


@pytest.mark.parametrize(
    ("described", "fault"),
    [
        (classifier("timm/resnet18", layerz=[1]), "cannot be built (ResNet.__init__() got an unexpected keyword"),
        (classifier("timm/resnet18", num_classes=3), "got multiple values for keyword argument 'num_classes'"),
        (classifier("timm/resnet18", features_only=True, layers=[1, 1, 1, 1]), "must return 2 logits per image"),
        (classifier("timm/resnet18", in_chans=1, layers=[1, 1, 1, 1]), "does not take images of 16 pixels (Given"),
        (classifier("timm/vit_tiny_patch16_224", depth=1), "Input height (16) doesn't match model (224)"),
        (classifier("torchvision/alexnet"), "does not take images of 16 pixels (Given input size: (192x1x1)"),
        (classifier("timm/vit_tiny_patch16_224", depth=1, small_stem=True), "set small_stem: false"),
        ({"kind": "diffusion", "network": UNET, "side": 17}, "images.size: 17 cannot be halved 1 times"),
        (
            {"kind": "published diffusion", "config": {"block_out_channels": [7], "norm_num_groups": 4}, "place": "x"},
            "x: no U-Net can be built from it (",
        ),
    ],
)
def test_a_network_that_does_not_is_refused_in_one_line(described, fault):
    found = trial(described)
    assert fault in found
    assert "\n" not in found


def test_a_network_that_looks_at_numbers_is_tried_in_earnest(monkeypatch):
    class Looks(nn.Module):
        def forward(self, images):
            return images.mean((2, 3))[:, :2] + (1 if images.sum().item() > 0 else 0)

    monkeypatch.setattr(trials_of_networks, "build_classifier", lambda network, classes: Looks())
    with torch.device("meta"), pytest.raises(RuntimeError):
        Looks()(torch.zeros(2, 3, 4, 4))
    assert trial(classifier("timm/resnet18")) == ""


def test_a_network_that_gives_more_than_logits_in_training_is_refused_where_it_is_to_be_trained(monkeypatch):
    """As torchvision's googlenet and inception_v3 do, unless aux_logits is false."""

    class Auxiliary(nn.Module):
        def forward(self, images):
            logits = images.mean((2, 3))[:, :2]
            return (logits, logits) if self.training else logits

    monkeypatch.setattr(trials_of_networks, "build_classifier", lambda network, classes: Auxiliary())
    assert "must return 2 logits per image" in trial(classifier("torchvision/googlenet"))
    assert trial(classifier("torchvision/googlenet", trained=False)) == ""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working directory without results, and a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def jobs_of(**classifiers):
    config = copy.deepcopy(TINY)
    config["classifiers"] |= {name: {"epochs": 1, **keys} for name, keys in classifiers.items()}
    return Jobs(plan_study(config, "x.yaml"))


def refusal(jobs):
    with pytest.raises(AssayError) as caught:
        check_networks(jobs, "x.yaml")
    return str(caught.value).splitlines()


def answers(monkeypatch, fault="", status=0):
    """Have the program that tries networks say the same of each; the list that comes back counts what it was given."""
    asked = []

    def run(command, **_):
        given = json.loads(command[-1])
        asked.extend(given)
        said = "".join(json.dumps({"key": key, "fault": fault}) + "\n" for key in given)
        return subprocess.CompletedProcess(command, status, "a library's words\n" + ("" if status else said), "")

    monkeypatch.setattr(trials.subprocess, "run", run)
    return asked


def test_a_study_is_refused_for_each_of_its_networks_that_fails_and_they_are_tried_once(here, monkeypatch):
    jobs = jobs_of(
        vit={"network": "timm/vit_tiny_patch16_224"}, wrong={"network": "timm/resnet18", "arguments": {"layerz": [1]}}
    )
    found = refusal(jobs)
    assert [line.split(": network")[0] for line in found] == [
        "x.yaml: classifiers.vit.network",
        "x.yaml: classifiers.wrong.arguments",
    ]
    monkeypatch.setattr(trials.subprocess, "run", lambda *_, **__: pytest.fail("tried again"))
    assert refusal(jobs) == found
    assert [path.name for path in here.iterdir()] == ["cache"]


def test_another_version_of_a_library_or_other_code_is_tried_anew(here, monkeypatch):
    jobs = jobs_of()
    asked = answers(monkeypatch)
    for _ in range(2):
        check_networks(jobs, "x.yaml")
    assert len(asked) == 2
    monkeypatch.setattr(networks, "_version", lambda library: "another")
    check_networks(jobs, "x.yaml")
    assert len(asked) == 4
    monkeypatch.setattr(trials, "fingerprint", lambda *_: "other code")
    check_networks(jobs, "x.yaml")
    assert len(asked) == len(set(asked)) == 6


def test_what_the_program_cannot_tell_is_left_to_the_stage_and_not_remembered(here, monkeypatch):
    asked = answers(monkeypatch, status=-9)
    for _ in range(2):
        check_networks(jobs_of(), "x.yaml")
    assert len(asked) == 4


def test_a_note_that_is_damaged_or_cannot_be_written_is_no_fault(here, monkeypatch):
    asked = answers(monkeypatch)
    check_networks(jobs_of(), "x.yaml")
    for note in (here / "cache/assay/networks").iterdir():
        note.write_text("[")
    check_networks(jobs_of(), "x.yaml")
    monkeypatch.setenv("XDG_CACHE_HOME", __file__)
    check_networks(jobs_of(), "x.yaml")
    assert len(asked) == 6


def test_jobs_that_a_run_starts_try_nothing(here, monkeypatch):
    monkeypatch.setattr(trials, "is_a_job", lambda: True)
    asked = answers(monkeypatch, fault="it fails")
    check_networks(jobs_of(), "x.yaml")
    assert asked == []
