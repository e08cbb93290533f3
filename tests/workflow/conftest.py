"""Real Snakemake runs in copies of the checkout, of a study as small as can be.

One full run a session (`finished`); every other test works on a copy of the finished tree, or on a fresh one.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
TREE = ("Snakefile", "workflow", "src", "scripts", "config", "profiles", "pyproject.toml")
CONFIG = "config/tiny.yaml"
RESULTS = "results/tiny"
JOB = re.compile(r"^rule (\w+):\n((?: {4}.*\n)*)", re.MULTILINE)
WILDCARDS = re.compile(r"^ {4}wildcards: (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Checkout:
    """A copy of the checkout, with the tests' study in config/tiny.yaml."""

    root: Path

    @property
    def results(self) -> Path:
        return self.root / RESULTS

    def environment(self, **more: str) -> dict[str, str]:
        """The copy's own code is imported, whatever else is installed."""
        return os.environ | {"PYTHONPATH": f"{self.root / 'src'}:{HERE / 'faults'}"} | more

    def start(self, *options: str, **environment: str) -> subprocess.Popen:
        """Snakemake on the tests' study, in a process group of its own."""
        command = [sys.executable, "-m", "snakemake", "--nocolor", "--configfile", CONFIG, *options]
        return subprocess.Popen(
            command,
            cwd=self.root,
            env=self.environment(**environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def snakemake(self, *options: str, **environment: str) -> tuple[int, str]:
        """Exit status and output of Snakemake on the tests' study."""
        process = self.start(*options, **environment)
        output, _ = process.communicate(timeout=600)
        return process.returncode, output

    def complete(self, *options: str) -> str:
        """The output of a run that must end well."""
        status, output = self.snakemake(*(options or ("--cores", "2")))
        assert status == 0, output
        return output

    def plan(self, *options: str) -> set[str]:
        """The jobs that would run: the rule and the values of its wildcards, as `purify clean ddpm 0.2`."""
        status, output = self.snakemake("--dry-run", *options)
        assert status == 0, output
        jobs = set()
        for rule, block in JOB.findall(output):
            wildcards = WILDCARDS.search(block)
            values = [part.split("=", 1)[1] for part in wildcards[1].split(", ")] if wildcards else []
            jobs.add(" ".join([rule, *values]))
        assert jobs or "Nothing to be done" in output, output
        return jobs - {"all"}

    def program(self, name: str, *arguments: object, **options: object) -> subprocess.CompletedProcess:
        """A program of scripts/, run by hand."""
        command = [*self.command(name), *map(str, arguments)]
        return subprocess.run(
            command, cwd=self.root, env=self.environment(), capture_output=True, text=True, timeout=300, **options
        )

    def command(self, name: str) -> list[str]:
        return [sys.executable, f"scripts/{name}.py"]

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace the one place where `old` stands in a file."""
        file = self.root / path
        text = file.read_text()
        assert text.count(old) == 1, f"{path}: {old!r} stands there {text.count(old)} times"
        file.write_text(text.replace(old, new))

    def append(self, path: str, text: str) -> None:
        with open(self.root / path, "a") as file:
            file.write(text)

    def config(self) -> dict:
        return yaml.safe_load((self.root / CONFIG).read_text())

    def set_config(self, config: dict) -> None:
        (self.root / CONFIG).write_text(yaml.safe_dump(config, sort_keys=False))

    def copy(self, target: Path) -> "Checkout":
        """A copy with all times kept."""
        subprocess.run(["cp", "-a", self.root, target], check=True)
        return Checkout(target)

    def contents(self) -> dict[str, bytes]:
        """The bytes of every artifact: not logs and benchmarks, which hold times; not the page made of those."""
        return {
            path.relative_to(self.results).as_posix(): path.read_bytes()
            for path in self.results.rglob("*")
            if path.is_file()
            and path.relative_to(self.results).parts[0] not in ("logs", "benchmarks", "report.html")
            and not any(part.startswith(".") for part in path.relative_to(self.results).parts)
        }

    def litter(self) -> list[str]:
        """What unfinished work left in the study's folder: checkpoints, drafts, temporary files."""
        return sorted(path.relative_to(self.results).as_posix() for path in self.results.rglob(".*"))


def fresh_checkout(target: Path) -> Checkout:
    """A copy of the working tree without results."""
    target.mkdir()
    for name in TREE:
        subprocess.run(["cp", "-a", ROOT / name, target], check=True)
    shutil.copy(HERE / "tiny.yaml", target / CONFIG)
    return Checkout(target)


def faults(*wanted: tuple[str, int, str]) -> dict[str, str]:
    """The environment that orders faults (see faults/sitecustomize.py)."""
    return {"ASSAY_TEST_FAULTS": json.dumps([{"path": p, "nth": n, "act": act} for p, n, act in wanted])}


def differences(one: dict[str, bytes], other: dict[str, bytes]) -> list[str]:
    """The names whose bytes differ, or that only one side has."""
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


@pytest.fixture(scope="session")
def pristine(tmp_path_factory) -> Checkout:
    """The tree as it stood when the session began; copies of it have one and the same code."""
    return fresh_checkout(tmp_path_factory.mktemp("workflow") / "pristine")


@pytest.fixture(scope="session")
def two_runs(pristine, tmp_path_factory) -> dict[int, Checkout]:
    """The study finished twice, in two folders, with one and with two cores; side by side, to save time."""
    folder = tmp_path_factory.mktemp("workflow")
    checkouts = {cores: pristine.copy(folder / f"cores-{cores}") for cores in (1, 2)}
    running = {cores: checkout.start("--cores", str(cores)) for cores, checkout in checkouts.items()}
    for process in running.values():
        output, _ = process.communicate(timeout=900)
        assert process.returncode == 0, output
    return checkouts


@pytest.fixture(scope="session")
def finished(two_runs) -> Checkout:
    """A finished study. Not to be changed: work on `study`."""
    return two_runs[2]


@pytest.fixture(scope="session")
def finished_on_one_core(two_runs) -> Checkout:
    return two_runs[1]


@pytest.fixture
def study(finished, tmp_path) -> Checkout:
    """A copy of the finished study, to change at will."""
    return finished.copy(tmp_path / "study")


@pytest.fixture
def fresh(pristine, tmp_path) -> Checkout:
    """A copy without results."""
    return pristine.copy(tmp_path / "fresh")
