"""Copies of the checkout, in which real Snakemake runs work on a study as small as can be."""

import contextlib
import io
import json
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml

from assay.planning.interpreter import WARM

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
TREE = ("Snakefile", "workflow", "src", "scripts", "config", "profiles", "slurm", "pyproject.toml")
CONFIG = "config/tiny.yaml"
RESULTS = "results/tiny"
OF_A_RUN = ("logs", "benchmarks", "sizes.json", "report.html", "report.manifest.json")
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
        """The copy's own code is imported, whatever else is installed. Faults need interpreters of their own."""
        alone = {WARM: "0"} if any(name.startswith("ASSAY_TEST_") for name in more) else {}
        return os.environ | {"PYTHONPATH": f"{self.root / 'src'}:{HERE / 'faults'}"} | alone | more

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
        output, _ = process.communicate()
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
            jobs.add(" ".join([rule, *filter(None, values)]))  # the role of test images is empty
        assert jobs or "Nothing to be done" in output, output
        return jobs - {"all"}

    def stage(self, name: str, *arguments: object) -> subprocess.CompletedProcess:
        """A stage's program, run in this process, which has its libraries loaded already."""
        path, errors = str(self.root / f"workflow/stages/{name}.py"), io.StringIO()
        words, terminated, status = sys.argv, signal.getsignal(signal.SIGTERM), 0
        sys.argv = [path, *map(str, arguments)]
        try:
            with contextlib.chdir(self.root), contextlib.redirect_stderr(errors):
                runpy.run_path(path, run_name="__main__")
        except SystemExit as ended:
            status = ended.code or 0
        finally:
            sys.argv = words
            signal.signal(signal.SIGTERM, terminated)
        return subprocess.CompletedProcess([path], status, "", errors.getvalue())

    def program(
        self,
        name: str,
        *arguments: object,
        environment: dict[str, str] | None = None,
        preexec_fn: Callable[[], None] | None = None,
    ) -> subprocess.CompletedProcess:
        """A stage's program, run by hand."""
        return subprocess.run(
            [*self.command(name), *map(str, arguments)],
            cwd=self.root,
            env=self.environment(**environment or {}),
            capture_output=True,
            text=True,
            preexec_fn=preexec_fn,
        )

    def tool(self, name: str, *arguments: str) -> str:
        """What a program that people run by hand prints, where it ends well."""
        command = [sys.executable, f"scripts/{name}.py", *arguments]
        done = subprocess.run(command, cwd=self.root, env=self.environment(), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def command(self, name: str) -> list[str]:
        return [sys.executable, f"workflow/stages/{name}.py"]

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
        """The bytes of every artifact: not what tells of a run, and of what it cost."""
        return {
            path.relative_to(self.results).as_posix(): path.read_bytes()
            for path in self.results.rglob("*")
            if path.is_file()
            and path.relative_to(self.results).parts[0] not in OF_A_RUN
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
    shutil.copytree(ROOT / "containers", target / "containers", ignore=shutil.ignore_patterns("images"))
    shutil.copy(HERE / "tiny.yaml", target / CONFIG)
    return Checkout(target)


def faults(*wanted: tuple[str, int, str]) -> dict[str, str]:
    """The environment that orders faults (see faults/sitecustomize.py)."""
    return {"ASSAY_TEST_FAULTS": json.dumps([{"path": p, "nth": n, "act": act} for p, n, act in wanted])}


def differences(one: dict[str, bytes], other: dict[str, bytes]) -> list[str]:
    """The names whose bytes differ, or that only one side has."""
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
