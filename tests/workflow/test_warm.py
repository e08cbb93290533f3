"""A local run's stages are copies of one process, which starts and ends with the run; a run that loses it ends well."""

import os
import signal
import subprocess
import time
from pathlib import Path

from checkout import Checkout, differences

from assay.planning.interpreter import WARM
from assay.warm.client import SERVER

SCORES = "scores/resnet/clean/none/sigma-0"
JOB = "logs/classify/resnet/clean/none/sigma-0.log"
OWN = {WARM: ""}  # a warm process of the run's own, as users have it; the other tests share one


def servers(run: int) -> list[int]:
    """The living processes that were copied, or started, as the warm process of a run."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = folder.joinpath("cmdline").read_bytes().split(b"\0")
            if SERVER.encode() in words and words[-2] == str(run).encode():
                found.append(int(folder.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def remove_scores(study: Checkout) -> None:
    subprocess.run(["rm", "-r", study.results / SCORES], check=True)


def test_the_stages_of_a_run_are_copies_and_without_it_they_are_not(
    finished: Checkout, finished_on_one_core: Checkout
) -> None:
    copies = {
        study: {path.stem: "warm start" in path.read_text() for path in study.results.glob("logs/**/*.log")}
        for study in (finished, finished_on_one_core)
    }
    assert all(copies[finished].values())
    assert not any(copies[finished_on_one_core].values())


def test_two_runs_at_once_have_a_process_each_and_lose_nothing_when_one_of_them_is_killed(
    finished: Checkout, tmp_path: Path
) -> None:
    studies = [finished.copy(tmp_path / name) for name in ("one", "other")]
    for study in studies:
        remove_scores(study)
    runs = [study.start("--cores", "1", **OWN) for study in studies]
    while not (killed := servers(runs[0].pid)):
        assert runs[0].poll() is None, runs[0].communicate()
        time.sleep(0.02)
    for process in killed:
        os.kill(process, signal.SIGKILL)
    for run in runs:
        output, _ = run.communicate()
        assert run.returncode == 0, output
    assert "warm start" in (studies[1].results / JOB).read_text()
    for study in studies:
        assert differences(study.contents(), finished.contents()) == []
    for run in runs:
        while servers(run.pid):
            time.sleep(0.02)
