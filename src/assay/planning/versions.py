"""Versions of libraries: those that a study's artifacts were made with, and those that would make others now."""

from __future__ import annotations

import importlib.metadata
from collections import Counter
from collections.abc import Iterable

from assay.manifests import Manifest
from assay.words import count

PYTHON = "python"  # a container may have another, which changes nothing


def other_versions(manifests: Iterable[Manifest]) -> list[str]:
    """A line for each version of a library that artifacts were made with and that is not installed here."""
    found: Counter[tuple[str, str]] = Counter()
    for manifest in manifests:
        found.update((name, version) for name, version in manifest.get("versions", {}).items() if name != PYTHON)
    return [
        f"{name}: {count(made, 'artifact')} made with {version}, here is {here}"
        for (name, version), made in sorted(found.items())
        if (here := _installed(name)) != version
    ]


def _installed(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "none"
