"""Whether what lies on disk is what its manifests say, by hash, and whether each was made of what lies there now."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from assay.files import AssayError
from assay.manifests import MANIFEST, MOVING, Manifest, faults, known_by, manifest_path, read_manifest
from assay.planning.jobs import Artifact, Jobs
from assay.progress import track
from assay.reporting.origin import read_origin
from assay.study.model import Study
from assay.words import count

STUDIES = Path("results")
QUARANTINE = ".quarantine"
TABLES = f"summary.{MANIFEST}"
PAGE = f"report.{MANIFEST}"
LEFTOVERS = {
    ".draft-*": "left by a stage that was killed; delete it unless a stage is running",
    "*.partial": "left by a stage that was killed; delete it unless a stage is running",
    ".*.scratch": "left by a stage that was killed; delete it unless a stage is running",
    ".*.resume-*": "unfinished work, from which the stage resumes; delete it to start from the beginning",
    f"{QUARANTINE}/*": "was moved aside because it was damaged; delete it when you have looked at it",
}
WITHIN = (".draft-", MOVING, QUARANTINE)  # folders that hold no artifacts of their own


@dataclass
class Audit:
    """What was found below some folders: `faults` and `notes` are one line each, `damaged` the artifacts' manifests."""

    artifacts: int = 0
    files: int = 0
    bytes: int = 0
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    damaged: list[Path] = field(default_factory=list)

    def __str__(self) -> str:
        verdict = count(len(self.faults), "fault") if self.faults else "all whole"
        size = f"{self.bytes / 1e9:.2f} GB"
        return f"verified {count(self.artifacts, 'artifact')}, {count(self.files, 'file')}, {size}: {verdict}"


def audit(paths: Sequence[Path]) -> Audit:
    """Compare every file of every artifact at or below the paths with its manifest, and every manifest with those of
    what it was made of. A path may be a report, wherever it lies, which is held against its study too."""
    found = Audit()
    manifests: dict[Path, None] = {}
    for path in paths:
        if path.is_file():
            path = _report(path, found)
        if not path.is_dir():
            raise AssayError(f"{path}: no such folder; name a study's folder, an artifact's or a report")
        manifests |= dict.fromkeys(each for each in sorted(path.rglob(f"*{MANIFEST}")) if not _hidden(each))
        for pattern, meaning in LEFTOVERS.items():
            lying = [each for each in sorted(path.rglob(pattern)) if not _hidden(each.parents[pattern.count("/")])]
            found.notes += [f"{each}: {meaning}" for each in lying]
    if not manifests and not any(_study_of(path / MANIFEST) for path in paths):
        raise AssayError(f"{', '.join(map(str, paths))}: no artifact there (no {MANIFEST}); run the workflow first")
    read: dict[Path, Manifest] = {}
    for path in track(manifests, "verify", total=len(manifests), unit="artifacts"):
        found.artifacts += 1
        try:
            read[path] = read_manifest(path)
            found.files += len(read[path]["files"])
            found.bytes += sum(entry["bytes"] for entry in read[path]["files"].values())
            own = faults(path)
        except (AssayError, OSError) as error:
            own = [str(error)]
        found.faults += own
        found.damaged += [path] if own else []
        found.notes += [f"{each}: is no part of the artifact there" for each in _strangers(path, read.get(path))]
    studies = {study for path in [*manifests, *(path / MANIFEST for path in paths)] if (study := _study_of(path))}
    for study in sorted(studies):
        _follow(study, manifests, found)
    return found


def quarantine(damaged: Sequence[Path]) -> Iterator[str]:
    """Move damaged artifacts aside, so that the next run makes them anew; where each lies now, a line each."""
    for path in damaged:
        study = _study_of(path) or path.parent
        folder = study / QUARANTINE
        name = path.relative_to(study).as_posix().replace("/", "__").removesuffix(f"__{MANIFEST}")
        target = next(each for n in itertools.count() if not (each := folder / f"{name}.{n}").exists())
        target.mkdir(parents=True)
        for file in [*_files_of(path), path]:
            if file.is_file():
                place = target / file.relative_to(path.parent)
                place.parent.mkdir(parents=True, exist_ok=True)
                file.rename(place)
        yield f"{path}: moved to {target}"


def _follow(study: Path, looked_at: dict[Path, None], found: Audit) -> None:
    """Hold each artifact of a study against what it was made of, from the report down to the images."""
    jobs = _jobs(study)
    if jobs is None:
        if (study / "summary.csv").exists() and TABLES not in "\n".join(found.faults):
            found.faults.append(f"{study / TABLES}: missing, but there is a summary.csv; run the workflow again")
        found.notes.append(f"{study}: has no tables yet; what its artifacts were made of was not followed")
        return
    known = _Walk(study, jobs)
    for artifact, job in known.jobs.items():
        path = known.path(artifact)
        manifest = known.manifests[artifact]
        if manifest is None:
            if not path.is_file():
                found.faults.append(f"{path}: missing{known.standing_on(artifact)}; run the workflow again")
            elif path in looked_at:
                found.faults.append(f"{path}: is damaged{known.standing_on(artifact)}")
            continue
        if manifest["spec"] != job.described:
            found.faults.append(f"{path}: is not what the study's tables were made from (swapped?); run again")
        for role, needed in job.all_inputs.items():
            lies_there = known.manifests[needed]
            if lies_there and manifest["inputs"].get(role) != known_by(lies_there)[1]:
                found.faults.append(
                    f"{path}: was not made of what lies at {known.path(needed).parent} now, as '{role}' "
                    "(replaced or swapped); run the workflow again"
                )
        if path in found.damaged and (standing := known.standing_on(artifact)):
            found.notes.append(f"{path}: is damaged{standing}")
    ours = {known.path(artifact) for artifact in known.jobs}
    foreign = [path for path in looked_at if path.is_relative_to(study) and path not in ours]
    found.notes += [
        f"{path}: is no part of the study that the tables are of (of an earlier config?)" for path in foreign
    ]


class _Walk:
    """The artifacts that a study's tables and report stand on, with their jobs and manifests."""

    def __init__(self, study: Path, jobs: Jobs) -> None:
        self.study = study
        self.root = Path(jobs.results)
        self.jobs = {}
        is_told = any((study / name).exists() for name in (PAGE, "report.html"))
        waiting = [jobs.page() if is_told else jobs.tables(), jobs.roles()]
        while waiting:
            artifact = waiting.pop()
            if artifact not in self.jobs:
                self.jobs[artifact] = jobs.maker(artifact)
                waiting.extend(self.jobs[artifact].all_inputs.values())
        self.jobs = dict(sorted(self.jobs.items(), key=lambda item: item[0].folder))
        self.manifests = {artifact: self._manifest(artifact) for artifact in self.jobs}
        self.users: dict[Artifact, list[Artifact]] = defaultdict(list)
        for artifact, job in self.jobs.items():
            for needed in job.all_inputs.values():
                self.users[needed].append(artifact)

    def path(self, artifact: Artifact) -> Path:
        """The manifest of an artifact, wherever the study's folder lies."""
        return self.study / manifest_path(Path(artifact.folder)).relative_to(self.root)

    def standing_on(self, artifact: Artifact) -> str:
        """What stands on an artifact, by kind."""
        found: dict[Artifact, None] = {}
        waiting = list(self.users[artifact])
        while waiting:
            user = waiting.pop()
            if user not in found:
                found[user] = None
                waiting.extend(self.users[user])
        kinds = Counter(user.kind for user in found)
        told = [count(kinds[kind], "cell") for kind in ("scores",) if kinds[kind]]
        told += [words for kind, words in (("tables", "the tables"), ("report", "the report")) if kinds[kind]]
        return f"; on it stand {', '.join(told)}" if told else ""

    def _manifest(self, artifact: Artifact) -> Manifest | None:
        try:
            return read_manifest(self.path(artifact))
        except AssayError:
            return None


def _report(page: Path, found: Audit) -> Path:
    """Hold a report against the study that it is of; the study's folder."""
    name, seals = read_origin(page)
    study = page.parent if (page.parent / TABLES).is_file() else STUDIES / name
    for role, table in (("tables", TABLES), ("checks", f"checks.{MANIFEST}")):
        try:
            now = read_manifest(study / table)["seal"]
        except AssayError as error:
            found.faults.append(str(error))
            continue
        if seals.get(role) != now:
            found.faults.append(f"{page}: was made from other {role} than {study} has now; make the report again")
    return study


def _jobs(study: Path) -> Jobs | None:
    """The jobs of the study that the tables in a folder are of; None where there are none, or none that we know."""
    try:
        return Jobs(Study.model_validate(read_manifest(study / TABLES)["spec"]))
    except (AssayError, ValidationError):
        return None


def _study_of(path: Path) -> Path | None:
    """The folder of the study that a manifest belongs to."""
    return next((folder for folder in path.parents if (folder / "images").is_dir()), None)


def _files_of(path: Path) -> list[Path]:
    """The files of the artifact with this manifest; all of its folder if the manifest cannot be read."""
    try:
        return [path.parent / name for name in read_manifest(path)["files"]]
    except AssayError:
        return [] if path.name != MANIFEST else [each for each in path.parent.iterdir() if each.is_file()]


def _strangers(path: Path, manifest: Manifest | None) -> list[Path]:
    """The files in an artifact's own folder that are no part of it."""
    if manifest is None or path.name != MANIFEST:
        return []
    own = {path, *(path.parent / name for name in manifest["files"])}
    return [
        each for each in sorted(path.parent.iterdir()) if each.is_file() and each not in own and each.name[0] != "."
    ]


def _hidden(path: Path) -> bool:
    """Whether the path lies within unfinished or damaged work."""
    return any(part.startswith(WITHIN) or part.endswith(".scratch") or ".resume-" in part for part in path.parts)
