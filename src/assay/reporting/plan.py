"""What Snakemake would run and why, and how long that took before."""

from __future__ import annotations

import csv
import logging
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from types import SimpleNamespace

from assay.files import AssayError
from assay.reporting.words import count, duration

BENCHMARKS = "benchmarks"
NO_PAST = "no past run"
STAGES = (
    *("prepare_images", "train_classifier", "train_diffusion"),
    *("attack", "purify", "classify", "summarise", "report"),
)

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
    """A job that Snakemake would run: its rule, why, its threads and its benchmark file, if it has one."""

    rule: str
    reason: str
    threads: int
    benchmark: Path | None


def planned_jobs(arguments: Sequence[str]) -> list[Job]:
    """The jobs of a dry run of Snakemake with these command-line arguments, in the order of the stages.

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
                    jobs.append(Job(record.rule_name, reason_kind(record.reason), record.threads, benchmark))
            elif record.levelno >= logging.ERROR:
                faults.append(record.getMessage())

    LoggerPluginRegistry().register_plugin(f"{logger_plugin_module_prefix}plan", SimpleNamespace(LogHandler=Collector))
    try:
        snakemake.cli.main([*arguments, "--dry-run", "--logger", "plan"])
    except SystemExit as end:
        if end.code:
            lines = [line.strip() for fault in faults for line in fault.splitlines()]
            raise AssayError(_fault([line for line in lines if line])) from None
    return sorted(jobs, key=lambda job: STAGES.index(job.rule) if job.rule in STAGES else len(STAGES))


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


def past_seconds(job: Job) -> float | None:
    """How long the job took last time; else what its rule takes in the mean in this study, else in other studies."""
    if job.benchmark is None:
        return None
    study = next(folder.parent for folder in job.benchmark.parents if folder.name == BENCHMARKS)
    others = [other for other in sorted(study.parent.glob("*")) if other.name != study.name]
    for candidates in ([job.benchmark], _benchmarks([study], job.rule), _benchmarks(others, job.rule)):
        if seconds := [value for path in candidates for value in _seconds(path)]:
            return mean(seconds)
    return None


def render(jobs: Sequence[Job], cores: int) -> str:
    """A table with one line a stage, and the time that all of it would take on so many cores."""
    if not jobs:
        return "Nothing to do: everything is there and up to date."
    times = [past_seconds(job) for job in jobs]
    lines = [("stage", "jobs", "seconds a job", "in all", "why")]
    for rule in dict.fromkeys(job.rule for job in jobs):
        own = [seconds for job, seconds in zip(jobs, times, strict=True) if job.rule == rule]
        known = [seconds for seconds in own if seconds is not None]
        reasons = Counter(job.reason for job in jobs if job.rule == rule)
        why = ", ".join(f"{number} {reason}" for reason, number in reasons.most_common())
        each, total = (f"{mean(known):.1f}", duration(sum(known))) if known else (NO_PAST, "?")
        lines.append((rule, str(len(own)), each, total, why))
    widths = [max(len(line[column]) for line in lines) for column in range(4)]
    table = [
        f"{stage:<{widths[0]}}  {number:>{widths[1]}}  {each:>{widths[2]}}  {total:>{widths[3]}}  {why}"
        for stage, number, each, total, why in lines
    ]
    return "\n".join([*table, _closing(jobs, times, cores)])


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


def _benchmarks(studies: Iterable[Path], rule: str) -> list[Path]:
    """The benchmark files of a rule: one file, or one for each of its wildcards' values."""
    folders = [study / BENCHMARKS for study in studies]
    return [path for folder in folders for path in [folder / f"{rule}.tsv", *sorted((folder / rule).rglob("*.tsv"))]]


def _seconds(path: Path) -> list[float]:
    """The wall times in a benchmark file; none if it is not there or was cut off."""
    if not path.is_file():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        try:
            return [float(row["s"]) for row in csv.DictReader(file, delimiter="\t")]
        except (KeyError, TypeError, ValueError):
            return []


def _fault(lines: Sequence[str]) -> str:
    """What Snakemake says is wrong, without where in its code or the rules it was raised."""
    if any(line.startswith("Traceback") for line in lines):
        lines = lines[-1:]
    elif len(lines) > 1:
        lines = [line for line in lines if not re.match(r"\w+( in file .*)?:$|File \".*\", line \d+", line)]
    return "\n".join(line.removeprefix("Error: ") for line in lines) or "snakemake -n fails; run it to see why"
