"""What jobs took in the past, and what that says of jobs to come: rates of compute from benchmark files."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from assay.files import AssayError, read_json
from assay.planning.work import FOLDERS, Work, sizes_of_results, split_place, work

BENCHMARKS = "benchmarks"
CPU = "cpu"
START_UP = 3.0  # seconds of a stage that are no work (benchmarks/start_up.py measures them)
START_UP_WITHOUT_TORCH = 1.0  # of stages that work in these units
UNITS_WITHOUT_TORCH = ("pixels", "pixels read")
LEAST_SHARE = 0.1  # of a job's time that counts as work, however short it was
MOST_OF_A_STAGE = 500  # benchmark files that are read, of each stage and study


@dataclass(frozen=True)
class Times:
    """A benchmark file: seconds on the clock and of CPU."""

    clock: float
    cpu: float


@dataclass(frozen=True)
class Sample:
    """A job of the past: what it computed, on which device, how long, and when."""

    benchmark: Path
    stage: str
    work: Work
    times: Times
    device: str
    ended: float


@dataclass(frozen=True)
class Rate:
    """Seconds for one unit of work, on a device: on the clock and of CPU."""

    clock: float
    cpu: float
    device: str
    start_up: float

    def times(self, amount: float) -> Times:
        """What a job of so much work would take, its start-up included."""
        return Times(self.start_up + self.clock * amount, self.start_up + self.cpu * amount)


class Past:
    """The benchmarks of all studies beside each other in a `results` folder."""

    def __init__(self, results: Path) -> None:
        samples = [sample for study in sorted(results.glob("*")) for sample in _samples(study)]
        self.samples = samples
        self._own = {sample.benchmark: sample for sample in samples}
        self._rates: dict[tuple[str, str], Rate | None] = {}

    def sample(self, benchmark: Path) -> Sample | None:
        """The past run of the very job that has this benchmark file."""
        return self._own.get(benchmark)

    def rate(self, stage: str, unit: str) -> Rate | None:
        """Seconds a unit in this stage; else, in any stage that works in the unit."""
        if (stage, unit) not in self._rates:
            alike = [sample for sample in self.samples if sample.work.unit == unit]
            self._rates[stage, unit] = _rate([sample for sample in alike if sample.stage == stage] or alike)
        return self._rates[stage, unit]


def read_times(path: Path) -> list[Times]:
    """The times in a benchmark file; none if it is not there or was cut off."""
    if not path.is_file():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        try:
            return [_times(row) for row in csv.DictReader(file, delimiter="\t")]
        except (KeyError, TypeError, ValueError):
            return []


def _times(row: dict[str, str]) -> Times:
    clock = float(row["s"])
    try:
        return Times(clock, float(row["cpu_time"]))
    except (KeyError, TypeError, ValueError):  # a job too short to be watched has NA there
        return Times(clock, clock)


def _rate(samples: Sequence[Sample]) -> Rate | None:
    """The mean rate on the device of the newest sample."""
    if not samples:
        return None
    device = max(samples, key=lambda sample: sample.ended).device
    alike = [sample for sample in samples if sample.device == device]
    start_up = START_UP_WITHOUT_TORCH if alike[0].work.unit in UNITS_WITHOUT_TORCH else START_UP
    amount = sum(sample.work.amount or 0 for sample in alike)
    clock = sum(_working(sample.times.clock, start_up) for sample in alike)
    cpu = sum(_working(sample.times.cpu, start_up) for sample in alike)
    return Rate(clock / amount, cpu / amount, device, start_up)


def _working(seconds: float, start_up: float) -> float:
    return max(seconds - start_up, LEAST_SHARE * seconds)


def _samples(study: Path) -> Iterable[Sample]:
    """The jobs of a study whose artifact, and whose work, are known. Stacks put together from parts are left out."""
    sizes = sizes_of_results(study) if (study / BENCHMARKS).is_dir() else None
    if sizes is None:
        return
    for stage, kind in FOLDERS.items():
        for path in islice(sorted((study / BENCHMARKS / stage).rglob("*.tsv")), MOST_OF_A_STAGE):
            _, name, parts = split_place(path, BENCHMARKS)
            if parts == 1 and next(path.parent.glob(f"{path.stem}.part-*"), None):
                continue
            manifest = _manifest(study / kind / name)
            found = work(stage, name, manifest.get("spec", {}), sizes)
            times = read_times(path)
            if found and found.amount and times:
                part = Work(found.unit, found.amount / parts, None)
                yield Sample(path, stage, part, times[-1], manifest.get("device", CPU), path.stat().st_mtime)


def _manifest(folder: Path) -> dict:
    try:
        found = read_json(folder / "manifest.json")
    except AssayError:
        return {}
    return found if isinstance(found, dict) else {}
