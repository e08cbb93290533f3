"""How long does Snakemake take to plan a study of many cells: to find nothing to do, and to find everything to do?

    python benchmarks/dag.py [--cells 100 1000 10000] [--where-of 1000] [--folder FOLDER]

For each number of cells: a working folder of its own (the checkout's code by symbolic links, a grid of `noise` sigmas
by pgd eps as its study), `snakemake -n` as a user calls it while nothing is made; then every artifact is made up (files
of a few bytes, and manifests as the stages write them) together with the records that Snakemake would have left of a
run, written by Snakemake's own code; then `snakemake -n` again, which holds every manifest against what the study wants
and must find nothing to do. CPU seconds are user and system of the whole call: a busy machine does not count.

Where the time goes is told by a sampling profiler: on every tick of CPU time, the innermost frame that belongs to one
of the PARTS gets the tick (a library's function counts for who called it). `--where-of` names the study to sample.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import yaml

from assay.artifacts import Wanted
from assay.planning.jobs import Jobs

ROOT = Path(__file__).resolve().parents[1]
TREE = ("Snakefile", "workflow", "src", "scripts", "config", "profiles", "pyproject.toml")
CONFIG = "study.yaml"
FILES = {  # of an artifact of each kind, beside its manifest
    "stack": ("images.tif", "table.csv"),
    "scores": ("logits.npy", "table.csv"),
    "classifier": ("model.safetensors", "history.csv"),
    "roles": ("roles.json",),
    "tables": (
        *("summary.csv", "strongest.csv", "comparisons.csv", "worst_case.csv", "per_class.csv", "confusion.csv"),
        *("resubmission.csv", "black_box.csv", "trainings.csv", "equivalence.csv", "trajectories.csv"),
        "untrained.csv",
    ),
    "checks": ("checks.csv",),
    "report": ("report.html",),
}
FACTS = {"padding": "." * 400}  # to the size of a real manifest
TICK = 0.005

# Parts of the work by where their code lies: the first that fits a function's file and name has it.
PARTS = {
    "ours: rules and assay": ("/workflow/rules/", "/src/assay/", "/Snakefile"),
    "Snakemake: records": ("/snakemake/persistence/",),
    "Snakemake: checksums": ("/snakemake/io/__init__.py:checksum", "/snakemake/io/__init__.py:is_checksum"),
    "Snakemake: files": ("/snakemake/io", "/snakemake/path_modifier.py"),
    "Snakemake: jobs and rules": (
        *("/snakemake/jobs.py", "/snakemake/rules.py", "/snakemake/resources.py"),
        *("/snakemake/common/prefix_lookup.py", "/snakemake/common/__init__.py:get_function_params"),
    ),
    "Snakemake: DAG": ("/snakemake/dag.py", "/snakemake/output_index.py"),
    "Snakemake: scheduler": ("/snakemake/scheduling/",),
    "Snakemake: other": ("/snakemake",),
}
START_UP = "Python: imports"


@dataclass(frozen=True)
class Measured:
    """One call of `snakemake -n`: its time in CPU seconds and on the clock, and its largest memory."""

    cpu: float
    wall: float
    megabytes: float
    output: str


# The study and its files


def grid(cells: int) -> dict:
    """A study of so many cells: (sigmas, and none) times (eps, and clean)."""
    defences = next(width for width in range(math.isqrt(cells), 0, -1) if cells % width == 0)
    study = yaml.safe_load((ROOT / "config" / "config.yaml").read_text(encoding="utf-8"))
    sigmas = [round(0.001 * (index + 1), 6) for index in range(defences - 1)]
    eps = [round(0.0001 * (index + 1), 6) for index in range(cells // defences - 1)]
    return study | {
        "study": f"cells-{cells}",
        "purifiers": {"noise": {"method": "noise", "sigmas": sigmas}},
        "attacks": {"pgd": {"method": "pgd", "steps": 2, "eps": eps}},
        "cross": [{}],
    }


def prepare(folder: Path, cells: int) -> None:
    """The working folder: links to the code, and the study's config."""
    folder.mkdir(parents=True)
    for name in TREE:
        (folder / name).symlink_to(ROOT / name)
    (folder / CONFIG).write_text(yaml.safe_dump(grid(cells)), encoding="utf-8")


def make_up() -> int:
    """Make every output of the study in the current folder, and Snakemake's records of them; the number of jobs."""
    from snakemake.cli import main
    from snakemake.workflow import DAG

    from assay import artifacts

    artifacts.flush = lambda path: None  # nobody needs these after a crash
    jobs = 0
    postprocess = DAG.postprocess

    async def postprocess_then_make_up(dag: DAG, *arguments: object, **options: object) -> None:
        nonlocal jobs
        await postprocess(dag, *arguments, **options)
        for level in dag.toposorted():
            for job in level:
                _make_up(dag.workflow.globals["JOBS"], job.rule.name, dict(job.wildcards.items()))
                dag.workflow.iocache.deactivate()
                await dag.workflow.persistence.finished(job)
                jobs += 1

    DAG.postprocess = postprocess_then_make_up
    try:
        main(["--dry-run", "--quiet", "rules", "--configfile", CONFIG])
    except SystemExit as end:
        if end.code:
            raise
    return jobs


def _make_up(jobs: Jobs, stage: str, wildcards: dict[str, str]) -> None:
    """Make up what a job makes."""
    if stage == "all":
        return
    job = jobs.job(stage, **wildcards)
    inputs = {role: Path(artifact.manifest) for role, artifact in job.all_inputs.items()}
    with Wanted(Path(job.makes.folder), job.makes.kind, job.described, job.code, inputs).write({}) as draft:
        draft.facts |= FACTS
        for name in FILES[job.makes.kind]:
            draft.path(name).write_text(f"made up: {job.makes.folder}", encoding="utf-8")


# Times


def dry_run(folder: Path) -> Measured:
    """`snakemake -n`, as a user calls it."""
    command = [sys.executable, "-m", "snakemake", "-n", "--quiet", "rules", "--configfile", CONFIG]
    start = time.perf_counter()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, cwd=folder, env=environment(), stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        output.seek(0)
        text = output.read().decode()
    if status:
        sys.exit(f"{' '.join(command)} failed:\n{text[-4000:]}")
    return Measured(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1024, text)


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT / "src")}


def call(folder: Path, mode: str) -> str:
    """Run this program in the folder, in a process of its own, in one of the modes below; its last line."""
    command = [sys.executable, __file__, "--mode-inside", mode]
    done = subprocess.run(command, cwd=folder, env=environment(), stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.splitlines()[-1]


def where() -> dict[str, float]:
    """CPU seconds of a dry run in the current folder, by part."""
    ticks: Counter[str] = Counter()
    signal.signal(signal.SIGPROF, lambda _, frame: ticks.update([_part(frame)]))
    signal.setitimer(signal.ITIMER_PROF, TICK, TICK)
    start = time.process_time()
    from snakemake.cli import main

    try:
        main(["--dry-run", "--quiet", "rules", "--configfile", CONFIG])
    except SystemExit as end:
        if end.code:
            raise
    signal.setitimer(signal.ITIMER_PROF, 0)
    each = (time.process_time() - start) / max(sum(ticks.values()), 1)  # ticks are lost in long calls into C
    return {part: number * each for part, number in ticks.most_common()}


def _part(frame: FrameType | None) -> str:
    first = None
    while frame:
        code = frame.f_code
        if code.co_filename.startswith("<frozen importlib"):
            return START_UP
        place = f"{code.co_filename}:{code.co_name}"
        if first is None:
            first = next((part for part, marks in PARTS.items() if any(mark in place for mark in marks)), None)
        frame = frame.f_back
    return first or START_UP


# The program


def measure(folder: Path, cells: int, sample: bool) -> None:
    prepare(folder, cells)
    everything = dry_run(folder)
    jobs = int(call(folder, "make-up"))
    nothing = dry_run(folder)
    if "Nothing to be done" not in nothing.output:
        sys.exit(f"{cells} cells: not everything was made:\n{nothing.output[-4000:]}")
    for found, run in (("everything to do", everything), ("nothing to do", nothing)):
        print(
            f"{cells:>7}  {jobs:>7}  {found:<16}  {run.cpu:>8.1f}  {run.wall:>7.1f}"
            f"  {1e6 * run.cpu / cells:>10.0f}  {run.megabytes:>6.0f}",
            flush=True,
        )
    if sample:
        parts = json.loads(call(folder, "where"))
        print(f"Where the CPU time goes with {cells} cells and nothing to do:")
        for part, seconds in parts.items():
            print(f"  {part:<28} {seconds:7.1f} s  {seconds / sum(parts.values()):6.1%}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, nargs="+", default=[100, 1000, 10000])
    parser.add_argument("--where-of", type=int, nargs="*", default=[], help="also say where the time goes, of these")
    parser.add_argument("--folder", type=Path, help="work here, and leave it (default: a temporary folder)")
    parser.add_argument("--mode-inside", choices=("make-up", "where"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.mode_inside:
        print(make_up() if arguments.mode_inside == "make-up" else json.dumps(where()))
        return
    print("  cells     jobs  found              CPU s   clock s   us a cell      MB", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        for cells in arguments.cells:
            folder = (arguments.folder or Path(temporary)) / f"cells-{cells}"
            measure(folder.absolute(), cells, cells in arguments.where_of)


if __name__ == "__main__":
    main()
