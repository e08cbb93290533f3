"""The strongest attack on each image: what is left of a defence where every image meets the attack that suits it best.

The accuracy is that of one fresh draw of the defence, whose noise no attacker knows. If an image's attack were chosen
on the draws that it is judged on, the luck of those draws would count as the attack's: so it is chosen on some draws
and judged on others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from assay.evaluation.knowledge import counts, is_direct
from assay.evaluation.scores import Scores, read_scores
from assay.evaluation.statistics.intervals import accuracy_interval
from assay.evaluation.summary import Judged, on_shared_images
from assay.evaluation.worst_case import GROUP
from assay.planning.cells import OTHER, attack_of, defends
from assay.study.model import Study

COLUMNS = [
    *["study", *GROUP, "images", "draws", "attack_count", "attacks", "accuracy", "ci_low", "ci_high", "chosen_for"],
    *["alone", "alone_accuracy", "direct"],
]
EACH, ALL = "each image", "all images"  # what an attack is chosen for
BLOCK = 1 << 22  # logits that are held at a time


def strongest_attacks(study: Study, cells: Sequence[Judged], scores: Path) -> pd.DataFrame:
    """One row for each classifier, ball and defence, over the attacks in that ball that count, on the images that all
    of them were made on.

    `accuracy` is the share of right answers where each image meets its strongest attack, and `alone` the attack that
    leaves least, `alone_accuracy`, where it is the only one. `direct` is 1 where an attack followed gradients through
    just this defence, with fresh noise, or where the defence does nothing, and else 0: then the accuracy is an upper
    bound. `scores` is the folder of all scores.
    """
    groups: dict[tuple, list[Judged]] = {}
    for cell in cells:
        if not cell.clean and counts(attack_of(study, cell.row["attack"])):
            groups.setdefault(cell.key(*GROUP), []).append(cell)
    rows = [
        {"study": study.study, **dict(zip(GROUP, key, strict=True)), **_strongest(study, members, scores)}
        for key, members in groups.items()
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def judged_by_choice(right: np.ndarray, margins: np.ndarray) -> np.ndarray:
    """The verdicts (images, draws) on each image under the attack that is chosen for it on its other draws.

    `right` (attacks, images, draws) are the verdicts under each attack, `margins` (attacks, images, draws) by how much
    the right class's logit exceeds the highest other one. For each draw the attack is chosen by how many of the others
    are right, and among equals by their mean margin. The mean over the draws is unbiased for an attacker who chooses on
    one draw fewer than there are.
    """
    others = right.sum(axis=2, keepdims=True, dtype=int) - right
    margin = margins.sum(axis=2, keepdims=True, dtype=float) - margins
    chosen = np.where(others == others.min(axis=0), margin, np.inf).argmin(axis=0)
    return np.take_along_axis(right, chosen[None], axis=0)[0]


def margins_of(scores: Scores) -> np.ndarray:
    """By how much the logit of the right class exceeds the highest other one: (images, draws)."""
    found = np.empty(scores.logits.shape[:2])
    step = max(1, BLOCK // (scores.logits.shape[1] * scores.logits.shape[2]))
    for rows in (slice(start, start + step) for start in range(0, len(found), step)):
        block = scores.logits[rows].astype(float)
        places = np.broadcast_to(scores.labels[rows, None, None], (*block.shape[:2], 1))
        own = np.take_along_axis(block, places, axis=2)[..., 0]
        np.put_along_axis(block, places, -np.inf, axis=2)
        found[rows] = own - block.max(axis=2)
    return found


def _strongest(study: Study, members: Sequence[Judged], scores: Path) -> dict[str, Any]:
    members = on_shared_images(members)
    draws = min(cell.correct.shape[1] for cell in members)
    right = np.stack([cell.correct[:, :draws] for cell in members])
    alone = right.mean(axis=(1, 2))
    least = int(alone.argmin())
    verdicts, chosen_for = _verdicts(members, right, least, scores)
    accuracy, low, high = accuracy_interval(verdicts, clusters=members[0].clusters)
    return {
        "images": right.shape[1],
        "draws": draws,
        "attack_count": len(members),
        "attacks": " ".join(str(cell.row["attack"]) for cell in members),
        "accuracy": accuracy,
        "ci_low": low,
        "ci_high": high,
        "chosen_for": chosen_for,
        "alone": members[least].row["attack"],
        "alone_accuracy": float(alone[least]),
        "direct": int(any(_direct(study, cell.row) for cell in members)),
    }


def _verdicts(members: Sequence[Judged], right: np.ndarray, least: int, scores: Path) -> tuple[np.ndarray, str]:
    """The verdicts (images, draws) under the strongest attack, and what it was chosen for.

    Without a defence the one draw is every draw, so nothing needs to be kept apart. One draw of a defence cannot be
    both chosen on and judged on: then one attack is chosen for all images, whose many verdicts leave little to luck.
    So it is where the choice for each image, which few draws make uncertain, leaves more than that attack alone.
    """
    draws = right.shape[2]
    if len(members) == 1 or (draws == 1 and members[0].row["defence"] != "none"):
        return right[least], ALL
    if draws == 1:
        return right.all(axis=0), EACH
    margins = np.stack([_margins_of_cell(cell, scores)[:, :draws] for cell in members])
    verdicts = judged_by_choice(right, margins)
    return (verdicts, EACH) if verdicts.mean() <= right[least].mean() else (right[least], ALL)


def _margins_of_cell(cell: Judged, scores: Path) -> np.ndarray:
    """The margins (images, draws) of a cell's images."""
    found = read_scores(scores / cell.row["scores"])
    return margins_of(found)[np.isin(found.ids, cell.ids)]


def _direct(study: Study, row: Mapping[str, Any]) -> bool:
    """Whether a cell's attack is a direct one. To a purifier that is the identity without noise every attack is."""
    name, identity = str(row["attack"]), row["defence"] != "none" and not defends(study, row["defence"], row["sigma"])
    return identity or is_direct(attack_of(study, name), row["defence"] != "none", OTHER in name)
