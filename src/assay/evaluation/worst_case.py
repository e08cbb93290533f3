"""All or nothing: an image counts only if it is right under every attack and in every draw."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from assay.evaluation.statistics.intervals import mean_interval
from assay.evaluation.statistics.ratios import kept_interval
from assay.evaluation.summary import Judged, on_shared_images

GROUP = ["classifier", "norm", "eps", "defence", "sigma"]
COLUMNS = [
    *["study", *GROUP, "images", "draws", "attacks", "all_or_nothing", "ci_low", "ci_high", "clean", "kept"],
    *["kept_low", "kept_high", "majority", "majority_low", "majority_high", "majority_clean", "majority_kept"],
    *["strongest", "strongest_worst"],
]
NAN = float("nan")


def worst_cases(study: str, cells: Sequence[Judged]) -> pd.DataFrame:
    """One row for each classifier, ball and defence, over all adversarial stacks of that ball, on the images that they
    share.

    `all_or_nothing` counts an image that every draw of every attack gets right, `majority` one that the vote over the
    draws gets right under every attack. Each stands beside the same defence's clean images: `clean` by as many draws,
    as the draws of one image are the same noise under every attack, and `kept` is the share of it that is left.
    `strongest` is the attack that alone leaves least by the same count, `strongest_worst`.
    """
    clean = {cell.key("classifier", "defence", "sigma"): cell for cell in cells if cell.clean}
    groups: dict[tuple, list[Judged]] = {}
    for cell in cells:
        if not cell.clean:
            groups.setdefault(cell.key(*GROUP), []).append(cell)
    rows = [_worst_case(key, members, clean.get((key[0], *key[3:]))) for key, members in groups.items()]
    return pd.DataFrame([{"study": study, **row} for row in rows], columns=COLUMNS)


def _worst_case(key: tuple, members: Sequence[Judged], control: Judged | None) -> dict:
    shared = on_shared_images([*members, control] if control else members)
    members, control = shared[: len(members)], shared[-1] if control else None
    clusters = members[0].clusters
    every_draw = np.stack([cell.correct.all(axis=1) for cell in members])
    votes = np.stack([cell.majority_correct for cell in members])
    left, voted = every_draw.all(axis=0).astype(float), votes.all(axis=0).astype(float)
    all_or_nothing, low, high = mean_interval(left, clusters=clusters)
    majority, majority_low, majority_high = mean_interval(voted, clusters=clusters)
    clean, clean_votes, share, vote_share = NAN, NAN, (NAN,) * 3, NAN
    if control:
        clean_left, clean_voted = control.correct.all(axis=1).astype(float), control.majority_correct.astype(float)
        clean, clean_votes = float(clean_left.mean()), float(clean_voted.mean())
        share = kept_interval(left, clean_left, (1, 1), clusters=clusters)
        vote_share = kept_interval(voted, clean_voted, (1, 1), clusters=clusters)[0]
    alone = every_draw.mean(axis=1)
    return {
        **dict(zip(GROUP, key, strict=True)),
        "images": len(members[0].correct),
        "draws": max(cell.correct.shape[1] for cell in members),
        "attacks": " ".join(str(cell.row["attack"]) for cell in members),
        "all_or_nothing": all_or_nothing,
        "ci_low": low,
        "ci_high": high,
        "clean": clean,
        "kept": share[0],
        "kept_low": share[1],
        "kept_high": share[2],
        "majority": majority,
        "majority_low": majority_low,
        "majority_high": majority_high,
        "majority_clean": clean_votes,
        "majority_kept": vote_share,
        "strongest": members[int(alone.argmin())].row["attack"],
        "strongest_worst": float(alone.min()),
    }
