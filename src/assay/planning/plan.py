"""What Snakemake would run and why, what that computes and writes, and how long it took before."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from types import SimpleNamespace
from typing import Any

from assay.files import AssayError
from assay.planning.past import BENCHMARKS, CPU, Past, Times, read_times
from assay.planning.work import Sizes, Work, sizes_of_study, split_place, work
from assay.study.model import Study
from assay.words import count, duration

NO_PAST = "no past run"
UNKNOWN = "?"
NETWORK_UNITS = ("classifier", "diffusion")
ROUND_RATE = 1e13  # multiply-adds a second: a round number to reckon with, no measurement
STAGES = (
    *("fetch_images", "index_images", "prepare_images", "check_images"),
    *("train_classifier", "train_diffusion", "import_classifier", "import_diffusion"),
    *("attack_part", "attack", "purify_part", "purify", "classify", "choose_sigma", "probe"),
    *("summarise", "check", "report"),
)
WRITE_LITTLE = ("check_images", "attack_part", "purify_part", "probe", "summarise", "check", "report")

# How Snakemake words its reasons, the one that explains most first, and how we do.
REASONS = {
    "Forced execution": "forced",
    "Missing output files": "missing output",
    "Incomplete output files": "unfinished",
    "Params have changed": "config changed",
    "Code has changed": "code changed",
    "Set of input files has changed": "other inputs",
    "Software environment definition has changed": "other container",
    "Updated input files": "input changed",
    "Input files updated by another job": "a stage before it runs",
}
FINGERPRINT = re.compile(r"\b[0-9a-f]{16}\b")


@dataclass(frozen=True)
class Job:
    """A job that Snakemake would run: its rule, why, its threads, its benchmark file and its spec, if it has them."""

    rule: str
    reason: str
    threads: int
    benchmark: Path | None
    spec: dict[str, Any] | None = None


@dataclass(frozen=True)
class Estimate:
    """What a job takes, as far as the past tells, on which device; its bytes on disk; its networks' multiply-adds."""

    times: Times | None
    device: str
    bytes: int | None
    multiply_adds: float = 0.0

    @property
    def seconds(self) -> float | None:
        return self.times.clock if self.times else None


@dataclass(frozen=True)
class Line:
    """A line of the table: a stage's jobs, with their estimates."""

    stage: str
    jobs: Sequence[Job]
    estimates: Sequence[Estimate]

    @property
    def known(self) -> list[Estimate]:
        return [estimate for estimate in self.estimates if estimate.times]

    def texts(self) -> tuple[str, ...]:
        seconds = [estimate.times.clock for estimate in self.known if estimate.times]
        each, total = (duration(mean(seconds)), duration(sum(seconds))) if seconds else (NO_PAST, UNKNOWN)
        reasons = Counter(job.reason for job in self.jobs)
        why = ", ".join(f"{number} {reason}" for reason, number in reasons.most_common())
        return self.stage, str(len(self.jobs)), each, total, _compute(self.known) or UNKNOWN, self._disk(), why

    def _disk(self) -> str:
        if self.stage in WRITE_LITTLE:
            return "little"
        sizes = [estimate.bytes for estimate in self.estimates]
        return UNKNOWN if None in sizes else _bytes(sum(size for size in sizes if size is not None))


def planned_jobs(arguments: Sequence[str]) -> tuple[list[Job], Study | None]:
    """The jobs of a dry run of Snakemake with these command-line arguments, in the order of the stages; their study.

    A logger plugin receives the jobs as records, so nothing depends on how they are printed.
    """
    import snakemake.cli
    from snakemake_interface_logger_plugins.base import LogHandlerBase
    from snakemake_interface_logger_plugins.common import LogEvent, logger_plugin_module_prefix
    from snakemake_interface_logger_plugins.registry import LoggerPluginRegistry

    jobs: list[Job] = []
    faults: list[str] = []

    class Collector(LogHandlerBase):
        writes_to_stream = True  # in the place of Snakemake's own output
        writes_to_file = needs_rulegraph = False
        has_filter = has_formatter = True

        def emit(self, record: logging.LogRecord) -> None:
            if getattr(record, "event", None) == LogEvent.JOB_INFO:
                if record.output:  # a rule without output only names targets
                    benchmark = Path(record.benchmark) if record.benchmark else None
                    spec = _spec(record.shellcmd or "")
                    jobs.append(Job(record.rule_name, reason_kind(record.reason), record.threads, benchmark, spec))
            elif record.levelno >= logging.ERROR:
                faults.append(record.getMessage())

    LoggerPluginRegistry().register_plugin(f"{logger_plugin_module_prefix}plan", SimpleNamespace(LogHandler=Collector))
    with _noting_studies() as studies:
        try:
            snakemake.cli.main([*arguments, "--dry-run", "--logger", "plan"])
        except SystemExit as end:
            if end.code:
                lines = [line.strip() for fault in faults for line in fault.splitlines()]
                raise AssayError(_fault([line for line in lines if line])) from None
    ordered = sorted(jobs, key=lambda job: STAGES.index(job.rule) if job.rule in STAGES else len(STAGES))
    return ordered, studies[-1] if studies else None


@contextlib.contextmanager
def _noting_studies() -> Iterator[list[Study]]:
    """The studies that are parsed meanwhile: the Snakefile shares this process, and it alone knows the whole config."""
    from assay.planning import bring

    noted: list[Study] = []
    plan_study = bring.plan_study

    def plan_and_note(config: dict[str, Any], source: str) -> Study:
        noted.append(plan_study(config, source))
        return noted[-1]

    bring.plan_study = plan_and_note
    try:
        yield noted
    finally:
        bring.plan_study = plan_study


def _spec(command: str) -> dict[str, Any] | None:
    """The spec that a job's command hands to its program."""
    try:
        words = shlex.split(command)
        spec = json.loads(words[words.index("--spec") + 1])
    except (ValueError, IndexError):
        return None
    return spec if isinstance(spec, dict) else None


def reason_kind(reason: str) -> str:
    """The one kind of reason that explains a job best, in our words.

    The fingerprint of a stage's code is one of the params, so a change of nothing else there is a change of code.
    """
    for wording, kind in REASONS.items():
        if wording in reason:
            before_and_now = reason.split(wording)[1]
            only_code = kind == "config changed" and "{" not in before_and_now and FINGERPRINT.search(before_and_now)
            return "code changed" if only_code else kind
    return "other"


def past_times(job: Job) -> Times | None:
    """How long the job took last time; else what its rule takes in the mean in this study, else in other studies."""
    if job.benchmark is None:
        return None
    study = _study_folder(job.benchmark)
    others = [other for other in sorted(study.parent.glob("*")) if other.name != study.name]
    for candidates in ([job.benchmark], _benchmarks([study], job.rule), _benchmarks(others, job.rule)):
        if times := [found for path in candidates for found in read_times(path)]:
            return Times(mean(found.clock for found in times), mean(found.cpu for found in times))
    return None


def estimates(jobs: Sequence[Job], study: Study | None) -> list[Estimate]:
    """What each job takes and writes. Without a study nothing can be scaled: then only the same rules' past counts."""
    sizes = sizes_of_study(study) if study else None
    places = [_study_folder(job.benchmark).parent for job in jobs if job.benchmark]
    if sizes is None or not places:
        return [Estimate(past_times(job), CPU, None) for job in jobs]
    past = Past(places[0])
    whole = not study.evaluation.parts(study.evaluation.images)
    return [_estimate(job, sizes, past, whole) for job in jobs]


def _estimate(job: Job, sizes: Sizes, past: Past, whole: bool) -> Estimate:
    """By the same job of the past, if it did the same work; else by the rate of jobs that do such work."""
    stage, todo = _work(job, sizes, whole)
    if todo is None:
        return Estimate(past_times(job), CPU, None)
    multiply_adds = (todo.amount or 0.0) if todo.unit in NETWORK_UNITS else 0.0
    own = past.sample(job.benchmark)
    if own and own.work.unit == todo.unit and math.isclose(own.work.amount or 0, todo.amount or 0, rel_tol=1e-6):
        return Estimate(own.times, own.device, todo.bytes, multiply_adds)
    rate = past.rate(stage, todo.unit)
    if rate is None or todo.amount is None:
        return Estimate(None, CPU, todo.bytes, multiply_adds)
    return Estimate(rate.times(todo.amount), rate.device, todo.bytes, multiply_adds)


def _work(job: Job, sizes: Sizes, whole: bool) -> tuple[str, Work | None]:
    """A job's stage and work. A part does its share and leaves the stack to the job that puts the parts together."""
    if job.benchmark is None or job.spec is None:
        return job.rule, None
    stage, name, parts = split_place(job.benchmark, BENCHMARKS)
    found = work(stage, name, job.spec, sizes)
    if found is None:
        return stage, None
    if parts > 1:
        return stage, Work(found.unit, None if found.amount is None else found.amount / parts, 0)
    put_together = stage in ("attack", "purify") and not whole
    return stage, Work(found.unit, 0.0, found.bytes) if put_together else found


def render(jobs: Sequence[Job], cores: int, study: Study | None = None) -> str:
    """A table with one line a stage; the time that all of it would take on so many cores; compute and disk in all."""
    if not jobs:
        return "Nothing to do: everything is there and up to date."
    found = estimates(jobs, study)
    rules = list(dict.fromkeys(job.rule for job in jobs))
    pairs = list(zip(jobs, found, strict=True))
    lines = [
        Line(rule, [job for job, _ in pairs if job.rule == rule], [own for job, own in pairs if job.rule == rule])
        for rule in rules
    ]
    texts = [("stage", "jobs", "time a job", "in all", "compute", "disk", "why"), *(line.texts() for line in lines)]
    widths = [max(len(text[column]) for text in texts) for column in range(6)]
    table = [
        "  ".join(
            [
                f"{text[0]:<{widths[0]}}",
                *(f"{word:>{width}}" for word, width in zip(text[1:6], widths[1:], strict=True)),
                text[6],
            ]
        )
        for text in texts
    ]
    closing = _closing(jobs, [estimate.seconds for estimate in found], cores)
    return "\n".join([*table, closing, *(_totals(lines) if study else [])])


def _totals(lines: Sequence[Line]) -> list[str]:
    """Compute and disk of everything, and how far they can be trusted."""
    known = [estimate for line in lines for estimate in line.known]
    never = [line.stage for line in lines if len(line.known) < len(line.jobs)]
    without = f"; not counted, as nothing like it ever ran: {', '.join(never)}" if never else ""
    sizes = [estimate.bytes for line in lines for estimate in line.estimates if line.stage not in WRITE_LITTLE]
    some = "" if None not in sizes else ", without what is not known"
    return [
        f"compute, rough: {_compute(known) or 'not known'}, scaled from past jobs by images, draws, steps and "
        f"networks{without}",
        *_arithmetic(lines),
        f"disk, when all is done: {_bytes(sum(found for found in sizes if found is not None))}{some}",
    ]


def _arithmetic(lines: Sequence[Line]) -> list[str]:
    """The multiply-adds of jobs without a past, in GPU-hours at a round rate."""
    amount = sum(estimate.multiply_adds for line in lines for estimate in line.estimates if not estimate.times)
    if not amount:
        return []
    return [
        f"networks that nothing like ever ran: {amount:.2g} multiply-adds, {_hours(amount / ROUND_RATE / 3600)} GPU-h "
        f"at {ROUND_RATE:.0e} a second"
    ]


def _compute(known: Sequence[Estimate]) -> str:
    """Core-hours, and GPU-hours by device, of some estimates."""
    hours: Counter[str] = Counter()
    for estimate in known:
        if estimate.times:
            seconds = estimate.times.cpu if estimate.device == CPU else estimate.times.clock
            hours[estimate.device] += seconds / 3600
    return ", ".join(
        f"{_hours(number)} core-h" if device == CPU else f"{_hours(number)} GPU-h ({device})"
        for device, number in sorted(hours.items(), key=lambda item: (item[0] != CPU, item[0]))
    )


def _hours(number: float) -> str:
    if number < 0.001:
        return "under 0.001"
    return f"{number:.0f}" if number >= 10 else f"{number:.2g}"


def _bytes(number: int) -> str:
    value, units = float(number), ["B", "kB", "MB", "GB", "TB", "PB"]
    while value >= 1000 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return f"{value:.0f} {units[0]}" if value >= 100 or units[0] == "B" else f"{value:.2g} {units[0]}"


def _closing(jobs: Sequence[Job], times: Sequence[float | None], cores: int) -> str:
    known = [
        (seconds, min(job.threads, cores)) for job, seconds in zip(jobs, times, strict=True) if seconds is not None
    ]
    unknown = len(jobs) - len(known)
    if not known:
        return f"{count(len(jobs), 'job')}; no past run to tell the time from"
    least = max(max(seconds for seconds, _ in known), sum(seconds * threads for seconds, threads in known) / cores)
    rest = f", without {count(unknown, 'job')} that never ran" if unknown else ""
    return f"{count(len(jobs), 'job')}; at least {duration(least)} on {count(cores, 'core')}{rest}"


def _study_folder(benchmark: Path) -> Path:
    return next(folder.parent for folder in benchmark.parents if folder.name == BENCHMARKS)


def _benchmarks(studies: Iterable[Path], rule: str) -> list[Path]:
    """The benchmark files of a rule: one file, or one for each of its wildcards' values."""
    folders = [study / BENCHMARKS for study in studies]
    return [path for folder in folders for path in [folder / f"{rule}.tsv", *sorted((folder / rule).rglob("*.tsv"))]]


def _fault(lines: Sequence[str]) -> str:
    """What Snakemake says is wrong, without where in its code or the rules it was raised."""
    if any(line.startswith("Traceback") for line in lines):
        lines = lines[-1:]
    elif len(lines) > 1:
        lines = [line for line in lines if not re.match(r"\w+( in file .*)?:$|File \".*\", line \d+", line)]
    return "\n".join(line.removeprefix("Error: ") for line in lines) or "snakemake -n fails; run it to see why"
