"""What Snakemake would run, and why: a dry run in this process, whose jobs are received as records."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from assay.artifacts import TAKEN_OVER
from assay.files import AssayError
from assay.planning import bring
from assay.planning.freshness import FORCED, MISSING, Freshness
from assay.planning.jobs import Job, Jobs
from assay.study.model import Study

STAGES = (
    *("fetch_images", "index_images", "prepare_images", "check_images"),
    *("train_classifier", "train_classifier_on_nodes", "train_diffusion", "train_diffusion_on_nodes"),
    *("import_classifier", "import_diffusion"),
    *("attack_part", "attack", "purify_part", "purify", "classify", "choose_sigma", "probe"),
    *("certify_part", "certify", "attack_certificates"),
    *("summarise", "check", "report"),
)


@dataclass(frozen=True)
class Planned:
    """A job that Snakemake would run: its rule, why, its threads, its benchmark file if it has one, its wildcards."""

    rule: str
    reason: str
    threads: int
    benchmark: Path | None
    wildcards: Mapping[str, str] = field(default_factory=dict)

    @property
    def stage(self) -> str:
        """The stage that the rule runs: some have a rule for parts, or for several nodes."""
        return self.rule.removesuffix("_part").removesuffix("_on_nodes")


def planned_jobs(arguments: Sequence[str]) -> tuple[list[Planned], Study | None]:
    """The jobs of a dry run of Snakemake with these command-line arguments, in the order of the stages; their study.

    A logger plugin receives the jobs, so nothing depends on how they are printed.
    """
    import snakemake.cli
    from snakemake_interface_logger_plugins.base import LogHandlerBase
    from snakemake_interface_logger_plugins.common import LogEvent, logger_plugin_module_prefix
    from snakemake_interface_logger_plugins.registry import LoggerPluginRegistry

    jobs: list[Planned] = []
    faults: list[str] = []

    class Collector(LogHandlerBase):
        writes_to_stream = True  # in the place of Snakemake's own output
        writes_to_file = needs_rulegraph = False
        has_filter = has_formatter = True

        def emit(self, record: logging.LogRecord) -> None:
            if getattr(record, "event", None) == LogEvent.JOB_INFO:
                if record.output:  # a rule without output only names targets
                    benchmark = Path(record.benchmark) if record.benchmark else None
                    wildcards = dict(record.wildcards or {})
                    jobs.append(Planned(record.rule_name, MISSING, record.threads, benchmark, wildcards))
            elif record.levelno >= logging.ERROR:
                faults.append(record.getMessage())

    LoggerPluginRegistry().register_plugin(f"{logger_plugin_module_prefix}plan", SimpleNamespace(LogHandler=Collector))
    with noting_studies() as studies:
        try:
            snakemake.cli.main([*arguments, "--dry-run", "--logger", "plan"])
        except SystemExit as end:
            if isinstance(end.code, str):  # a profile's own words
                raise AssayError(end.code.removeprefix("error: ")) from None
            if end.code:
                lines = [line.strip() for fault in faults for line in fault.splitlines()]
                raise AssayError(fault_of([line for line in lines if line])) from None
    study = studies[-1] if studies else None
    ordered = sorted(jobs, key=lambda job: STAGES.index(job.rule) if job.rule in STAGES else len(STAGES))
    return _with_reasons(ordered, study) if study else ordered, study


def _with_reasons(jobs: Sequence[Planned], study: Study) -> list[Planned]:
    """The jobs with the reasons that the manifests give; one that they have nothing against was forced."""
    known = Jobs(study)
    freshness = Freshness(known)
    found = []
    for planned in jobs:
        wildcards = {name: value for name, value in planned.wildcards.items() if name != "part"}
        job = known.job(planned.stage, **wildcards) if hasattr(Jobs, planned.stage) else None
        found.append(replace(planned, reason=_reason(job, freshness)))
    return found


def _reason(job: Job | None, freshness: Freshness) -> str:
    if job is None or job.makes is None:
        return MISSING
    source = freshness.source(job)
    return f"{TAKEN_OVER} {source.parts[1]}" if source and freshness.reason(job) else freshness.reason(job) or FORCED


@contextlib.contextmanager
def noting_studies() -> Iterator[list[Study]]:
    """The studies that are parsed meanwhile: the Snakefile shares this process, and it alone knows the whole config."""
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


def fault_of(lines: Sequence[str]) -> str:
    """What Snakemake says is wrong, without where in its code or the rules it was raised."""
    if any(line.startswith("Traceback") for line in lines):
        lines = lines[-1:]
    elif len(lines) > 1:
        lines = [line for line in lines if not re.match(r"\w+( in file .*)?:$|File \".*\", line \d+", line)]
    return "\n".join(line.removeprefix("Error: ") for line in lines) or "snakemake -n fails; run it to see why"
