"""Jobs killed by scancel, by a dying node, by their time limit and for memory: the study completes all the same.

One training is made long enough to be hit twice; everything else is finished beforehand, and must stay untouched.
"""

import os
import re
import signal
import subprocess
from datetime import datetime
from pathlib import Path

import pytest
from conftest import EXACT_COMMAND, HERE, wait_for
from machine import timed
from slurm import SLURMDS

from assay.manifests import MANIFEST, faults
from assay.training.checkpoints import SECONDS_TO_STOP_IN

pytestmark = pytest.mark.skipif(HERE, reason="jobs and nodes are killed on the test's own cluster only")

SHORT = "steps: 6\n    batch_size: 8\n    validate_every: 3"
LONG = "steps: {steps}\n    batch_size: 8\n    validate_every: 1000"
STEPS = 4000
# Minutes: time for a slow machine to begin and to save a checkpoint, and for the second attempt to finish in any case.
A_TIME_LIMIT = "train_diffusion:runtime=4 * 20 ** (attempt - 1)"
TRAINED = "results/cluster/diffusions/unet/manifest.json"
SUBMITTED = re.compile(r"SLURM jobid (\d+) \(log: \S+/rule_train_diffusion/")


@pytest.fixture(scope="module")
def uninterrupted(local, local_python, work):
    """The study with the long training, run without cluster, containers and interruptions."""
    checkout = _lengthened(local, work / "uninterrupted")
    with timed("the long training, uninterrupted"):
        checkout.complete("--cores", "2", python=local_python)
    return checkout


@pytest.fixture
def study(finished, work, request):
    """The study finished on the cluster, with a training yet to do."""
    return _lengthened(finished, work / request.node.name)


def _lengthened(checkout, target):
    study = checkout.copy(target)
    study.edit("config/cluster.yaml", SHORT, LONG.format(steps=STEPS))
    return study


def test_scancel_and_a_dead_node_in_mid_training(study, uninterrupted, slurm):
    before = _times_of_finished(study)
    run = study.start(*EXACT_COMMAND)
    first = _training(study, run, attempt=1)
    slurm.run("scancel", first)
    second = _training(study, run, attempt=2)
    assert first != second
    wait_for("its going on", lambda: "resumed after step" in _log(study), run)
    _assert_nothing_half_written(study)
    slurm.kill_nodes()
    _assert_nothing_half_written(study)
    slurm.start_nodes()
    calls = 1
    while run.wait() and calls < 3:
        _assert_nothing_half_written(study)
        calls += 1
        run = study.start(*EXACT_COMMAND)
    assert run.process.returncode == 0, run.output[-6000:]
    print(f"the study was complete after {calls} call(s)")
    assert "resumed after step" in _log(study)
    assert _differences(study, uninterrupted) == []
    assert {name: time for name, time in _times_of_finished(study).items() if name in before} == before
    assert "Nothing to be done" in study.complete(*EXACT_COMMAND, "--dry-run")


def test_a_training_stops_itself_before_its_time_limit_and_goes_on(study, uninterrupted, slurm):
    """The training stands still until less is left than the minute in which it stops itself; then it is let go."""
    run = study.start(*EXACT_COMMAND, "--set-resources", A_TIME_LIMIT, "--", TRAINED)
    job = _training(study, run, attempt=1)
    _signal_training(study, signal.SIGSTOP)
    end = datetime.fromisoformat(re.search(r"EndTime=(\S+)", slurm.run("scontrol", "show", "job", job))[1])
    wait_for("the last minute", lambda: (end - datetime.now()).total_seconds() < SECONDS_TO_STOP_IN - 5, run)
    _signal_training(study, signal.SIGCONT)
    assert run.wait() == 0, run.output[-6000:]
    assert "the job's time limit is near; stopped with this checkpoint" in run.output
    assert len(SUBMITTED.findall(run.output)) == 2
    assert "resumed after step" in _log(study)
    assert _differences(study, uninterrupted, "diffusions/") == []


def test_a_time_limit_in_mid_training(study, uninterrupted, slurm):
    """The training stands still until its time is over, so that it cannot stop itself; the next attempt has more."""
    run = study.start(*EXACT_COMMAND, "--set-resources", A_TIME_LIMIT, "--", TRAINED)
    job = _training(study, run, attempt=1)
    _signal_training(study, signal.SIGSTOP)
    wait_for("the time limit", lambda: "TIMEOUT" in slurm.run("scontrol", "show", "job", job, check=False), run)
    _assert_nothing_half_written(study)
    assert run.wait() == 0, run.output[-6000:]
    assert len(SUBMITTED.findall(run.output)) == 2
    assert "resumed after step" in _log(study)
    assert _differences(study, uninterrupted, "diffusions/") == []


def test_too_little_memory(finished, local, local_python, slurm, work):
    """The first attempt may not even hold torch; the last may."""
    study, undisturbed = (run.copy(work / name) for run, name in ((finished, "memory"), (local, "undisturbed")))
    for checkout in (study, undisturbed):
        checkout.edit("config/cluster.yaml", SHORT, SHORT.replace("steps: 6", "steps: 9"))
    undisturbed.complete("--cores", "2", "--", TRAINED, python=local_python)
    memory = "train_diffusion:mem_mb=200 * 16 ** (attempt - 1)"
    run = study.start(*EXACT_COMMAND, "--set-resources", memory, "--", TRAINED)
    first = wait_for("the first job", lambda: SUBMITTED.findall(run.output), run)[0]
    wait_for("its end for want of memory", lambda: _ended(slurm, first), run)
    logs = "".join((slurm.folder / f"{name}.log").read_text() for name in SLURMDS)
    assert f"StepId={first}.0 exceeded memory limit" in logs
    _assert_nothing_half_written(study)
    assert run.wait() == 0, run.output[-6000:]
    assert len(SUBMITTED.findall(run.output)) == 2
    assert _differences(study, undisturbed, "diffusions/") == []


def _training(study, run, attempt):
    """Wait until the training's job of this attempt runs, and a checkpoint is saved; the job."""
    jobs = wait_for(
        f"attempt {attempt}",
        lambda: found if len(found := SUBMITTED.findall(run.output)) == attempt else None,
        run,
    )
    saved = (study.results / "diffusions").glob
    wait_for("a checkpoint", lambda: list(saved(".unet.resume-*/checkpoint.pt")), run)
    return jobs[-1]


def _signal_training(study, number):
    """Send a signal to the training's process: to stand still, or to go on."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
            place = (process / "cwd").readlink()
        except OSError:
            continue
        if words[0].endswith("python") and words[1:2] == ["workflow/stages/train_diffusion.py"] and place == study.root:
            os.kill(int(process.name), number)
            return
    pytest.fail(f"no training runs: {subprocess.run(['ps', 'axf'], capture_output=True, text=True).stdout}")


def _ended(slurm, job):
    state = re.search(r"JobState=(\w+)", slurm.run("scontrol", "show", "job", job))[1]
    assert state != "COMPLETED", "it was enough"
    return state not in ("PENDING", "RUNNING", "COMPLETING", "CONFIGURING")


def _assert_nothing_half_written(study):
    """Every manifest's files are whole, and a training without a manifest has no files at declared paths."""
    for manifest in study.results.rglob(MANIFEST):
        assert faults(manifest.parent) == []
    trained = study.results / "diffusions/unet"
    if not (trained / MANIFEST).is_file() and trained.is_dir():
        assert [path.name for path in trained.iterdir() if not path.name.startswith(".")] == []


def _times_of_finished(study):
    """When the artifacts that the training has no part in were written."""
    paths = [path for path in study.results.rglob("*") if path.is_file() and path.suffix != ".log"]
    names = {path.relative_to(study.results).as_posix(): path.stat().st_mtime_ns for path in paths}
    own = re.compile(r"diffusions/|purified/|.*oneshot|[^/]*\.(csv|manifest\.json)|report|benchmarks/|\.|.*/\.")
    return {name: at for name, at in names.items() if not own.match(name)}


def _log(study):
    return "\n".join(path.read_text() for path in study.results.glob("logs/train_diffusion/*.log"))


def _differences(one, other, prefix=""):
    here, there = one.contents(), other.contents()
    names = {name for name in here.keys() | there.keys() if name.startswith(prefix)}
    return sorted(name for name in names if here.get(name) != there.get(name))
