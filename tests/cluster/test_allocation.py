"""Many tiny cells in one Slurm job: each with a cache of its own, none lost by another's failure."""

import os
import re
import subprocess
import sys

from conftest import CONFIG

SIGMAS = (0.15, 0.2, 0.25)
ATTACKED = "adversarial/resnet/pgd/eps-4_255/undefended/images.tif"


def test_cells_in_one_allocation_survive_the_failure_of_others(finished, work):
    study = finished.copy(work / "allocation")
    study.edit("config/cluster.yaml", "sigmas: [0.1]", f"sigmas: {[0.1, *SIGMAS]}")
    images = study.results / ATTACKED
    whole, times = images.read_bytes(), images.stat()
    images.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    os.utime(images, ns=(times.st_atime_ns, times.st_mtime_ns))  # else the run's own look would see it, and mend it
    status, output = _in_one_allocation(study)
    assert status != 0
    assert f"{ATTACKED}: SHA-256 " in output
    clean = {sigma: _cell(study, "clean", sigma) for sigma in SIGMAS}
    attacked = {sigma: _cell(study, "resnet/pgd/eps-4_255/undefended", sigma) for sigma in SIGMAS}
    assert all(path.is_file() for path in clean.values())
    assert not any(path.is_file() for path in attacked.values())
    written = {path: path.stat().st_mtime_ns for path in clean.values()}
    jobs = {
        re.search(r"Slurm job (\d+), image torch", study.stage_log(f"purify/clean/oneshot/sigma-{s:g}"))[1]
        for s in SIGMAS
    }
    assert len(jobs) == 1, "all in the one allocation, in containers"

    images.write_bytes(whole)
    status, output = _in_one_allocation(study)
    assert status == 0, output
    assert all(path.is_file() for path in attacked.values())
    assert {path: path.stat().st_mtime_ns for path in written} == written


def _cell(study, stack, sigma):
    return study.results / f"scores/resnet/{stack}/oneshot/sigma-{sigma:g}/manifest.json"


def _in_one_allocation(study):
    """Snakemake as README.md has it, as one Slurm job; its exit status and output."""
    wrapped = (
        f"{sys.executable} -m snakemake --cores 2 --keep-going --profile profiles/containers --configfile {CONFIG}"
    )
    log = study.root / "allocation.log"
    done = subprocess.run(
        [
            "sbatch",
            "--wait",
            "--gpus=1",
            "--cpus-per-task=2",
            "--mem=3000",
            f"--output={log}",
            "--wrap",
            wrapped,
        ],
        cwd=study.root,
        env=os.environ | {"PYTHONPATH": str(study.root / "src")},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout + done.stderr + log.read_text()
