"""Who beats whom: every two defences under the same attack, on the same images, all of a table counted together."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import pandas as pd

from assay.evaluation.statistics.multiple import holm
from assay.evaluation.statistics.paired import paired_difference, sign_flip
from assay.evaluation.summary import Judged
from assay.files import digest

TABLE = ["classifier", "attack", "threat", "norm", "eps"]  # cells that agree in these make one table
LEVEL = 0.05  # of a table: the chance that it names any winner where none is better
COLUMNS = [
    *["study", *TABLE, "a", "a_sigma", "b", "b_sigma", "accuracy_a", "accuracy_b"],
    *["difference", "low", "high", "p", "p_holm", "winner"],
]


def compare_cells(study: str, cells: Sequence[Judged], seed: int = 0) -> pd.DataFrame:
    """Every pair of defences of each table: accuracy of b less that of a, its interval, the exact test's p-value
    and Holm's over the table; `winner` is `a`, `b`, or `none` where p_holm is above LEVEL."""
    tables: dict[tuple, list[Judged]] = {}
    for cell in cells:
        tables.setdefault(cell.key(*TABLE), []).append(cell)
    found = [_compare(study, key, members, seed) for key, members in tables.items() if len(members) > 1]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=COLUMNS)


def _compare(study: str, key: tuple, members: Sequence[Judged], seed: int) -> pd.DataFrame:
    rows = []
    for a, b in combinations(members, 2):
        own_seed = int(digest([seed, "compare", a.row["scores"], b.row["scores"]]), 16)
        difference, low, high = paired_difference(a.correct, b.correct, own_seed, clusters=a.clusters)
        rows.append(
            {
                "study": study,
                **dict(zip(TABLE, key, strict=True)),
                "a": a.row["defence"],
                "a_sigma": a.row["sigma"],
                "b": b.row["defence"],
                "b_sigma": b.row["sigma"],
                "accuracy_a": a.measures["accuracy"],
                "accuracy_b": b.measures["accuracy"],
                "difference": difference,
                "low": low,
                "high": high,
                "p": sign_flip(a.correct, b.correct, a.clusters),
            }
        )
    table = pd.DataFrame(rows)
    table["p_holm"] = holm(table["p"].to_numpy())
    better = table["difference"].gt(0).map({True: "b", False: "a"})
    table["winner"] = better.where(table["p_holm"] <= LEVEL, "none")
    return table[COLUMNS]
