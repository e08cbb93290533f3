"""What a report reads of a study's folder: the summary, manifests, scores, histories and benchmarks."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from assay.evaluation.black_box import COLUMNS as BLACK_BOX
from assay.evaluation.checks.finding import SEVERITY
from assay.evaluation.classes import CONFUSION, PER_CLASS
from assay.evaluation.resubmission import COLUMNS as RESUBMISSION
from assay.evaluation.resubmission import MEASURED
from assay.evaluation.scores import read_scores, read_slides
from assay.evaluation.summary import read_whole
from assay.evaluation.trainings import EQUIVALENCE, SPREAD
from assay.evaluation.trajectories import COLUMNS as TRAJECTORIES
from assay.files import AssayError
from assay.manifests import MANIFEST, read_manifest
from assay.planning.past import log_of
from assay.stacks import TABLE as TABLE_FILE
from assay.stacks import read_stack, read_table
from assay.warm.usage import read_usage

NAMES = ["classifier", "attack", "threat", "norm", "defence"]
NUMBERS = ["eps", "sigma", "images", "draws", "accuracy"]
BOUNDS = ["ci_low", "ci_high"]  # not numbers where there are too few slides
OPTIONAL = ["sensitivity", "specificity", "balanced_accuracy", "majority_accuracy", "worst_accuracy"]
SHARES = ["accuracy", *BOUNDS, *OPTIONAL]
TABLE = ["classifier", "attack", "threat", "norm", "eps"]
PAIRS = [*TABLE, "a", "a_sigma", "b", "b_sigma", "accuracy_a", "accuracy_b", "difference", "winner", "claim"]
TOLD = ["low", "high", "p_holm", "detectable"]  # of a pair; not numbers where there are too few slides
STRONGEST = [
    *["classifier", "norm", "eps", "defence", "sigma", "attack_count", "attacks", "accuracy", "chosen_for", "alone"],
    "direct",
]
WORST = ["classifier", "norm", "eps", "defence", "sigma", "all_or_nothing", "majority"]
# Not numbers where there is no clean cell, or where next to nothing was right.
WORST_CLEAN = ["clean", "kept", "kept_low", "kept_high", "majority_clean"]
FINDINGS = ["family", "check", "status", "meaning"]


@dataclass(frozen=True)
class Artifact:
    """An artifact of the study: its folder below `results/<study>`, its manifest, and the hash that others know."""

    path: str
    manifest: dict[str, Any]
    hash: str

    @property
    def stage(self) -> str:
        """The kind of artifact, named by the top folder: images, classifiers, …"""
        return self.path.split("/")[0]

    @property
    def name(self) -> str:
        return self.path.split("/", 1)[-1]


def read_summary(path: Path) -> pd.DataFrame:
    """The summary, whole: one row a cell. A truncated or foreign file is an `AssayError`."""
    table = read_table(path, (*NAMES, *NUMBERS, *BOUNDS, "scores"))
    table = table.reindex(columns=[*table.columns, *(column for column in OPTIONAL if column not in table)])
    table[NAMES] = table[NAMES].astype(object)
    for column in [*NUMBERS, *BOUNDS, *OPTIONAL]:
        table[column] = pd.to_numeric(table[column], errors="coerce")
    bad = table[BOUNDS].isna().sum(axis=1) == 1
    bad |= table[[*NAMES, *NUMBERS]].isna().any(axis=1) | ((table[SHARES] < 0) | (table[SHARES] > 1)).any(axis=1)
    if bad.any():
        line = int(np.flatnonzero(bad)[0]) + 2
        raise AssayError(f"{path}: line {line} is incomplete or out of range (truncated?); delete it and run again")
    if table.empty or not path.read_bytes().endswith(b"\n"):
        raise AssayError(f"{path}: ends too early (truncated?); delete it and run again")
    return table


def read_comparisons(path: Path) -> pd.DataFrame:
    """Every two defences of each table; empty where no table has two."""
    table = read_whole(path, [*PAIRS, *TOLD])
    return _require(table, table[PAIRS].notna().all(axis=1), path)


def read_strongest(path: Path) -> pd.DataFrame:
    """What the strongest attack on each image leaves, one row for each classifier, ball and defence; empty without
    attacks."""
    table = read_whole(path, [*STRONGEST, *BOUNDS])
    return _require(table, table[STRONGEST].notna().all(axis=1), path)


def read_worst_cases(path: Path) -> pd.DataFrame:
    """What is left by all attacks together, a row each classifier, ball and defence; empty without attacks."""
    table = read_whole(path, [*WORST, *BOUNDS, *WORST_CLEAN])
    return _require(table, table[WORST].notna().all(axis=1), path)


def read_resubmission(path: Path) -> pd.DataFrame:
    """What is left after up to so many submissions of an image; empty without stochastic defences under attack."""
    table = read_whole(path, RESUBMISSION)
    return _require(table, table[[name for name in RESUBMISSION if name not in MEASURED[1:]]].notna().all(axis=1), path)


def read_checks(path: Path) -> pd.DataFrame:
    """The findings of the checks, in their order; `subject` is empty where a finding is about nothing that there is."""
    table = read_whole(path, [*FINDINGS, "subject", "number", "threshold"])
    table["subject"] = table["subject"].fillna("").astype(str)
    for column in ("number", "threshold"):
        table[column] = pd.to_numeric(table[column], errors="coerce")
    return _require(table, table[FINDINGS].notna().all(axis=1) & table["status"].isin(SEVERITY), path)


def read_per_class(path: Path) -> pd.DataFrame:
    """Accuracy by cell and class, whose name is in `name`."""
    table = read_whole(path, PER_CLASS)
    return _require(table, table[PER_CLASS[:-3]].notna().all(axis=1), path).rename(columns={"class": "name"})


def read_confusion(path: Path) -> pd.DataFrame:
    """The shares of the answers by cell and true class."""
    table = read_whole(path, CONFUSION)
    return _require(table, table[CONFUSION].notna().all(axis=1), path)


def read_trajectories(path: Path) -> pd.DataFrame:
    """Accuracy by attack step; without rows where no attack has a trajectory."""
    return _read_optional(path, TRAJECTORIES)


def read_black_box(path: Path) -> list[Any]:
    """What is left under adversarial images of other classifiers, by defender; empty where there are none."""
    return list(_read_optional(path, BLACK_BOX).itertuples())


def read_seeds(path: Path) -> list[Any]:
    """How far the trainings of a classifier differ, by cell; empty where each was trained once."""
    return list(_read_optional(path, SPREAD).itertuples())


def read_equivalence(path: Path) -> list[Any]:
    """Which classifiers are as good as the study's reference, by cell; empty where it has none."""
    return list(_read_optional(path, EQUIVALENCE).itertuples())


def _read_optional(path: Path, columns: list[str]) -> pd.DataFrame:
    """A table that is without rows, or not there, where the study asks for nothing that would fill it."""
    return read_whole(path, columns) if path.is_file() else pd.DataFrame(columns=columns)


def read_untrained(path: Path) -> list[tuple[str, int]]:
    """Why cells could not be measured, and how many for each reason; none where there is no such table."""
    if not path.is_file():
        return []
    return list(Counter(read_whole(path, ("why",))["why"]).items())


def _require(table: pd.DataFrame, whole: pd.Series, path: Path) -> pd.DataFrame:
    """The table, if all of its rows are whole."""
    if not whole.all():
        line = int(np.flatnonzero(~whole)[0]) + 2
        raise AssayError(f"{path}: line {line} is incomplete (truncated?); delete it and run again")
    return table


def pick(table: pd.DataFrame, **where: Any) -> pd.DataFrame:
    """The rows in which every named column has the given value."""
    chosen = np.ones(len(table), bool)
    for column, value in where.items():
        chosen &= (table[column] == value).to_numpy()
    return table[chosen]


def read_known_slides(results: Path) -> dict[str, str] | None:
    """The slides of the test images by id; None where they are not known, or the images are gone."""
    images = results / "images/test"
    return read_slides(images) if (images / TABLE_FILE).is_file() else None


def read_artifacts(results: Path) -> list[Artifact]:
    """All artifacts of a study, in the order of their paths."""
    folders = sorted(path.parent for path in results.glob(f"**/{MANIFEST}"))
    return [
        Artifact(folder.relative_to(results).as_posix(), manifest, manifest["seal"])
        for folder in folders
        for manifest in [read_manifest(folder)]
    ]


def read_benchmarks(folder: Path) -> pd.DataFrame:
    """Seconds and peak memory (MB) of every job that Snakemake timed, with its rule.

    The report's own job is left out: its times are those of an earlier run.
    """
    columns = ["s", "max_rss"]
    tables = []
    for path in sorted(folder.glob("**/*.tsv")):
        rule = path.relative_to(folder).parts[0].removesuffix(".tsv")
        if rule == "report":
            continue
        table = pd.read_csv(path, sep="\t").reindex(columns=columns).apply(pd.to_numeric, errors="coerce")
        if usage := read_usage(log_of(path)):
            table["max_rss"] = usage.memory
        tables.append(table.assign(rule=rule))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=[*columns, "rule"])


def read_probabilities(folder: Path) -> pd.DataFrame | None:
    """Class probabilities of draw 0, one row an image (index: id), and its label; None where there are no scores."""
    if not (folder / MANIFEST).is_file():
        return None
    scores = read_scores(folder)
    logits = scores.logits[:, 0].astype(float)
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return pd.DataFrame(odds / odds.sum(axis=1, keepdims=True), index=scores.ids).assign(label=scores.labels)


def read_images(folder: Path, ids: list[str]) -> np.ndarray | None:
    """Images of the given ids, float in [0,1], of draw 0 if there are draws; None where there is no such stack."""
    if not (folder / MANIFEST).is_file():
        return None
    stack = read_stack(folder)
    table = pick(stack.table, draw=0) if "draw" in stack.table else stack.table
    rows = pd.Series(table.index, index=table["id"]).reindex(ids)
    if rows.isna().any():
        return None
    images = stack.images[rows.to_numpy(int)]
    return images / np.iinfo(images.dtype).max
