"""`snakemake --cores 8 --profile slurm` on a real Slurm with real containers, in copies of the checkout.

On a bare Debian machine, as root, all of it is installed, started and ended here. With ASSAY_CLUSTER=here the cluster
that this machine is a login node of is used: its sbatch and apptainer, the images in containers/images, and
config/profiles/slurm/site.yaml.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import machine
import pytest
from machine import DEBIAN_PYTHON, ROOT, timed
from slurm import Slurm

TREE = ("Snakefile", "workflow", "src", "scripts", "config", "profiles", "slurm", "pyproject.toml")
CONFIG = "config/cluster.yaml"
RESULTS = "results/cluster"
EXACT_COMMAND = ("--cores", "8", "--profile", "slurm")
HERE = os.environ.get("ASSAY_CLUSTER") == "here"
RUN_LIMIT = 3600


def pytest_configure() -> None:
    """A test that is told to end cleans up first."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _interrupted)


def _interrupted(number: int, frame: object) -> None:
    raise KeyboardInterrupt


@dataclass
class Run:
    """A run of Snakemake that goes on."""

    process: subprocess.Popen
    log: Path

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def wait(self, limit: float = RUN_LIMIT) -> int:
        """Its exit status; one that takes too long is ended and fails."""
        try:
            return self.process.wait(timeout=limit)
        except subprocess.TimeoutExpired:
            self.kill()
            pytest.fail(f"Snakemake does not end:\n{self.output[-4000:]}")
        except KeyboardInterrupt:
            self.kill()
            raise

    def kill(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@dataclass
class Checkout:
    """A copy of the checkout, with the test's study."""

    root: Path
    runs: list[Run] = field(default_factory=list)

    @property
    def results(self) -> Path:
        return self.root / RESULTS

    def start(self, *options: str, python: str = sys.executable, **environment: str) -> Run:
        """Snakemake on the test's study, in a process group of its own."""
        log = self.root / f"run-{len(self.runs)}.log"
        paths = [str(self.root / "src")]
        if python != sys.executable:
            paths += [path for path in sys.path if "site-packages" in path]
        with open(log, "wb") as file:
            process = subprocess.Popen(
                [python, "-m", "snakemake", "--nocolor", "--configfile", CONFIG, *options],
                cwd=self.root,
                env=os.environ | {"PYTHONPATH": ":".join(paths)} | environment,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.runs.append(Run(process, log))
        return self.runs[-1]

    def complete(self, *options: str, **more: str) -> str:
        """The output of a run that must end well."""
        run = self.start(*options, **more)
        assert run.wait() == 0, run.output[-6000:]
        return run.output

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace the one place where `old` stands in a file."""
        file = self.root / path
        text = file.read_text()
        assert text.count(old) == 1, f"{path}: {old!r} stands there {text.count(old)} times"
        file.write_text(text.replace(old, new))

    def copy(self, target: Path) -> Checkout:
        subprocess.run(["cp", "-a", self.root, target], check=True)
        return Checkout(target)

    def contents(self) -> dict[str, bytes]:
        """The bytes of every artifact: not logs, benchmarks and sizes, which tell of costs; not the page of them."""
        found = {path.relative_to(self.results): path for path in self.results.rglob("*") if path.is_file()}
        return {
            name.as_posix(): path.read_bytes()
            for name, path in found.items()
            if name.parts[0] not in ("logs", "benchmarks", "report.html", "report.manifest.json", "sizes.json")
            and not any(part.startswith(".") for part in name.parts)
        }

    def stage_log(self, name: str) -> str:
        return (self.results / "logs" / f"{name}.log").read_text()


@pytest.fixture(scope="session")
def cache() -> Iterator[Path]:
    """Where downloads and images stand: $ASSAY_CLUSTER_CACHE, which is kept, or a folder that is removed."""
    kept = os.environ.get("ASSAY_CLUSTER_CACHE")
    folder = Path(kept) if kept else Path(tempfile.mkdtemp(prefix="assay-cluster-cache-", dir="/var/tmp"))
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    yield folder
    if not kept:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def image_folder(cache) -> Path:
    """The images, on a machine that has what runs them."""
    if HERE:
        return ROOT / "containers" / "images"
    try:
        machine.install(cache)
    except machine.Unavailable as reason:
        print(f"\n{'=' * 100}\nCLUSTER TEST SKIPPED: {reason}\n{'=' * 100}", file=sys.stderr)
        pytest.skip(str(reason))
    return machine.images(cache)


@pytest.fixture(scope="session")
def slurm(image_folder) -> Iterator[Slurm | None]:
    """The cluster; None where it is not this test's own."""
    if HERE:
        yield None
        return
    cluster = Slurm(Path(tempfile.mkdtemp(prefix="assay-slurm-", dir="/var/tmp")))
    try:
        with timed("Slurm's start"):
            cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def work(slurm) -> Iterator[Path]:
    """A folder in the checkout, so that compute nodes see it, and containers see no more of it than the rules say."""
    folder = Path(tempfile.mkdtemp(prefix=".cluster-test-", dir=ROOT))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def pristine(work, slurm, image_folder) -> Checkout:
    """A copy of the working tree without results, with the images."""
    root = work / "pristine"
    root.mkdir()
    for name in TREE:
        subprocess.run(["cp", "-a", ROOT / name, root], check=True)
    shutil.copytree(ROOT / "containers", root / "containers", ignore=shutil.ignore_patterns("images"))
    (root / "containers" / "images").symlink_to(image_folder)
    shutil.copy(Path(__file__).parent / "cluster.yaml", root / CONFIG)
    if slurm:
        (root / "config/profiles/slurm/site.yaml").unlink(missing_ok=True)
    return Checkout(root)


@pytest.fixture(scope="session")
def finished(pristine, work) -> Checkout:
    """The study after the exact command. Not to be changed."""
    checkout = pristine.copy(work / "finished")
    with timed("the study on the cluster"):
        checkout.complete(*EXACT_COMMAND)
    return checkout


@pytest.fixture(scope="session")
def local_python(work) -> str:
    """A Python of the images' own version, outside them."""
    if HERE:
        return sys.executable
    subprocess.run([DEBIAN_PYTHON, "-m", "venv", "--without-pip", work / "python"], check=True)
    return str(work / "python" / "bin" / "python")


@pytest.fixture(scope="session")
def local(pristine, work, local_python) -> Checkout:
    """The study on this machine without containers. Not to be changed."""
    checkout = pristine.copy(work / "local")
    with timed("the study without cluster and containers"):
        checkout.complete("--cores", "2", python=local_python)
    return checkout


def wait_for(what: str, condition: Callable[[], object], run: Run, limit: float = 1200) -> object:
    """Wait until a condition holds while a run goes on; what it gave."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        if found := condition():
            return found
        assert run.process.poll() is None, f"the run ended before {what}:\n{run.output[-4000:]}"
        time.sleep(0.5)
    run.kill()
    return pytest.fail(f"waited {limit:.0f} s in vain for {what}:\n{run.output[-4000:]}")
