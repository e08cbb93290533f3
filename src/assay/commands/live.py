"""What people see of a run of Snakemake: a bar on a terminal, a line per stage elsewhere. All else is in the logs."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import mean
from types import SimpleNamespace
from typing import Any, TextIO

from tqdm import tqdm

from assay.planning.dry_run import STAGES
from assay.progress import clock
from assay.words import count

NAME = "assay"
PARTS = ("_part", "_on_nodes")  # of rules that run the stage of the same name
SHORT = ("summarise", "check", "report")  # stages at the end, of seconds
SECONDS_BETWEEN_TICKS = 1.0
ERROR = "error: "  # how a stage's last line begins that says what is wrong
BAR = "{desc} {bar} {n_fmt}/{total_fmt} jobs, {elapsed}{postfix}"


class Live:
    """The jobs of a run as they end, by stage, on the stream `out`; `faults` are the lines that say what went wrong."""

    def __init__(self, out: TextIO) -> None:
        self.out = out
        self.faults: list[str] = []
        self.failed = 0
        self.wanted: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self.began: dict[str, float] = {}
        self.stages: dict[int, str] = {}
        self.since: dict[int, float] = {}
        self.took: dict[str, list[float]] = {}
        self.bar: tqdm | None = None
        self.closing = threading.Event()

    def planned(self, counts: Mapping[str, int]) -> None:
        """How many jobs of each rule will run."""
        for rule, jobs in counts.items():
            if rule in STAGES:  # the others only name targets
                self.wanted[stage_of(rule)] += jobs
        if self.bar is None and self.out.isatty():
            self.bar = tqdm(total=sum(self.wanted.values()), bar_format=BAR, file=self.out, dynamic_ncols=True)
            threading.Thread(target=self._tick, daemon=True).start()
        elif self.bar is None:
            self.say(f"{count(sum(self.wanted.values()), 'job')} to run")

    def started(self, number: int, rule: str) -> None:
        """A job of a rule begins."""
        if rule not in STAGES:
            return
        self.stages[number], self.since[number] = stage_of(rule), time.monotonic()
        self.began.setdefault(stage_of(rule), time.monotonic())
        self._show()

    def finished(self, number: int) -> None:
        """A job ended well; where it was its stage's last, that is a line."""
        stage = self.stages.pop(number, None)
        if stage is None:
            return
        self.ended[stage] += 1
        self.took.setdefault(stage, []).append(time.monotonic() - self.since.pop(number))
        if self.bar:
            self.bar.update()
        if self.ended[stage] == self.wanted[stage]:
            self.say(f"{stage}: {count(self.ended[stage], 'job')} in {clock(time.monotonic() - self.began[stage])}")
        self._show()

    def broke(self, number: int, rule: str, logs: list[str]) -> None:
        """A job failed: what it said, and where its log lies."""
        self.stages.pop(number, None)
        self.since.pop(number, None)
        self.failed += 1
        said = [line for log in logs for line in _errors(Path(log))]
        for line in said or [f"{ERROR}{stage_of(rule)} failed"]:
            self.say(line)
        for log in logs:
            self.say(f"  its log: {log}")

    def say(self, line: str) -> None:
        """A line that stays."""
        if self.bar:
            self.bar.write(line, file=self.out)
        else:
            print(line, file=self.out, flush=True)

    def close(self) -> None:
        """Take the bar away."""
        self.closing.set()
        if self.bar:
            self.bar.leave = False
            self.bar.close()

    def _tick(self) -> None:
        """Let the bar's clock go on while no job ends."""
        while not self.closing.wait(SECONDS_BETWEEN_TICKS):
            self.bar.refresh()

    def _show(self) -> None:
        """Which stages run now, beside the bar."""
        if self.bar:
            running = Counter(self.stages.values())
            told = [f"{stage} {self.ended[stage]}/{self.wanted[stage]}" for stage in running]
            left = self.left()
            told += [] if left is None else [f"about {clock(left)} left"]
            self.bar.set_postfix_str(", ".join(told))

    def left(self) -> float | None:
        """About how many seconds are left, by what jobs of each stage took so far and as many at once as now; None
        while a stage that takes long has none that ended."""
        open_jobs = {stage: jobs - self.ended[stage] for stage, jobs in self.wanted.items() if stage not in SHORT}
        if any(jobs and stage not in self.took for stage, jobs in open_jobs.items()):
            return None
        work = sum(jobs * mean(self.took[stage]) for stage, jobs in open_jobs.items() if jobs)
        return work / max(1, len(self.stages))


def stage_of(rule: str) -> str:
    """The stage that a rule runs."""
    for part in PARTS:
        rule = rule.removesuffix(part)
    return rule


@contextlib.contextmanager
def quiet_jobs() -> Iterator[TextIO]:
    """Keep what jobs print to their logs; yields the stream that the standard output was."""
    sys.stdout.flush()
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        with os.fdopen(os.dup(kept), "w", encoding=sys.stdout.encoding, errors="replace") as out:
            yield out
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


def listen(live: Live) -> list[str]:
    """The options with which Snakemake, in this process, tells `live` what it does in place of printing it."""
    from snakemake_interface_logger_plugins.base import LogHandlerBase
    from snakemake_interface_logger_plugins.common import LogEvent, logger_plugin_module_prefix
    from snakemake_interface_logger_plugins.registry import LoggerPluginRegistry

    class Handler(LogHandlerBase):
        writes_to_stream = True  # in the place of Snakemake's own output
        writes_to_file = needs_rulegraph = False
        has_filter = has_formatter = True

        def emit(self, record: logging.LogRecord) -> None:
            told: dict[str, Any] = record.__dict__
            match told.get("event"):
                case LogEvent.RUN_INFO if not live.wanted:
                    live.planned(told["stats"])
                case LogEvent.JOB_INFO:
                    live.started(told["jobid"], told["rule_name"])
                case LogEvent.JOB_FINISHED:
                    live.finished(told["job_id"])
                case LogEvent.JOB_ERROR:
                    live.broke(told["jobid"], told["rule_name"], list(told["log"] or []))
                case _ if record.levelno >= logging.ERROR:
                    live.faults.append(record.getMessage())

    LoggerPluginRegistry().register_plugin(f"{logger_plugin_module_prefix}{NAME}", SimpleNamespace(LogHandler=Handler))
    return ["--logger", NAME]


def _errors(log: Path) -> list[str]:
    """The lines of a job's log that say what is wrong; without any, its last lines."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    return [line for line in lines if line.startswith(ERROR)] or lines[-5:]
