"""What each job asks a cluster for: memory and minutes, from what it costs, on the safe side.

A job that is killed for asking too little is tried again, and asks for twice as much.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from assay.planning.costs import Cost, Sizes, cost, cost_of_study, sizes_of_study
from assay.planning.jobs import Jobs
from assay.planning.networks import SIZES, NetworkSizes
from assay.planning.site import GPU_STAGES, Site, read_site

MARGIN = 4  # how many times the time that a job costs is asked for
MIN_MINUTES = 30  # waits for files, imports and slow disks
MEMORY_MARGIN = 1.2
# Host memory of a stage before it holds anything: without torch (96 MB measured), with torch on the CPU (317 MB), and
# with a GPU, whose driver maps more (not measured).
LIBRARIES_MB, TORCH_MB, GPU_MB = 400, 600, 2500


@dataclass(frozen=True)
class Request:
    """What a job asks for: megabytes of memory, and minutes."""

    mem_mb: int
    runtime: int


ON_THIS_MACHINE = Request(mem_mb=1000, runtime=7 * 24 * 60)  # where nothing ends a job that takes longer


class Requests:
    """The requests of a study's jobs. `asked` tells whether anybody is asked: whether jobs go to a cluster.

    Only then are networks measured, which takes seconds, once; elsewhere all jobs ask for the same.
    """

    def __init__(self, jobs: Jobs, asked: Callable[[], bool], site: Callable[[], Site] = read_site) -> None:
        self.jobs = jobs
        self.asked = asked
        self.site = site
        self._costs: dict[tuple[str, ...], Cost] = {}

    def of(self, stage: str, attempt: int, **wildcards: str) -> Request:
        """The request of a stage's job, by the rules' wildcards; each attempt after the first asks for twice."""
        if not self.asked():
            return ON_THIS_MACHINE
        key = (stage, *(value for name, value in sorted(wildcards.items()) if name != "part"))
        if key not in self._costs:
            self._costs[key] = self._cost(stage, {name: wildcards[name] for name in wildcards if name != "part"})
        return self._request(stage, self._costs[key], 2 ** (attempt - 1))

    @functools.cached_property
    def _sizes(self) -> Sizes:
        sizes = sizes_of_study(self.jobs.study, NetworkSizes(Path(self.jobs.results) / SIZES))
        sizes.measured.measure(sizes.described.values())
        return sizes

    @functools.cached_property
    def _gpus(self) -> bool:
        return self.site().gpus

    def _cost(self, stage: str, wildcards: dict[str, str]) -> Cost:
        if stage == "check_images":
            return Cost("pixels read", sum(self._sizes.counts.values()) * self._sizes.side**2)
        job = self.jobs.job(stage, **wildcards)
        folders = {role: artifact.folder for role, artifact in job.inputs.items()}
        found = cost(stage, job.spec, folders, self._sizes)
        if found is None:
            return cost_of_study(self.jobs.study, self._sizes)
        if stage not in ("attack", "purify"):
            return found
        parts = self.jobs.parts(**wildcards)
        return found.share(len(parts)) if parts else found

    def _request(self, stage: str, found: Cost, times: int) -> Request:
        on_gpu = self._gpus and stage in GPU_STAGES
        libraries = GPU_MB if on_gpu else TORCH_MB if stage in GPU_STAGES else LIBRARIES_MB
        held = found.held + (0 if on_gpu else found.at_work)
        memory = libraries + MEMORY_MARGIN * held / 1e6
        minutes = MIN_MINUTES + MARGIN * found.seconds / found.processes / 60
        return Request(100 * math.ceil(memory / 100) * times, math.ceil(minutes) * times)
