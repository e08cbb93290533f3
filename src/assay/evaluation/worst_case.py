"""All or nothing: an image counts only if it is right under every attack and in every draw."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from assay.evaluation.statistics.intervals import mean_interval
from assay.evaluation.statistics.measures import kept
from assay.evaluation.summary import Judged

GROUP = ["classifier", "norm", "eps", "defence", "sigma"]
COLUMNS = [
    *["study", *GROUP, "images", "draws", "attacks", "all_or_nothing", "ci_low", "ci_high", "clean", "kept"],
    *["majority", "majority_low", "majority_high", "majority_clean", "majority_kept", "strongest", "strongest_worst"],
]
NAN = float("nan")


def worst_cases(study: str, cells: Sequence[Judged]) -> pd.DataFrame:
    """One row for each classifier, ball and defence, over all adversarial stacks of that ball.

    `all_or_nothing` counts an image that every draw of every attack gets right, `majority` one that the vote over the
    draws gets right under every attack. Each stands beside the same defence's clean images: `clean` by as many draws,
    as the draws of one image are the same noise under every attack. `strongest` is the attack that alone leaves least
    by the same count, `strongest_worst`.
    """
    clean = {cell.key("classifier", "defence", "sigma"): cell for cell in cells if cell.clean}
    groups: dict[tuple, list[Judged]] = {}
    for cell in cells:
        if not cell.clean:
            groups.setdefault(cell.key(*GROUP), []).append(cell)
    rows = [_worst_case(key, members, clean.get((key[0], *key[3:]))) for key, members in groups.items()]
    return pd.DataFrame([{"study": study, **row} for row in rows], columns=COLUMNS)


def _worst_case(key: tuple, members: Sequence[Judged], control: Judged | None) -> dict:
    clusters = members[0].clusters
    every_draw = np.stack([cell.correct.all(axis=1) for cell in members])
    votes = np.stack([cell.majority_correct for cell in members])
    left, low, high = mean_interval(every_draw.all(axis=0).astype(float), clusters=clusters)
    voted, votes_low, votes_high = mean_interval(votes.all(axis=0).astype(float), clusters=clusters)
    clean = float(control.correct.all(axis=1).mean()) if control else NAN
    clean_votes = float(control.majority_correct.mean()) if control else NAN
    alone = every_draw.mean(axis=1)
    return {
        **dict(zip(GROUP, key, strict=True)),
        "images": len(members[0].correct),
        "draws": max(cell.correct.shape[1] for cell in members),
        "attacks": " ".join(str(cell.row["attack"]) for cell in members),
        "all_or_nothing": left,
        "ci_low": low,
        "ci_high": high,
        "clean": clean,
        "kept": kept(left, clean),
        "majority": voted,
        "majority_low": votes_low,
        "majority_high": votes_high,
        "majority_clean": clean_votes,
        "majority_kept": kept(voted, clean_votes),
        "strongest": members[int(alone.argmin())].row["attack"],
        "strongest_worst": float(alone.min()),
    }
