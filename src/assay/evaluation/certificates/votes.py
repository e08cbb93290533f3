"""What the certificates of a smoothed classifier are told from: how many draws each class got, image by image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from assay.artifacts import Draft
from assay.files import AssayError
from assay.manifests import check
from assay.stacks import TABLE, read_table

SELECTION, VOTES = "selection.npy", "votes.npy"
HITS, DRAWS, VERDICT = "hits", "draws", "verdict"  # columns of the sequential test


@dataclass(frozen=True)
class Votes:
    """The votes of a smoothed classifier: integers (images, classes), of the draws that choose the answer and of those
    that bound it. `table` has an id and a label for each image and, where there was one, what the sequential test did.

    `sigma` is the noise where it was added; there a change of the image is up to `stretch` times as long.
    """

    table: pd.DataFrame
    selection: np.ndarray
    votes: np.ndarray
    classes: Sequence[str]
    sigma: float
    stretch: float
    side: int

    @property
    def labels(self) -> np.ndarray:
        return self.table["label"].to_numpy()

    @property
    def level(self) -> float:
        """The noise in units of the image's own changes: what a radius is a multiple of."""
        return self.sigma / self.stretch


def write_votes(draft: Draft, found: Votes) -> None:
    """Write votes into an artifact's draft."""
    np.save(draft.path(SELECTION), found.selection.astype("<i4"), allow_pickle=False)
    np.save(draft.path(VOTES), found.votes.astype("<i4"), allow_pickle=False)
    found.table.to_csv(draft.path(TABLE), index=False, lineterminator="\n")
    draft.facts |= {
        "classes": list(found.classes),
        "sigma": found.sigma,
        "stretch": found.stretch,
        "side": found.side,
    }


def read_votes(folder: Path) -> Votes:
    """The votes in an artifact's folder, whole."""
    facts = check(folder, "certificates")["facts"]
    table = read_table(folder / TABLE, ("id", "label"))
    selection, votes = (_read(folder, name, (len(table), len(facts["classes"]))) for name in (SELECTION, VOTES))
    return Votes(table, selection, votes, facts["classes"], facts["sigma"], facts["stretch"], facts["side"])


def _read(folder: Path, name: str, shape: tuple[int, int]) -> np.ndarray:
    try:
        found = np.load(folder / name, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise AssayError(f"{folder / name}: not a readable array ({error}); delete {folder} and run again") from None
    if found.shape != shape or found.dtype.kind != "i" or found.min() < 0 or len(set(found.sum(axis=1))) != 1:
        raise AssayError(
            f"{folder / name}: is no table of {shape[0]} images by {shape[1]} classes with as many draws for each; "
            f"delete {folder} and run again"
        )
    return found
