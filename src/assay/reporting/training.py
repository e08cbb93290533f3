"""How the networks were trained: their curves, and the diffusions' sample sheets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from markupsafe import Markup

from assay.artifacts import UNMADE
from assay.reporting.charts.legend import Key, legend
from assay.reporting.charts.plot import Line, Point, numbers, plot, shares
from assay.reporting.pictures import data_uri
from assay.reporting.read import Artifact
from assay.reporting.words import percent
from assay.stacks import read_table

MAX_POINTS = 300
COLOURS = ("c1", "c2", "c3", "c4", "c5", "c6")


@dataclass(frozen=True)
class Training:
    """One network: its facts in words, its curves with their legends and, of a diffusion, its samples."""

    name: str
    kind: str
    facts: str
    curves: list[tuple[str, Markup, Markup]]
    samples: str | None


def trainings(results: Path, artifacts: list[Artifact]) -> list[Training]:
    """All classifiers, then all diffusions."""
    found = [artifact for artifact in artifacts if artifact.stage in ("classifiers", "diffusions")]
    return [_training(results / artifact.path, artifact) for artifact in found]


def _training(folder: Path, artifact: Artifact) -> Training:
    samples, history = folder / "samples.png", folder / "history.csv"
    return Training(
        name=artifact.name,
        kind=artifact.stage.removesuffix("s"),
        facts=_facts(artifact),
        curves=_curves(artifact.name, read_table(history, ())) if history.is_file() else [],
        samples=data_uri(samples.read_bytes()) if samples.is_file() else None,
    )


def _facts(artifact: Artifact) -> str:
    facts = artifact.manifest.get("facts", {})
    told = []
    if "diverged" in facts:
        told.append(f"could not be trained: diverged at step {facts['diverged']['step']}")
    if UNMADE in facts:
        told.append(f"was not trained, for {facts[UNMADE]}")
    if "parameters" in facts:
        told.append(f"{facts['parameters'] / 1e6:.2f} million parameters")
    if "validation_accuracy" in facts:
        told.append(f"validation accuracy {percent(facts['validation_accuracy'])}")
    if "robust_validation_accuracy" in facts:
        unit = "epoch" if "epoch" in facts else "step"
        told.append(f"under PGD {percent(facts['robust_validation_accuracy'])} ({unit} {facts[unit]} was kept)")
    if "validation_loss" in facts:
        told.append(f"validation loss {facts['validation_loss']:.4g}")
    if "published" in (spec := artifact.manifest.get("spec", {}).get(artifact.stage.removesuffix("s"), {})):
        told.append(f"published as {spec['published']}")
    return ", ".join([*told, *facts.get("warnings", [])])


def _curves(name: str, history: pd.DataFrame) -> list[tuple[str, Markup, Markup]]:
    """The history's losses in one figure and its accuracies in another; its first column counts epochs or steps."""
    x = history.columns[0]
    found = []
    for what in ("loss", "accuracy"):
        columns = [column for column in history if column.endswith(f"_{what}") and history[column].notna().any()]
        if not columns:
            continue
        called = {column: column.removesuffix(f"_{what}").replace("_", " ") for column in columns}
        lines = [
            _line(_points(history, x, column), colour, f"{called[column]} {what}", x, what)
            for column, colour in zip(columns, COLOURS, strict=False)
        ]
        every = [point.y for line in lines for point in line.points]
        axis = shares() if what == "accuracy" else numbers(what, every, log=True)
        title = f"{name}: {what}"
        across = numbers(x, [point.x for line in lines for point in line.points])
        keys = legend([Key(called[column], line.colour) for column, line in zip(columns, lines, strict=False)])
        found.append((title, plot(title, lines, across, axis), keys))
    return found


def _line(points: np.ndarray, colour: str, name: str, x: str, what: str) -> Line:
    shown = [percent(y) if what == "accuracy" else f"{y:.4g}" for _, y in points]
    labels = [f"{name} at {x} {at:.6g}: {value}" for (at, _), value in zip(points, shown, strict=True)]
    found = [Point(at, y, label) for (at, y), label in zip(points.tolist(), labels, strict=True)]
    return Line(found, colour, dense=len(points) > 20)


def _points(history: pd.DataFrame, x: str, column: str) -> np.ndarray:
    """A column where it was measured (n, 2), averaged over neighbours where that is more than a figure can show."""
    known = history[[x, column]].dropna().to_numpy(float)
    known = known[np.isfinite(known).all(axis=1)]
    parts = np.array_split(known, min(len(known), MAX_POINTS)) if len(known) else []
    return np.array([part.mean(axis=0) for part in parts]).reshape(-1, 2)
