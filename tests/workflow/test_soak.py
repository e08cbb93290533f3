"""What takes hours, and CI leaves out: `make soak`. Its figures stand in benchmarks/RESULTS.md."""

import os
import random
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
from checkout import ROOT, differences

pytestmark = pytest.mark.soak

KILLS = int(os.environ.get("ASSAY_SOAK_KILLS", "30"))
LONGEST = float(os.environ.get("ASSAY_SOAK_SECONDS", "120"))  # into a run of the tests' study, that a kill may come


@pytest.mark.parametrize("seed", range(KILLS))
def test_a_study_killed_at_a_random_moment_ends_with_the_same_bytes(seed, pristine, finished, tmp_path):
    study = pristine.copy(tmp_path / "study")
    moment = random.Random(seed).uniform(0, LONGEST)
    process = study.start("--cores", "2", ASSAY_TEST_FAST_CLOCK="1")
    start = time.monotonic()
    while process.poll() is None and time.monotonic() - start < moment:
        time.sleep(0.05)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    study.complete()
    assert differences(study.contents(), finished.contents()) == []
    assert study.plan() == set()
    assert study.litter() == []


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
