"""What takes hours, and CI leaves out: `make soak`. Its figures stand in benchmarks/RESULTS.md."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import torch
from checkout import ROOT, Checkout, differences
from edits import EDITS, apply, jobs_that_changed
from safetensors.torch import save_file
from weights import SIDE, TIMM

from assay.networks.libraries import import_library
from fake_pcam import write_kaggle

pytestmark = pytest.mark.soak

KILLS = int(os.environ.get("ASSAY_SOAK_KILLS", "100"))
KILLS_OF_A_STUDY = 5
NO_PART_OF_THE_KEY = {"threads"}  # by intention, though last bits may depend on it: see config/README.md
LONGEST = float(os.environ.get("ASSAY_SOAK_SECONDS", "40"))  # into a run of the study, that a kill may come


def with_everything(study: Checkout) -> None:
    """Have the tests' study have a selection, probes, files in Kaggle's format and an imported classifier."""
    images = np.random.default_rng(0).integers(0, 256, (120, SIDE, SIDE, 3)).astype(np.uint8)
    write_kaggle(study.root / "data/kaggle", images, np.arange(120) % 2)
    weights = study.root / "weights/timm"
    weights.mkdir(parents=True)
    torch.manual_seed(0)
    network = import_library("timm").create_model("resnet18", num_classes=2, **TIMM["model_args"])
    save_file(network.state_dict(), weights / "model.safetensors")
    (weights / "config.json").write_text(json.dumps(TIMM))
    config = study.config()
    config["images"] = {"source": "kaggle", "size": SIDE, "train": 48, "validation": 16, "folder": "data/kaggle"}
    config["classifiers"]["published"] = {"published": "weights/timm", "layout": "timm"}
    config["purifiers"]["oneshot"]["sigmas"] = [0.1, "selected"]
    config["selection"] = {
        "images": 6,
        "purifier": "oneshot",
        "classifier": "resnet",
        "attack": "pgd",
        "eps": "4/255",
        "sigmas": [0.05, 0.1],
        "draws": 2,
    }
    config["checks"] = {"images": 4, "gradients": True, "convergence": True, "blinder": True, "active": True}
    config["cross"] = [
        {"classifiers": ["resnet"], "attacks": ["pgd", "adaptive"], "purifiers": ["oneshot"]},
        {"classifiers": ["published"], "attacks": ["pgd"], "purifiers": ["noise"]},
        {"classifiers": ["resnet"], "attacks": [], "purifiers": ["ddpm"]},
    ]
    study.set_config(config)


@pytest.fixture(scope="module")
def everything(pristine: Checkout, tmp_path_factory: pytest.TempPathFactory) -> tuple[Checkout, Checkout]:
    """A checkout with that study, before and after an uninterrupted run."""
    folder = tmp_path_factory.mktemp("everything")
    before = pristine.copy(folder / "before")
    with_everything(before)
    after = before.copy(folder / "after")
    after.complete()
    return before, after


@pytest.mark.parametrize("seed", range(-(-KILLS // KILLS_OF_A_STUDY)))
def test_a_study_killed_at_random_moments_ends_with_the_same_bytes(seed, everything, tmp_path):
    before, after = everything
    study = before.copy(tmp_path / "study")
    chance = random.Random(seed)
    for _ in range(KILLS_OF_A_STUDY):
        moment = chance.uniform(0, LONGEST)
        process = study.start("--cores", "2", ASSAY_TEST_FAST_CLOCK="1")
        start = time.monotonic()
        while process.poll() is None and time.monotonic() - start < moment:
            time.sleep(0.02)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    study.complete()
    assert differences(study.contents(), after.contents()) == []
    assert study.plan() == set()
    assert study.litter() == []


@pytest.mark.parametrize("edit", EDITS, ids=[edit.name for edit in EDITS])
def test_what_is_planned_is_what_changes(edit, finished, pristine, tmp_path):
    """With and without Snakemake's records: the oracle is the same edit on a study that is made from nothing."""
    planned = finished.copy(tmp_path / "planned")
    apply(edit, planned)
    found = planned.plan()
    subprocess.run(["rm", "-r", planned.root / ".snakemake"], check=True)
    assert planned.plan() == found
    if edit.name in NO_PART_OF_THE_KEY:
        assert found == set()
        return
    anew = pristine.copy(tmp_path / "anew")
    apply(edit, anew)
    anew.complete()
    assert jobs_that_changed(anew, finished) == found


@pytest.mark.parametrize("config", ["config/config.yaml", "config/phantom.yaml"])
def test_a_study_of_the_project_ends_and_holds_its_checks(config, pristine, tmp_path):
    study = pristine.copy(tmp_path / "study")
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--configfile", config]
    subprocess.run(command, cwd=study.root, env=study.environment(), check=True)
    again = subprocess.run([*command, "--dry-run"], cwd=study.root, env=study.environment(), capture_output=True)
    assert b"Nothing to be done" in again.stdout + again.stderr
    (checks,) = (study.root / "results").glob("*/checks.csv")
    found = pd.read_csv(checks)
    failed = set(found.loc[found["status"] == "FAIL", "check"])
    assert failed <= {"better than chance"}, "noise alone is no better where it is high"


def test_ten_thousand_cells_are_planned_within_a_minute_of_cpu():
    command = [sys.executable, "benchmarks/dag.py", "--cells", "10000"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    print(done.stdout)
