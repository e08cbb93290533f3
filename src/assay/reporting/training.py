"""How the networks were trained: their curves, and the diffusions' sample sheets."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from markupsafe import Markup

from assay.reporting.figures import CURVE_COLOURS, training_curve
from assay.reporting.read import Artifact
from assay.reporting.words import percent
from assay.stacks import read_table

MAX_POINTS = 300
LOSSES = {"train": "train_loss", "validation": "validation_loss"}
ACCURACIES = {"validation": "validation_accuracy", "validation under PGD": "robust_validation_accuracy"}


@dataclass(frozen=True)
class Training:
    """One network: its facts in words, its curves, their colours and, of a diffusion, its samples as a data URI."""

    name: str
    kind: str
    facts: str
    curves: list[tuple[str, Markup]]
    legend: dict[str, str]
    samples: str | None


def trainings(results: Path, artifacts: list[Artifact]) -> list[Training]:
    """All classifiers, then all diffusions."""
    found = [artifact for artifact in artifacts if artifact.stage in ("classifiers", "diffusions")]
    return [_training(results / artifact.path, artifact) for artifact in found]


def _training(folder: Path, artifact: Artifact) -> Training:
    samples = folder / "samples.png"
    history = _history(folder / "history.csv")
    return Training(
        name=artifact.name,
        kind=artifact.stage.removesuffix("s"),
        facts=_facts(artifact),
        curves=_curves(artifact, history),
        legend={
            name: colour
            for name, colour in CURVE_COLOURS.items()
            if {LOSSES.get(name), ACCURACIES.get(name)} & set(history)
        },
        samples=data_uri(samples.read_bytes()) if samples.is_file() else None,
    )


def _history(path: Path) -> pd.DataFrame:
    """A network's history; empty where it was trained elsewhere."""
    return read_table(path, ("train_loss", "validation_loss")) if path.is_file() else pd.DataFrame()


def _facts(artifact: Artifact) -> str:
    facts = artifact.manifest.get("facts", {})
    said = []
    if "parameters" in facts:
        said.append(f"{facts['parameters'] / 1e6:.2f} million parameters")
    if "validation_accuracy" in facts:
        said.append(f"right on {percent(facts['validation_accuracy'])} of the validation images")
    if "robust_validation_accuracy" in facts:
        said.append(
            f"and under PGD on {percent(facts['robust_validation_accuracy'])} (epoch {facts['epoch']} was kept)"
        )
    if "validation_loss" in facts:
        said.append(f"validation loss {facts['validation_loss']:.4g}")
    if "published" in (spec := artifact.manifest.get("spec", {}).get(artifact.stage.removesuffix("s"), {})):
        said.append(f"published as {spec['published']}")
    said += facts.get("warnings", [])
    return ", ".join(said)


def _curves(artifact: Artifact, history: pd.DataFrame) -> list[tuple[str, Markup]]:
    if history.empty:
        return []
    x = history.columns[0]
    found = []
    for y, columns in (("loss", LOSSES), ("accuracy (%)", ACCURACIES)):
        curves = {name: _points(history, x, column) for name, column in columns.items() if column in history}
        curves = {name: points for name, points in curves.items() if len(points[0])}
        if y.startswith("accuracy"):
            curves = {name: (at, 100 * values) for name, (at, values) in curves.items()}
        if curves:
            title = f"{artifact.name}: {y.removesuffix(' (%)')}"
            found.append((title, training_curve(title, curves, x, y, f"{artifact.path}-{y[:4]}".replace("/", "-"))))
    return found


def _points(history: pd.DataFrame, x: str, column: str) -> tuple[np.ndarray, np.ndarray]:
    """A column where it was measured, averaged over neighbours where that is more than a figure can show."""
    known = history[[x, column]].dropna().to_numpy(float)
    parts = np.array_split(known, min(len(known), MAX_POINTS)) if len(known) else []
    means = np.array([part.mean(axis=0) for part in parts]).reshape(-1, 2)
    return means[:, 0], means[:, 1]


def data_uri(png: bytes) -> str:
    """A PNG as an address that holds the picture itself."""
    return "data:image/png;base64," + base64.b64encode(png).decode()
