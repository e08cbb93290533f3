"""What jobs took in the past, and what that says of jobs to come: rates of compute from benchmark files."""

from __future__ import annotations

import contextlib
import csv
import functools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from assay.artifacts import KEPT, TAKEN_OVER, UNMADE
from assay.files import AssayError, read_json
from assay.manifests import MANIFEST
from assay.planning.costs import STAGES, Cost, Sizes, cost
from assay.planning.networks import NetworkSizes
from assay.study.classifiers import AnyClassifier
from assay.study.diffusions import AnyDiffusion
from assay.study.images import AnySource
from assay.study.selection import SIGMA, read_sigma
from assay.warm.usage import Usage, read_usage

# Where the artifact of each stage lies; its benchmark file has the same path below benchmarks/<stage>/.
FOLDERS = {
    "index_images": "images",
    "prepare_images": "images",
    "train_classifier": "classifiers",
    "train_diffusion": "diffusions",
    "import_classifier": "classifiers",
    "import_diffusion": "diffusions",
    "attack": "adversarial",
    "purify": "purified",
    "classify": "scores",
    "certify": "certificates",
    "attack_certificates": "attacked_certificates",
}
BENCHMARKS, LOGS = "benchmarks", "logs"
INDEX = "index"
NO_SPLITS = (INDEX, "roles")  # lie beside the splits
PART = re.compile(r"\.part-\d+-of-(\d+)$")
CPU = "cpu"
START_UP = 3.0  # seconds of a stage that are no work (benchmarks/start_up.py measures them)
START_UP_WITHOUT_TORCH = 1.0  # of stages that work in these units
WARM_START_UP = 0.3  # of copies of a warm process
UNITS_WITHOUT_TORCH = ("pixels", "pixels read")
LEAST_SHARE = 0.1  # of a job's time that counts as work, however short it was
MOST_OF_A_STAGE = 500  # benchmark files that are read, of each stage and study


@dataclass(frozen=True)
class Times:
    """Seconds on the clock and of CPU."""

    clock: float
    cpu: float


@dataclass(frozen=True)
class Sample:
    """A job of the past: what it computed, in how many seconds, on which device, and when it ended."""

    benchmark: Path
    stage: str
    unit: str
    amount: float
    times: Times
    start_up: float
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

    def __init__(self, results: Path, measured: NetworkSizes) -> None:
        studies = [folder for folder in sorted(results.glob("*")) if (folder / BENCHMARKS).is_dir()]
        self.sizes = {folder: found for folder in studies if (found := sizes_of_results(folder, measured))}
        self._rates: dict[tuple[str, str], Rate | None] = {}

    @functools.cached_property
    def samples(self) -> dict[Path, Sample]:
        """The jobs of the past by their benchmark files."""
        found = [sample for folder, sizes in self.sizes.items() for sample in _samples(folder, sizes)]
        return {sample.benchmark: sample for sample in found}

    def rate(self, stage: str, unit: str) -> Rate | None:
        """Seconds a unit in this stage; else, in any stage that works in the unit."""
        if (stage, unit) not in self._rates:
            alike = [sample for sample in self.samples.values() if sample.unit == unit]
            self._rates[stage, unit] = _rate([sample for sample in alike if sample.stage == stage] or alike)
        return self._rates[stage, unit]


def sizes_of_results(results: Path, measured: NetworkSizes) -> Sizes | None:
    """The sizes of a study whose artifacts lie in `results`, from their manifests; None without test images."""
    found = {folder.parent.name: _manifest(folder.parent) for folder in results.glob(f"images/*/{MANIFEST}")}
    specs = {name: manifest["spec"] for name, manifest in found.items() if "spec" in manifest and name not in NO_SPLITS}
    facts = {name: manifest.get("facts", {}) for name, manifest in found.items()}
    purified = [_manifest(path.parent).get("spec", {}) for path in results.glob(f"purified/**/{MANIFEST}")]
    with contextlib.suppress(AttributeError, KeyError, TypeError, ValidationError):  # manifests of other code
        return Sizes(
            source=TypeAdapter(AnySource).validate_python(specs["test"]["images"]),
            counts={split: spec["count"] or facts[split].get("images", 0) for split, spec in specs.items()},
            total=sum(file.get("images", 0) for file in facts.get(INDEX, {}).get("files", {}).values()),
            draws=max((spec.get("draws", 1) for spec in purified), default=1),  # it is one of a locked threat's stacks
            subsets=_subsets(results),
            classifiers=_networks(results, "classifier", AnyClassifier),
            diffusions=_networks(results, "diffusion", AnyDiffusion),
            selected=_selected(results),
            measured=measured,
        )
    return None


def split_place(benchmark: Path) -> tuple[str, str, int]:
    """Of a benchmark file: its stage, its artifact's path below the stage's folder, and how many parts that has.

    `benchmarks/purify/clean/ddpm/sigma-0.1.part-1-of-3.tsv` -> purify, clean/ddpm/sigma-0.1, 3.
    """
    parts = benchmark.parts
    stage, *rest = parts[len(parts) - parts[::-1].index(BENCHMARKS) :]
    name = "/".join(rest).removesuffix(".tsv")
    found = PART.search(name)
    return stage, PART.sub("", name), int(found[1]) if found else 1


def log_of(benchmark: Path) -> Path:
    """The log of the job that a benchmark file is of: `benchmarks/purify/a.tsv` -> `logs/purify/a.log`."""
    parts = benchmark.parts
    place = len(parts) - 1 - parts[::-1].index(BENCHMARKS)
    return Path(*parts[:place], LOGS, *parts[place + 1 :]).with_suffix(".log")


def read_times(path: Path) -> list[Times]:
    """The times in a benchmark file; none if it is not there or was cut off."""
    if not path.is_file():
        return []
    usage = read_usage(log_of(path))
    with open(path, newline="", encoding="utf-8") as file:
        try:
            return [_times(row, usage) for row in csv.DictReader(file, delimiter="\t")]
        except (KeyError, TypeError, ValueError):
            return []


def _times(row: dict[str, str], usage: Usage | None) -> Times:
    clock = float(row["s"])
    if usage:
        return Times(clock, usage.cpu)
    try:
        return Times(clock, float(row["cpu_time"]))
    except (KeyError, TypeError, ValueError):  # a job too short to be watched has NA there
        return Times(clock, clock)


def _rate(samples: Sequence[Sample]) -> Rate | None:
    """The mean rate on the device of the newest sample, which tells how jobs start, too."""
    if not samples:
        return None
    newest = max(samples, key=lambda sample: sample.ended)
    alike = [sample for sample in samples if sample.device == newest.device]
    amount = sum(sample.amount for sample in alike)
    clock = sum(_working(sample.times.clock, sample.start_up) for sample in alike)
    cpu = sum(_working(sample.times.cpu, sample.start_up) for sample in alike)
    return Rate(clock / amount, cpu / amount, newest.device, newest.start_up)


def _start_up(unit: str, log: Path) -> float:
    if read_usage(log):
        return WARM_START_UP
    return START_UP_WITHOUT_TORCH if unit in UNITS_WITHOUT_TORCH else START_UP


def _working(seconds: float, start_up: float) -> float:
    return max(seconds - start_up, LEAST_SHARE * seconds)


def _samples(study: Path, sizes: Sizes) -> Iterable[Sample]:
    """The jobs of a study whose artifact, and whose work, are known. Stacks put together from parts are left out."""
    for stage, kind in FOLDERS.items():
        for path in islice(sorted((study / BENCHMARKS / stage).rglob("*.tsv")), MOST_OF_A_STAGE):
            _, place, parts = split_place(path)
            if parts == 1 and next(path.parent.glob(f"{path.stem}.part-*"), None):
                continue
            manifest, times = _manifest(study / kind / place), read_times(path)
            log = log_of(path)
            if not _all_was_done(manifest, log):
                continue
            found = _cost(stage, place, manifest.get("spec"), sizes)
            if found and found.amount and times:
                device, ended = manifest.get("device", CPU), path.stat().st_mtime
                start_up = _start_up(found.unit, log)
                yield Sample(path, stage, found.unit, found.amount / parts, times[-1], start_up, device, ended)


def _all_was_done(manifest: dict[str, Any], log: Path) -> bool:
    """Whether a job did all the work of its spec: it did not keep or take over what was there, and nothing diverged."""
    if not {"diverged", UNMADE}.isdisjoint(manifest.get("facts", {})):
        return False
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return True
    return KEPT not in text and TAKEN_OVER not in text


def _cost(stage: str, place: str, spec: Any, sizes: Sizes) -> Cost | None:
    """What the job of an artifact cost, by the artifact's place, which tells what it was made from."""
    classifier = place.removeprefix("selection/").split("/")[0]
    try:
        read = STAGES[stage][0].model_validate(spec)
        return cost(stage, read, {"images": _looked_at(stage, place), "classifier": classifier}, sizes)
    except (KeyError, TypeError, ValueError, AssayError):  # a manifest of other code
        return None


def _looked_at(stage: str, place: str) -> str:
    """The folder of the images that a cell's job had before it, by the place of what it made."""
    role = "selection/" if place.startswith("selection/") else ""
    path = place.removeprefix("selection/")
    if stage == "attack":
        return f"{role}images"
    if stage == "classify":
        path = path.split("/", 1)[1]
        folder = "adversarial" if path.split("/")[-2] == "none" else "purified"
        return f"{role}{folder}/{path}"
    return f"{role}adversarial/{path}"


def _subsets(results: Path) -> dict[str, int]:
    """The images of the attacks that were not made on all test images, by their names."""
    found = {}
    for path in results.glob(f"adversarial/*/*/**/{MANIFEST}"):
        with contextlib.suppress(AttributeError, KeyError, TypeError):  # a manifest of other code
            if images := _manifest(path.parent)["spec"]["attack"].get("images"):
                found[path.relative_to(results).parts[2]] = images
    return found


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        found = read_json(folder / MANIFEST)
    except AssayError:
        return {}
    return found if isinstance(found, dict) else {}


def _networks(results: Path, kind: str, model: Any) -> dict[str, Any]:
    found = {}
    for path in sorted(results.glob(f"{kind}s/*/{MANIFEST}")):
        try:
            found[path.parent.name] = TypeAdapter(model).validate_python(_manifest(path.parent)["spec"][kind])
        except (KeyError, TypeError, ValidationError):  # a manifest of other code
            continue
    return found


def _selected(results: Path) -> float:
    try:
        return read_sigma(results / "selection" / SIGMA)
    except AssayError:
        return 0.0
