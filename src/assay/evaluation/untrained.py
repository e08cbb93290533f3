"""Cells that could not be measured, because a network that they need could not be trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from assay.artifacts import UNMADE
from assay.evaluation.summary import KEYS
from assay.manifests import read_manifest

COLUMNS = ["study", *KEYS, "why", "scores"]


def why_unmade(place: Path) -> str | None:
    """Why there is nothing in an artifact; None where there is."""
    return read_manifest(place)["facts"].get(UNMADE)


def measured(rows: Sequence[Mapping[str, Any]], scores: Path) -> list[Mapping[str, Any]]:
    """The rows of the cells that were measured; `scores` is the folder of all scores."""
    return [row for row in rows if why_unmade(scores / row["scores"]) is None]


def untrained(study: str, rows: Sequence[Mapping[str, Any]], scores: Path) -> pd.DataFrame:
    """One row for each other cell: the KEYS, and why it could not be measured."""
    found = [{"study": study, **row, "why": why} for row in rows if (why := why_unmade(scores / row["scores"]))]
    return pd.DataFrame(found, columns=COLUMNS)
