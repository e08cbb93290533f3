"""Manifests: what an artifact is, what it was made of, and the hash of each of its files, under one seal.

Two hashes tell artifacts apart. The `key` says what was wanted: the kind, the spec, the code, and the keys of the
inputs; it is known before anything is made. The `seal` says what came out: it is the hash of all other bytes of the
manifest, the hashes of the files and the seals of the inputs among them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assay import verified
from assay.files import AssayError, digest, header_fault, sha256

MANIFEST = "manifest.json"
MOVING = ".moving-"  # before a manifest's name: a folder from which a new artifact is being moved to its place
# Of a choice of sigma only the sigma counts: what rests on it is as it was where another sweep chose the same one.
COUNTS = {"selection": "sigma.json"}
KEY_DIGITS = 32
# The line of the seal; deeper ones are indented by more.
SEAL = re.compile(r'(\n  "seal": ")([0-9a-f]{64})"')
UNSEALED = 64 * "0"
# What stands in every manifest; versions of libraries and the device come on top.
FIELDS: dict[str, type] = {
    "kind": str,
    "key": str,
    "spec": dict,
    "code": str,
    "inputs": dict,
    "sources": dict,
    "facts": dict,
    "files": dict,
    "seal": str,
}

Manifest = dict[str, Any]


def manifest_path(place: Path) -> Path:
    """The manifest of an artifact at a place: in its folder; or the place itself, where a folder holds several."""
    place = Path(place)
    return place if place.name.endswith(MANIFEST) else place / MANIFEST


def moving(place: Path) -> Path:
    """The folder from which a new artifact is moved to its place."""
    path = manifest_path(place)
    return path.parent / f"{MOVING}{path.name}"


def key_of(kind: str, spec: Mapping[str, Any], code: str, inputs: Mapping[str, str]) -> str:
    """The key of what a job is to make; `inputs` are keys by role."""
    return digest([kind, spec, code, inputs], KEY_DIGITS)


def sealed(manifest: Manifest) -> bytes:
    """A manifest as it is written, under its seal."""
    text = json.dumps({**manifest, "seal": UNSEALED}, sort_keys=True, indent=2, allow_nan=False) + "\n"
    seal = hashlib.sha256(text.encode()).hexdigest()
    return SEAL.sub(f'\\g<1>{seal}"', text).encode()


def _is_sealed(content: bytes) -> bool:
    """Whether the seal is that of all other bytes of a manifest."""
    text = content.decode()
    found = SEAL.search(text)
    unsealed = SEAL.sub(f'\\g<1>{UNSEALED}"', text, count=1)
    return bool(found) and hashlib.sha256(unsealed.encode()).hexdigest() == found[2]


def known_by(manifest: Manifest) -> tuple[str, str]:
    """Key and seal by which what is made of an artifact knows it. Of some only one file counts, not what made it."""
    kind = manifest["kind"]
    if kind not in COUNTS:
        return manifest["key"], manifest["seal"]
    return kind, manifest["files"][COUNTS[kind]]["sha256"]


def read_manifest(place: Path, kind: str | None = None) -> Manifest:
    """The manifest of an artifact, of the given kind if one is named; a damaged one is an `AssayError`."""
    path = manifest_path(place)
    try:
        content = path.read_bytes()
        manifest = json.loads(content)
        fault = _form_fault(manifest) or (None if _is_sealed(content) else "its seal is broken (edited or corrupt)")
    except (FileNotFoundError, NotADirectoryError):
        raise AssayError(f"{path}: not found; run the stage that makes it") from None
    except OSError as error:
        raise AssayError(f"{path}: cannot be read ({error.strerror}); delete it and run again") from None
    except (ValueError, RecursionError) as error:  # a text that is no JSON, or no text
        raise AssayError(f"{path}: not valid JSON ({error}); delete it and run again") from None
    if fault:
        raise AssayError(f"{path}: {fault}; delete it and run again")
    if kind is not None and manifest["kind"] != kind:
        raise AssayError(f"{path}: is a {manifest['kind']}, expected a {kind}; check the paths given")
    return manifest


def _form_fault(manifest: Any) -> str | None:
    """What tells a manifest to be none."""
    if not isinstance(manifest, dict) or "files" not in manifest:
        return "not an artifact's manifest"
    if "seal" not in manifest:
        return "has no seal (made by an earlier version of Assay?)"
    wrong = [name for name, form in FIELDS.items() if not isinstance(manifest.get(name), form)]
    return f"has no valid {wrong[0]}" if wrong else None


def faults(place: Path) -> list[str]:
    """What is wrong with the files of an artifact, all read whole: one line each, none if all match the manifest."""
    path = manifest_path(place)
    stored = read_manifest(path)["files"]
    found = (shape_fault(path, name, entry) or content_fault(path, name, entry) for name, entry in stored.items())
    return [*_unfinished(path), *(fault for fault in found if fault)]


def check(place: Path, kind: str | None = None) -> Manifest:
    """The manifest of an artifact whose files were all found whole; the first fault is an `AssayError`.

    Sizes and headers are looked at each time. A large file's SHA-256 is computed once per machine and remembered by the
    file's size, time and inode: damage that leaves these as they were is found by `faults` alone.
    """
    path = manifest_path(place)
    manifest = read_manifest(path, kind)
    for fault in _unfinished(path):
        raise AssayError(fault)
    for name, entry in manifest["files"].items():
        if fault := shape_fault(path, name, entry) or remembered_fault(path, name, entry):
            raise AssayError(fault)
    return manifest


def remembered_fault(path: Path, name: str, entry: Mapping[str, Any]) -> str | None:
    """What a file's SHA-256 tells to be wrong, unless just this large file was once found to be right."""
    seen = verified.look(path.parent / name)
    if verified.is_remembered(seen, entry["sha256"]):
        return None
    fault = content_fault(path, name, entry)
    if fault is None:
        verified.remember(seen, entry["sha256"])
    return fault


def shape_fault(path: Path, name: str, entry: Mapping[str, Any]) -> str | None:
    """What the size and the first bytes of a file of the artifact with this manifest tell to be wrong."""
    file, then = path.parent / name, f"delete {_whole(path)} and run again"
    if not file.is_file():
        return f"{file}: missing; {then}"
    if (size := file.stat().st_size) != entry["bytes"]:
        return f"{file}: {size} bytes, its manifest says {entry['bytes']} (truncated?); {then}"
    return f"{file}: {fault} (corrupt); {then}" if (fault := header_fault(file)) else None


def content_fault(path: Path, name: str, entry: Mapping[str, Any]) -> str | None:
    """What a file's SHA-256 tells to be wrong."""
    file = path.parent / name
    if (actual := sha256(file)) == entry["sha256"]:
        return None
    return (
        f"{file}: SHA-256 {actual[:12]}…, its manifest says {entry['sha256'][:12]}… (corrupt); "
        f"delete {_whole(path)} and run again"
    )


def _whole(path: Path) -> Path:
    """What to delete of the artifact with this manifest: its folder, where it has one of its own."""
    return path.parent if path.name == MANIFEST else path


def _unfinished(path: Path) -> list[str]:
    if moving(path).exists():
        return [f"{path}: was being replaced when its job was killed; run again"]
    return []
