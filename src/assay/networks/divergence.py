"""Networks that have no weights, because a training diverged and the study asked for a record of that."""

from __future__ import annotations

from pathlib import Path

from assay.artifacts import UNMADE
from assay.files import AssayError
from assay.manifests import read_manifest


def require_weights(folder: Path) -> None:
    """Refuse the folder of a network whose training diverged, or that of a network which it was to start from."""
    facts = read_manifest(folder)["facts"]
    if "diverged" in facts:
        raise AssayError(
            f"{folder}: its training diverged at step {facts['diverged']['step']} (on_divergence: record); "
            f"it has no weights: lower its learning_rate, or remove what uses it from the study"
        )
    if UNMADE in facts:
        raise AssayError(f"{folder}: {facts[UNMADE]}; it has no weights: remove what uses it from the study")
