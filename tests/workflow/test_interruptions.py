"""`kill -9` at any moment, then the same command: it completes, and the bytes are those of an uninterrupted run."""

import fnmatch
import json
import os
import signal
import subprocess
import time
from types import SimpleNamespace

import pytest
from checkout import Python, differences, faults

PGD = "resnet/pgd/eps-4_255/undefended"
CLASSIFIER, DIFFUSION = "classifiers/resnet", "diffusions/unet"
ATTACKED = f"adversarial/{PGD}"
DDPM, NOISE, ONESHOT = (
    "purified/clean/ddpm/sigma-0.2",
    "purified/clean/noise/sigma-0.1",
    f"purified/{PGD}/oneshot/sigma-0.1",
)
SCORES = "scores/resnet/clean/none/sigma-0"


def kept(folder, name):
    """Where a stage keeps unfinished work of the artifact in `folder`: a pattern, for it has a key too."""
    above, last = folder.rsplit("/", 1)
    return f"{above}/.{last}.resume-*/{name}"


@pytest.fixture(scope="session")
def interrupted(pristine, tmp_path_factory):
    """A study that was interrupted three times and then finished, and what was on disk after each interruption."""
    checkout = pristine.copy(tmp_path_factory.mktemp("workflow") / "interrupted")
    clock = {"ASSAY_TEST_FAST_CLOCK": "1"}
    runs, seen = [], []

    def run(*wanted):
        runs.append(checkout.snakemake("--cores", "2", "--keep-going", **clock, **faults(*wanted)))
        seen.append(_files(checkout))

    # Trainings are killed as they save their third step, with two steps kept; a purification amid moving its files.
    run(
        (kept(CLASSIFIER, "checkpoint.pt"), 3, "kill"),
        (kept(DIFFUSION, "checkpoint.pt"), 3, "kill"),
        (f"{NOISE}/table.csv", 1, "kill"),
    )
    # A training of six steps that goes on from the third one never saves five times; one that began anew would.
    # An attack and a purification are killed between two batches, a classification amid moving its files.
    run(
        (kept(CLASSIFIER, "checkpoint.pt"), 5, "kill"),
        (kept(DIFFUSION, "checkpoint.pt"), 5, "kill"),
        (kept(ATTACKED, "batch-000001.npz"), 1, "kill"),
        (kept(DDPM, "batch-000001.npz"), 1, "kill"),
        (f"{SCORES}/manifest.json", 1, "kill"),
    )
    # No finished batch is computed again, or the job would be killed again. One job stands still amid moving its files;
    # while it does, the study is locked; then all processes of the run are killed.
    note = checkout.root / "stalled"
    wanted = faults(
        (kept(ATTACKED, "batch-000000.npz"), 1, "kill"),
        (kept(DDPM, "batch-000000.npz"), 1, "kill"),
        (f"{ONESHOT}/table.csv", 1, "stall"),
    )
    process = checkout.start("--cores", "2", python=Python.apart, ASSAY_TEST_STALLED=str(note), **wanted)
    try:
        _wait_for(note, process)
        rival = checkout.snakemake("--cores", "2")
        planned = checkout.plan()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    output, _ = process.communicate()
    runs.append((process.returncode, output))
    seen.append(_files(checkout))
    locks = list((checkout.root / ".snakemake/locks").iterdir())

    runs.append(checkout.snakemake("--cores", "2"))
    return SimpleNamespace(
        checkout=checkout,
        runs=runs,
        seen=seen,
        rival=rival,
        planned=planned,
        locks=locks,
        stalled=int(note.read_text()),
    )


def test_the_same_command_completes_after_every_interruption(interrupted):
    assert [status for status, _ in interrupted.runs[:2]] == [1, 1]
    assert interrupted.runs[2][0] == -signal.SIGKILL
    assert not os.path.exists(f"/proc/{interrupted.stalled}"), "the killed run left a process behind"
    status, output = interrupted.runs[3]
    assert status == 0, output


def test_the_result_is_byte_for_byte_that_of_an_uninterrupted_run(interrupted, finished):
    assert differences(interrupted.checkout.contents(), finished.contents()) == []
    assert interrupted.checkout.plan() == set()


def test_a_killed_stage_leaves_nothing_at_its_declared_paths_and_keeps_its_work(interrupted):
    first, second, third = interrupted.seen
    for folder in (CLASSIFIER, DIFFUSION):
        assert _in(folder, first) == []
        assert fnmatch.filter(first, kept(folder, "checkpoint.pt"))
        assert f"{folder}/manifest.json" in second
    for folder in (ATTACKED, DDPM):
        assert _in(folder, second) == []
        assert fnmatch.filter(second, kept(folder, "batch-000000.npz"))
        assert not fnmatch.filter(second, kept(folder, "batch-000001.npz"))
    # Whole files, and no manifest before all are in place.
    assert _in(NOISE, first) == [f"{NOISE}/images.tif"]
    assert _in(SCORES, second) == [f"{SCORES}/logits.npy", f"{SCORES}/table.csv"]
    assert _in(ONESHOT, third) == [f"{ONESHOT}/images.tif"]


def test_other_jobs_go_on_when_one_is_killed(interrupted):
    _, second, _ = interrupted.seen
    assert "scores/resnet/clean/oneshot/sigma-0.1/manifest.json" in second


def test_trainings_and_batches_resume_where_they_stood(interrupted):
    """The faults ordered for the second and third run would have killed any job that began anew."""
    results = interrupted.checkout.results
    assert "resumed, 1 of 2 batches were done" in (results / f"logs/attack/{PGD}.log").read_text()
    assert "resumed, 1 of 2 batches were done" in (results / "logs/purify/clean/ddpm/sigma-0.2.log").read_text()
    assert f"{CLASSIFIER}/manifest.json" in interrupted.seen[1]
    assert f"{DIFFUSION}/manifest.json" in interrupted.seen[1]


def test_a_live_run_keeps_its_lock_and_a_dead_one_loses_it(interrupted):
    status, output = interrupted.rival
    assert status != 0
    assert "locked" in output
    assert "is dead" not in output
    assert f"purify {PGD} oneshot 0.1" in interrupted.planned, "a dry run needs no lock"
    assert interrupted.locks, "the killed run left its lock"
    assert "is dead; removed" in interrupted.runs[3][1]


def test_a_finished_study_holds_no_litter(interrupted, finished):
    assert finished.litter() == []
    assert interrupted.checkout.litter() == []


def test_two_runs_in_two_folders_on_one_and_two_cores_give_the_same_bytes(finished, finished_on_one_core):
    assert len(finished.contents()) > 40
    assert differences(finished.contents(), finished_on_one_core.contents()) == []


def test_sigterm_to_a_stage_is_one_line_and_loses_nothing(study, tmp_path):
    folder = study.results / ATTACKED
    before = folder.joinpath("manifest.json").read_bytes()
    note = tmp_path / "stalled"
    spec = '{"batch_size":4,"draws":2,"purifier":{"method":"noise","sigmas":[0.1]},"seed":0}'
    options = ("--inputs", json.dumps({"images": str(folder)}), "--spec", spec, "--out", str(tmp_path / "out"))
    environment = study.environment(ASSAY_TEST_STALLED=str(note), **faults(("batch-000001.npz", 1, "stall")))
    process = subprocess.Popen(
        [*study.command("purify"), *options],
        cwd=study.root,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    _wait_for(note, process)
    process.terminate()
    _, errors = process.communicate()
    assert process.returncode == 130
    assert errors.splitlines()[-1] == "error: interrupted; run the same command again to go on"
    assert "Traceback" not in errors
    assert len(list(tmp_path.glob(".out.resume-*/batch-000000.npz"))) == 1
    assert not (tmp_path / "out").exists()
    assert folder.joinpath("manifest.json").read_bytes() == before
    again = study.stage("purify", *options)
    assert "resumed, 1 of 2 batches were done" in again.stderr
    assert (tmp_path / "out/manifest.json").is_file()


def _files(checkout):
    return {path.relative_to(checkout.results).as_posix() for path in checkout.results.rglob("*") if path.is_file()}


def _in(folder, files):
    """What stands at declared paths in a folder."""
    return sorted(name for name in files if name.startswith(f"{folder}/") and "/." not in name)


def _wait_for(note, process):
    while not note.is_file():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
