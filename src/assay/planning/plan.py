"""What planned jobs take and write: their times, by past runs or by what they cost, and the table that says so."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from assay.artifacts import TAKEN_OVER
from assay.planning.costs import RATES, Cost, Sizes, cost, sizes_of_study
from assay.planning.dry_run import Planned
from assay.planning.freshness import Freshness
from assay.planning.jobs import Jobs
from assay.planning.networks import SIZES, NetworkSizes
from assay.planning.past import BENCHMARKS, CPU, START_UP, Past, Times, read_times
from assay.planning.versions import other_versions
from assay.study.model import Study
from assay.words import count, duration, hours, size

NO_PAST = "no past run"
UNKNOWN = "?"
MODEST = "modest"  # the GPU that is assumed where no past run tells of another
WRITE_LITTLE = ("check_images", "attack_part", "purify_part", "probe", "choose_sigma", "summarise", "check", "report")


@dataclass(frozen=True)
class Estimate:
    """What a job takes, if anything tells, and on which device; its bytes on disk.

    `reckoned`: by what it costs, since there is no comparable past run.
    """

    times: Times | None
    device: str
    bytes: int | None
    reckoned: bool = False


@dataclass(frozen=True)
class Line:
    """A line of the table: a stage's jobs, with their estimates."""

    stage: str
    jobs: Sequence[Planned]
    estimates: Sequence[Estimate]

    def texts(self) -> tuple[str, ...]:
        seconds = [estimate.times.clock for estimate in self.estimates if estimate.times]
        about = "~" if any(estimate.reckoned for estimate in self.estimates) else ""
        each = about + duration(mean(seconds)) if seconds else NO_PAST
        total = about + duration(sum(seconds)) if seconds else UNKNOWN
        compute = about + _compute(self.estimates) if seconds else UNKNOWN
        reasons = Counter(job.reason for job in self.jobs)
        why = ", ".join(f"{number} {reason}" for reason, number in reasons.most_common())
        return self.stage, str(len(self.jobs)), each, total, compute, self._disk(), why

    def _disk(self) -> str:
        if self.stage in WRITE_LITTLE:
            return "little"
        sizes = [estimate.bytes for estimate in self.estimates]
        return UNKNOWN if None in sizes else size(sum(found for found in sizes if found is not None))


def estimates(jobs: Sequence[Planned], study: Study | None) -> tuple[list[Estimate], dict[str, str]]:
    """What each job takes and writes; and the networks that were not measured, with the reason.

    Without a study nothing can be scaled: then only past runs of the same rules count.
    """
    places = [_study_folder(job.benchmark).parent for job in jobs if job.benchmark]
    if study is None or not places:
        return [Estimate(past_times(job), CPU, None) for job in jobs], {}
    results = places[0]
    measured = NetworkSizes(results / study.study / SIZES, sorted(results.glob(f"*/{SIZES}")))
    sizes, past = sizes_of_study(study, measured), Past(results, measured)
    measured.measure(described for known in (sizes, *past.sizes.values()) for described in known.described.values())
    faults = {name: fault for name, described in sizes.described.items() if (fault := measured.fault(described))}
    known = Jobs(study)
    taken = Estimate(Times(START_UP, START_UP), CPU, 0)
    found = [
        taken if job.reason.startswith(TAKEN_OVER) else _estimate(job, _cost(job, known, sizes), past) for job in jobs
    ]
    return found, faults


def past_times(job: Planned) -> Times | None:
    """How long the job took last time; else what its rule takes on average in this study, else in other studies."""
    if job.benchmark is None:
        return None
    study = _study_folder(job.benchmark)
    others = [other for other in sorted(study.parent.glob("*")) if other.name != study.name]
    for candidates in ([job.benchmark], _benchmarks([study], job.rule), _benchmarks(others, job.rule)):
        if times := [found for path in candidates for found in read_times(path)]:
            return Times(mean(found.clock for found in times), mean(found.cpu for found in times))
    return None


def _estimate(job: Planned, found: Cost | None, past: Past) -> Estimate:
    """By the same job's past run if the work is the same; else by the rate of jobs that do such work; else reckoned."""
    if found is None or found.amount is None or job.benchmark is None:
        return Estimate(past_times(job), CPU, found.written if found else None)
    own = past.samples.get(job.benchmark)
    if own and own.unit == found.unit and math.isclose(own.amount, found.amount, rel_tol=1e-6):
        return Estimate(own.times, own.device, found.written)
    rate = past.rate(job.stage, found.unit)
    if rate:
        return Estimate(rate.times(found.amount), rate.device, found.written)
    seconds = START_UP + found.seconds
    return Estimate(Times(seconds, seconds), MODEST if found.multiply_adds else CPU, found.written, reckoned=True)


def _cost(job: Planned, jobs: Jobs, sizes: Sizes) -> Cost | None:
    """A job's cost. A part does its share and leaves the stack to the job that puts the parts together."""
    stage, part = job.stage, job.wildcards.get("part")
    if not hasattr(Jobs, stage):
        return None
    planned = jobs.job(stage, **{name: value for name, value in job.wildcards.items() if name != "part"})
    found = cost(stage, planned.spec, {role: artifact.folder for role, artifact in planned.inputs.items()}, sizes)
    if found is None or stage not in ("attack", "purify"):
        return found
    if part:
        return found.share(int(part.split("-of-")[1]))
    return found.put_together() if jobs.parts(**job.wildcards) else found


def render(jobs: Sequence[Planned], cores: int, study: Study | None = None) -> str:
    """A table with one line a stage; the time that all of it would take on so many cores; compute and disk in all."""
    made = other_versions(Freshness(Jobs(study)).kept()) if study else []
    if not jobs:
        return "\n".join(["Nothing to do: everything is there and up to date.", *made])
    found, unmeasured = estimates(jobs, study)
    pairs = list(zip(jobs, found, strict=True))
    lines = []
    for rule in dict.fromkeys(job.rule for job in jobs):
        own = [(job, estimate) for job, estimate in pairs if job.rule == rule]
        lines.append(Line(rule, [job for job, _ in own], [estimate for _, estimate in own]))
    texts = [("stage", "jobs", "time per job", "in all", "compute", "disk", "why"), *(line.texts() for line in lines)]
    widths = [max(len(text[column]) for text in texts) for column in range(6)]
    table = [
        "  ".join([text[0].ljust(widths[0]), *map(str.rjust, text[1:6], widths[1:]), text[6]])  # the last one as it is
        for text in texts
    ]
    return "\n".join([*table, _closing(pairs, cores), *(_totals(lines, unmeasured) if study else []), *made])


def _closing(pairs: Sequence[tuple[Planned, Estimate]], cores: int) -> str:
    """The jobs, and the least time on the clock of those that ran before."""
    known = [(own.times.clock, min(job.threads, cores)) for job, own in pairs if own.times and not own.reckoned]
    jobs, new = count(len(pairs), "job"), len(pairs) - len(known)
    if not known:
        return f"{jobs}; no past run to tell the time from"
    least = max(max(seconds for seconds, _ in known), sum(seconds * threads for seconds, threads in known) / cores)
    rest = f", without {count(new, 'job')} that never ran" if new else ""
    return f"{jobs}; at least {duration(least)} on {count(cores, 'core')}{rest}"


def _totals(lines: Sequence[Line], unmeasured: dict[str, str]) -> Iterable[str]:
    """Compute and disk of everything, and how far they can be trusted."""
    every = [estimate for line in lines for estimate in line.estimates]
    sizes = [estimate.bytes for line in lines for estimate in line.estimates if line.stage not in WRITE_LITTLE]
    compute = _compute(every) or "not known"
    scaled = (
        "; scaled from past runs by images, draws, steps and networks"
        if not all(own.reckoned for own in every if own.times)
        else ""
    )
    yield f"compute, rough: {compute}{scaled}"
    if any(estimate.reckoned for estimate in every):
        rate = f"{RATES['diffusion']:.0e}"
        yield f"~ no comparable past run: as on a modest GPU ({rate} multiply-adds per second) or one CPU core"
    for name, fault in unmeasured.items():
        yield f"{name}: not measured, assumed to be of the usual size ({fault})"
    some = "" if None not in sizes else ", without what is not known"
    yield f"disk, when all is done: {size(sum(found for found in sizes if found is not None))}{some}"


def _compute(known: Iterable[Estimate]) -> str:
    """Core-hours, and GPU-hours by device, of some estimates."""
    seconds: Counter[str] = Counter()
    for estimate in known:
        if estimate.times:
            seconds[estimate.device] += estimate.times.cpu if estimate.device == CPU else estimate.times.clock
    return ", ".join(
        f"{hours(number)} core-h" if device == CPU else f"{hours(number)} GPU-h ({device})"
        for device, number in sorted(seconds.items(), key=lambda item: (item[0] != CPU, item[0]))
    )


def _study_folder(benchmark: Path) -> Path:
    return next(folder.parent for folder in benchmark.parents if folder.name == BENCHMARKS)


def _benchmarks(studies: Iterable[Path], rule: str) -> list[Path]:
    """The benchmark files of a rule: one file, or one for each of its wildcards' values."""
    folders = [study / BENCHMARKS for study in studies]
    return [path for folder in folders for path in [folder / f"{rule}.tsv", *sorted((folder / rule).rglob("*.tsv"))]]
