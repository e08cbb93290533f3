"""Black box, all or nothing (Xie et al. 2019): adversarial images that were made on other networks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from assay.evaluation.statistics.intervals import mean_interval
from assay.evaluation.summary import Judged, on_shared_images
from assay.evaluation.worst_case import GROUP
from assay.planning.cells import OTHER

LEFT_OUT = 2  # attackers that the paper takes away from each defender: those that leave least of it
COLUMNS = [
    *["study", *GROUP, "images", "attackers", "names", "all_or_nothing", "ci_low", "ci_high"],
    *["left_out", "of_the_others", "others_low", "others_high", "clean"],
]


def black_box(study: str, cells: Sequence[Judged]) -> pd.DataFrame:
    """One row for each classifier, ball and defence that met adversarial images made on other classifiers, on the
    images that all of them share.

    An image counts that every draw under every attacker gets right: mean_i prod_a 1[f(x_i^a) = y_i]. `of_the_others` is
    the same without the attackers that leave least of this defender, two of them where more are left then, and
    `clean` the share of the clean images that every draw gets right.
    """
    clean = {cell.key("classifier", "defence", "sigma"): cell for cell in cells if cell.clean}
    groups: dict[tuple, list[Judged]] = {}
    for cell in cells:
        if OTHER in str(cell.row["attack"]):
            groups.setdefault(cell.key(*GROUP), []).append(cell)
    rows = [
        {
            "study": study,
            **dict(zip(GROUP, key, strict=True)),
            **_of_defender(on_shared_images([clean[key[0], *key[3:]], *members])),
        }
        for key, members in groups.items()
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _of_defender(cells: Sequence[Judged]) -> dict:
    """The row of a defender's clean cell and those of its attackers, all on the same images."""
    control, *members = cells
    right = np.stack([cell.correct.all(axis=1) for cell in members])
    order = right.mean(axis=1).argsort(kind="stable")
    worst, others = np.split(order, [LEFT_OUT if len(members) > LEFT_OUT else 0])
    names, clusters = [str(cell.row["attack"]) for cell in members], members[0].clusters
    every = mean_interval(right.all(axis=0).astype(float), clusters=clusters)
    fewer = mean_interval(right[others].all(axis=0).astype(float), clusters=clusters)
    return {
        "images": right.shape[1],
        "attackers": len(members),
        "names": " ".join(names),
        **dict(zip(("all_or_nothing", "ci_low", "ci_high"), every, strict=True)),
        "left_out": " ".join(names[place] for place in worst) or "none",
        **dict(zip(("of_the_others", "others_low", "others_high"), fewer, strict=True)),
        "clean": float(control.correct.all(axis=1).mean()),
    }
