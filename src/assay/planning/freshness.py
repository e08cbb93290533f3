"""What must be made, by the manifests on disk: each is held against what the study wants now.

Snakemake goes by the age of files and by records of its own, which a copied study lacks. Here an artifact counts as
made where its manifest has the key that is wanted now and its inputs' seals, is whole, and has all of its files as they
were written. Damage that keeps a file's size and time is for `verify` to find.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from pathlib import Path

from assay.artifacts import changed_sources, same_place
from assay.files import AssayError
from assay.manifests import MOVING, Manifest, known_by, read_manifest, remembered_fault
from assay.planning.jobs import Artifact, Job, Jobs

MISSING = "missing output"
FORCED = "forced"
CONFIG = "config changed"
CODE = "code changed"
INPUTS = "other inputs"
SOURCES = "files of yours changed"
DAMAGED = "damaged"
UNFINISHED = "unfinished"
BEFORE = "a stage before it runs"


class Freshness:
    """Why jobs of a study must run, each looked at once. `forced` gives stages that run in any case."""

    def __init__(self, jobs: Jobs, forced: Callable[[], Collection[str]] = tuple) -> None:
        self.jobs = jobs
        self.forced = forced
        self._reasons: dict[Artifact, str | None] = {}
        self._manifests: dict[Artifact, Manifest | None] = {}
        self._sources: dict[Artifact, Path | None] = {}

    def reason(self, job: Job) -> str | None:
        """Why a job must run; None if what it makes is there as wanted."""
        if job.makes is None:
            return None
        if job.makes not in self._reasons:
            before = [self.reason(self.jobs.maker(found)) for found in job.all_inputs.values()]
            self._reasons[job.makes] = self._own(job) or (BEFORE if any(before) else None)
        return self._reasons[job.makes]

    def source(self, job: Job) -> Path | None:
        """Where what a job makes lies already, here or in another study, so that it need not be computed."""
        if job.makes is None:
            return None
        if job.makes not in self._sources:
            own = Path(job.makes.folder)
            elsewhere = (place for place in same_place(own) if self._would_do(job, place))
            self._sources[job.makes] = own if self.reason(job) is None else next(elsewhere, None)
        return self._sources[job.makes]

    def _would_do(self, job: Job, place: Path) -> bool:
        """Whether an artifact of another study is what a job would make, of inputs that lie there or here."""
        try:
            found = read_manifest(place)
            if found["key"] != self.jobs.key(job.makes):
                return False
            sources = {role: self.source(self.jobs.maker(needed)) for role, needed in job.all_inputs.items()}
            return all(sources.values()) and found["inputs"] == {
                role: known_by(read_manifest(source))[1] for role, source in sources.items()
            }
        except (AssayError, OSError):
            return False

    def kept(self) -> list[Manifest]:
        """The manifests of all artifacts below the report that are there as wanted."""
        self.reason(self.jobs.report())
        kept = [artifact for artifact, reason in self._reasons.items() if reason is None]
        return [manifest for artifact in kept if (manifest := self._manifest(artifact))]

    def _own(self, job: Job) -> str | None:
        """What the artifact itself tells against it."""
        if job.stage in self.forced():
            return FORCED
        path = job.makes.manifest
        folder, name = os.path.split(path)
        if os.path.exists(f"{folder}/{MOVING}{name}"):
            return UNFINISHED
        if not os.path.isfile(path):
            return MISSING
        found = self._manifest(job.makes)
        if found is None or found["kind"] != job.makes.kind:
            return DAMAGED
        if found["spec"] != job.described:
            return CONFIG
        if found["code"] != job.code:
            return CODE
        if found["key"] != self.jobs.key(job.makes) or found["inputs"] != self._seals(job):
            return INPUTS
        return _fault_of_files(path, found) or (SOURCES if changed_sources(found) else None)

    def _manifest(self, artifact: Artifact) -> Manifest | None:
        """The manifest of an artifact; None if it has none, or none that is whole."""
        if artifact not in self._manifests:
            try:
                self._manifests[artifact] = read_manifest(Path(artifact.folder))
            except (AssayError, OSError):
                self._manifests[artifact] = None
        return self._manifests[artifact]

    def _seals(self, job: Job) -> dict[str, str]:
        """The seals that lie on disk now, of a job's inputs by role."""
        found = {role: self._manifest(artifact) for role, artifact in job.all_inputs.items()}
        return {role: known_by(manifest)[1] for role, manifest in found.items() if manifest}


def _fault_of_files(path: str, manifest: Manifest) -> str | None:
    """What tells that an artifact's files are not as they were written. Bytes are read only of files that are younger
    than the manifest at this path. (Paths are texts here: there are tens of thousands.)"""
    folder, written = os.path.dirname(path), os.stat(path).st_mtime_ns
    for name, entry in manifest["files"].items():
        try:
            found = os.stat(f"{folder}/{name}")
        except (FileNotFoundError, NotADirectoryError):
            return MISSING
        if found.st_size != entry["bytes"]:
            return DAMAGED
        if found.st_mtime_ns > written and remembered_fault(Path(path), name, entry):
            return DAMAGED
    return None


def now_wanted(folder: Path, touch: bool) -> str:
    """A place under Snakemake's own folder that is younger than all that was ever made, once it was touched.

    As an input that is not ancient it has Snakemake run a job, whatever its records say or have lost. It is a folder,
    because Snakemake takes no checksum of these.
    """
    path = folder / "what-is-wanted-now"
    if touch:
        path.mkdir(parents=True, exist_ok=True)
        os.utime(path)
    return str(path)
