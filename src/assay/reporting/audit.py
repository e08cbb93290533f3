"""Whether the files on disk are what their manifests say, by hash."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from assay.files import AssayError
from assay.manifests import MANIFEST, faults, read_manifest
from assay.progress import track
from assay.words import count

LEFTOVERS = {
    ".draft-*": "left by a stage that was killed; delete it unless a stage is running",
    "*.partial": "left by a stage that was killed; delete it unless a stage is running",
    ".*.scratch": "left by a stage that was killed; delete it unless a stage is running",
    ".*.resume-*": "unfinished work, from which the stage resumes; delete it to start from the beginning",
}


@dataclass
class Audit:
    """What was found below some folders: `faults` and `leftovers` are one line each."""

    artifacts: int = 0
    files: int = 0
    bytes: int = 0
    faults: list[str] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        verdict = count(len(self.faults), "fault") if self.faults else "all whole"
        size = f"{self.bytes / 1e9:.2f} GB"
        return f"verified {count(self.artifacts, 'artifact')}, {count(self.files, 'file')}, {size}: {verdict}"


def audit(paths: Sequence[Path]) -> Audit:
    """Compare the SHA-256 of every file of every artifact at or below the paths with its manifest."""
    found = Audit()
    folders: dict[Path, None] = {}
    for path in paths:
        if not path.is_dir():
            raise AssayError(f"{path}: no such folder; name a study's folder or an artifact's")
        folders |= dict.fromkeys(manifest.parent for manifest in sorted(path.rglob(MANIFEST)) if not _hidden(manifest))
        for pattern, meaning in LEFTOVERS.items():
            found.leftovers += [
                f"{leftover}: {meaning}" for leftover in sorted(path.rglob(pattern)) if not _hidden(leftover.parent)
            ]
    if not folders:
        raise AssayError(f"{', '.join(map(str, paths))}: no artifact there (no {MANIFEST}); run the workflow first")
    for folder in track(folders, "verify", total=len(folders), unit="artifacts"):
        found.artifacts += 1
        try:
            files = read_manifest(folder)["files"]
            found.files += len(files)
            found.bytes += sum(entry["bytes"] for entry in files.values())
            found.faults += faults(folder)
        except AssayError as error:
            found.faults.append(str(error))
    return found


def _hidden(path: Path) -> bool:
    """Whether the path lies within unfinished work."""
    return any(part.startswith(".draft-") or part.endswith(".scratch") or ".resume-" in part for part in path.parts)
