"""Accuracy against the number of attack steps, out of one run of each attack (Xie et al. 2019, figure 6)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd

from assay.evaluation.scores import clusters_of
from assay.evaluation.statistics.intervals import mean_interval
from assay.evaluation.untrained import why_unmade
from assay.manifests import check
from assay.planning.cells import Attacked
from assay.stacks import TABLE, TRAJECTORY, read_table
from assay.study.model import Study

COLUMNS = [
    *["study", "classifier", "attack", "norm", "eps", "step", "images"],
    *["accuracy", "ci_low", "ci_high", "hit", "hit_low", "hit_high"],
]


def trajectories(study: Study, stacks: Mapping[Attacked, Path], slides: dict[str, str] | None) -> pd.DataFrame:
    """One row for each of these stacks and each step that its attack noted.

    `hit` is the share of the images that a targeted attack has moved to their targets; of another attack, no number.
    """
    rows = [
        {
            "study": study.study,
            "classifier": attacked.classifier,
            "attack": attacked.attack,
            "norm": study.attacks[attacked.attack].ball,
            "eps": attacked.eps,
            **row,
        }
        for attacked, folder in stacks.items()
        if not why_unmade(folder)
        for row in _of_stack(folder, slides)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _of_stack(folder: Path, slides: dict[str, str] | None) -> Iterator[dict[str, float]]:
    """The numbers of one stack, step by step."""
    check(folder, "stack")
    classes, table = read_table(folder / TRAJECTORY, ("id",)), read_table(folder / TABLE, ("id", "label"))
    clusters = clusters_of(table["id"].to_numpy(), slides)
    goals = {("accuracy", "ci_low", "ci_high"): "label", ("hit", "hit_low", "hit_high"): "target"}
    for step in classes.columns[1:]:
        row = {"step": int(step), "images": len(table)}
        for names, goal in goals.items():
            if goal in table:
                reached = (classes[step] == table[goal]).to_numpy(float)
                row |= zip(names, mean_interval(reached, clusters=clusters), strict=True)
        yield row
