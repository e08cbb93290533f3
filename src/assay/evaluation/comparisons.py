"""Who beats whom: every two defences under the same attack, on the same images, all of a study counted together."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from assay.evaluation.statistics.multiple import holm
from assay.evaluation.statistics.paired import paired_difference, paired_test
from assay.evaluation.statistics.power import detectable
from assay.evaluation.summary import Judged, on_shared_images
from assay.planning.power import LEVEL

TABLE = ["classifier", "attack", "threat", "norm", "eps"]  # cells that agree in these are compared
COLUMNS = [
    *["study", *TABLE, "a", "a_sigma", "b", "b_sigma", "accuracy_a", "accuracy_b"],
    *["difference", "low", "high", "p", "p_holm", "winner", "detectable"],
]


def compare_cells(study: str, cells: Sequence[Judged]) -> pd.DataFrame:
    """Every pair of defences under each attack: accuracy of b less that of a, its interval, and the test's p-value.

    `p_holm` is Holm's over all comparisons of the study: that is the family a reader searches for the best defence, and
    a winner anywhere in it is wrong with a chance of LEVEL at most. `winner` is `a`, `b`, or `none` where p_holm is
    above LEVEL. `detectable` is the smallest difference that the pair would have shown with a chance of 80 %, given how
    much its images differ, at the level that Holm's method leaves to pairs that are not significant. Where the images
    come from too few slides the interval, p-values and `detectable` are not numbers, and there is no winner.
    """
    tables: dict[tuple, list[Judged]] = {}
    for cell in cells:
        tables.setdefault(cell.key(*TABLE), []).append(cell)
    pairs = [(key, *on_shared_images(pair)) for key, found in tables.items() for pair in combinations(found, 2)]
    if not pairs:
        return pd.DataFrame(columns=COLUMNS)
    table = pd.DataFrame([_compare(study, *pair) for pair in pairs])
    known = table["p"].notna()
    table["p_holm"] = np.nan
    table.loc[known, "p_holm"] = holm(table.loc[known, "p"].to_numpy())
    better = table["difference"].gt(0).map({True: "b", False: "a"})
    table["winner"] = better.where(table["p_holm"] <= LEVEL, "none")
    level = LEVEL / max(int((known & (table["winner"] == "none")).sum()), 1)
    table["detectable"] = [detectable(a.correct, b.correct, level, a.clusters) for _, a, b in pairs]
    return table[COLUMNS]


def _compare(study: str, key: tuple, a: Judged, b: Judged) -> dict:
    difference, low, high = paired_difference(a.correct, b.correct, clusters=a.clusters)
    return {
        "study": study,
        **dict(zip(TABLE, key, strict=True)),
        "a": a.row["defence"],
        "a_sigma": a.row["sigma"],
        "b": b.row["defence"],
        "b_sigma": b.row["sigma"],
        "accuracy_a": a.accuracy,
        "accuracy_b": b.accuracy,
        "difference": difference,
        "low": low,
        "high": high,
        "p": paired_test(a.correct, b.correct, a.clusters),
    }
