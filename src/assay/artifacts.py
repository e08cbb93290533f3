"""Writing artifacts whole, and not making again what is there already."""

from __future__ import annotations

import contextlib
import functools
import glob
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from assay import verified
from assay.files import AssayError, digest, flush, naming_a_full_disk, remove, sha256
from assay.manifests import Manifest, check, key_of, known_by, manifest_path, moving, read_manifest, sealed

STUDIES = Path("results")  # of the checkout that a stage runs in
# The fact that says why an artifact is empty; and the kinds of those that are, where a network has no weights.
UNMADE = "unmade"
EMPTY_WITHOUT_WEIGHTS = (
    *("classifier", "diffusion", "stack", "scores", "probe"),
    *("certificates", "attacked certificates"),
)
# What a job says that had nothing to compute.
KEPT, TAKEN_OVER = "is there already, as wanted; kept", "taken over from"
DRAFT = ".draft-"
WORK = ".resume-"


@dataclass
class Draft:
    """An artifact that is being written: files go to `path(name)` and appear in the artifact's folder together.

    `sources` are files of the user's that it is made of: their SHA-256 by path, or None where one was not found.
    """

    folder: Path
    facts: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, str | None] = field(default_factory=dict)

    def path(self, name: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


@dataclass(frozen=True)
class Wanted:
    """What a job is to make: an artifact of a kind at a place, by a spec and code, of inputs (manifests by role)."""

    place: Path
    kind: str
    spec: Mapping[str, Any]
    code: str
    inputs: Mapping[str, Path]

    @functools.cached_property
    def key(self) -> str:
        """What tells it from what other jobs make: see `assay.manifests`."""
        return key_of(self.kind, self.spec, self.code, {role: known_by(found)[0] for role, found in self._read.items()})

    @functools.cached_property
    def seals(self) -> dict[str, str]:
        """The seals of the inputs by role."""
        return {role: known_by(found)[1] for role, found in self._read.items()}

    @functools.cached_property
    def work(self) -> str:
        """What unfinished work on it is known by: its key, and what its inputs are."""
        return digest([self.key, self.seals])

    def found(self) -> Path | None:
        """Where it lies, so that it need not be made: in its place, or in that of another study."""
        return next((place for place in (self.place, *same_place(self.place)) if self._is(place)), None)

    def is_there(self) -> bool:
        """Whether it need not be made: it lies in its place, or was taken over from another study just now."""
        finish_moving(self.place)
        place = self.found()
        if place is None and (why := self.unmade()):
            with self.write({}) as draft:
                draft.facts[UNMADE] = why
            print(f"{self.place}: empty, for {why}", file=sys.stderr)
            return True
        if place == self.place:
            print(f"{self.place}: {KEPT}", file=sys.stderr)
        elif place:
            _adopt(place, self.place)
            print(f"{self.place}: {TAKEN_OVER} {place}, which is the same", file=sys.stderr)
        if place:
            forget_work(self.place)
        return place is not None

    def unmade(self) -> str | None:
        """Why it cannot be made, where a network that it needs was to be recorded though its training diverged."""
        if self.kind not in EMPTY_WITHOUT_WEIGHTS:
            return None
        for role, found in self._read.items():
            facts = found["facts"]
            if "diverged" in facts:
                return f"its {role} could not be trained: diverged at step {facts['diverged']['step']}"
            if UNMADE in facts:
                return facts[UNMADE]
        return None

    @contextlib.contextmanager
    def write(self, provenance: Mapping[str, Any]) -> Iterator[Draft]:
        """Write it whole: every file of the draft and its manifest, moved to their place when all are done.

        `provenance` holds library versions and the device. Nothing that changes from run to run belongs in a manifest
        (timings stand in the stage's benchmark file). What lies in the place stays until all of the new is on disk.
        """
        with _drafting(self.place) as draft:
            with naming_a_full_disk(self.place):
                yield draft
            manifest = {
                "kind": self.kind,
                "key": self.key,
                "spec": dict(self.spec),
                "code": self.code,
                "inputs": self.seals,
                "sources": draft.sources,
                **provenance,
                "facts": draft.facts,
                "files": _listed(draft.folder),
            }
            _put(draft, sealed(manifest), self.place)

    @functools.cached_property
    def _read(self) -> dict[str, Manifest]:
        return {role: read_manifest(path) for role, path in self.inputs.items()}

    def _is(self, place: Path) -> bool:
        """Whether the artifact at a place is what is wanted, made of what lies here, and whole."""
        try:
            found = read_manifest(place)
            same = (found["kind"], found["key"], found["inputs"]) == (self.kind, self.key, self.seals)
            return same and not changed_sources(found) and bool(check(place))
        except (AssayError, OSError):
            return False


def changed_sources(manifest: Manifest) -> list[str]:
    """The files of the user's that an artifact was made of and that are others now. One that is gone counts as none."""
    changed = []
    for name, known in manifest["sources"].items():
        path = Path(name)
        if known is None and path.is_file():
            changed.append(name)
        elif known is not None and path.is_file():
            seen = verified.look(path)
            if verified.is_remembered(seen, known):
                continue
            if sha256(path) == known:
                verified.remember(seen, known)
            else:
                changed.append(name)
    return changed


def same_place(place: Path) -> list[Path]:
    """Where other studies of the checkout keep what may be the same: at the same place, or as a network or split."""
    try:
        own, *rest = Path(place).relative_to(STUDIES).parts
    except ValueError:
        return []
    if own is None or not rest:
        return []
    names = [*map(glob.escape, rest[:-1]), "*" if len(rest) == 2 else glob.escape(rest[-1])]
    found = [path for path in sorted(STUDIES.glob("/".join(["*", *names]))) if path != Path(place)]
    return [path for path in found if manifest_path(path).is_file()]


def work_folder(place: Path, key: str) -> Path:
    """Where unfinished work on an artifact is kept, by what it depends on: beside its place."""
    return place.parent / f".{place.name}{WORK}{key}"


def forget_work(place: Path) -> None:
    """Forget all unfinished work on an artifact, that of an older spec or code too: it is there."""
    for folder in place.parent.glob(f".{glob.escape(place.name)}{WORK}*"):
        remove(folder)


def finish_moving(place: Path) -> None:
    """Move to its place what is left of a new artifact whose job was killed while it moved its files there."""
    source, path = moving(place), manifest_path(place)
    if not source.exists():
        return
    new = source / path.name
    names = _names(new)
    if names is not None:  # else all was moved, or is damaged
        gone = (_names(path) or set()) - names
        path.unlink(missing_ok=True)
        for name in sorted(names):
            if (source / name).is_file():
                (path.parent / name).parent.mkdir(parents=True, exist_ok=True)
                os.replace(source / name, path.parent / name)
        for name in gone:
            (path.parent / name).unlink(missing_ok=True)
        os.replace(new, path)
    remove(source)


def _names(path: Path) -> set[str] | None:
    """The files of the artifact with this manifest; None where there is no such artifact."""
    try:
        return set(read_manifest(path)["files"])
    except AssayError:
        return None


@contextlib.contextmanager
def _drafting(place: Path) -> Iterator[Draft]:
    """A folder beside the artifact's place to write it to; what killed jobs left there is cleared away."""
    path = manifest_path(place)
    path.parent.mkdir(parents=True, exist_ok=True)
    mark = f"{DRAFT}{path.name}-"
    for left_by_a_kill in path.parent.glob(f"{mark}*"):
        remove(left_by_a_kill)
    with tempfile.TemporaryDirectory(prefix=mark, dir=path.parent, ignore_cleanup_errors=True) as name:
        yield Draft(Path(name))


def _put(draft: Draft, manifest: bytes, place: Path) -> None:
    """Put a whole draft in its place; from here on a kill leaves what `finish_moving` mends."""
    path = manifest_path(place)
    draft.path(path.name).write_bytes(manifest)
    for file in draft.folder.rglob("*"):
        if file.is_file():
            flush(file)
    finish_moving(place)
    draft.folder.rename(moving(place))
    finish_moving(place)


def _adopt(other: Path, place: Path) -> None:
    """Put the artifact of another study in its place here: hard links where the file system has them, else copies."""
    manifest = check(other)
    with _drafting(place) as draft:
        for name in manifest["files"]:
            source, target = manifest_path(other).parent / name, draft.path(name)
            try:
                os.link(source, target)
            except OSError:
                shutil.copy2(source, target)
        _put(draft, manifest_path(other).read_bytes(), place)


def _listed(folder: Path) -> dict[str, dict[str, Any]]:
    """Hash and size of every file of a draft by its name."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): {"sha256": sha256(path), "bytes": path.stat().st_size} for path in files
    }
