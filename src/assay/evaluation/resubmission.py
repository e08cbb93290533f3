"""The risk of resubmission: what is left where an adversarial image may be handed in many times.

A stochastic defence meets the same image with fresh noise each time, and whoever needs one wrong answer has as many
chances as submissions. With R stored draws, `worst_of` estimates without bias what is left after k <= R submissions.
Beyond R nothing is said: it would be the answer of a model of the draws, and not of the draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from assay.evaluation.knowledge import counts
from assay.evaluation.statistics.intervals import mean_interval
from assay.evaluation.statistics.measures import worst_of
from assay.evaluation.summary import KEYS, Judged, on_shared_images
from assay.planning.cells import attack_of
from assay.study.model import Study

MOST_SUBMISSIONS = 100
MEASURED = ["accuracy", "ci_low", "ci_high", "clean", "clean_low", "clean_high"]
COLUMNS = ["study", *KEYS, "images", "draws", "submissions", *MEASURED]
NAN = float("nan")


def resubmission_risk(study: Study, cells: Sequence[Judged]) -> pd.DataFrame:
    """One row for each attacked cell of several draws whose attack counts, and each number of submissions up to those
    draws.

    `accuracy` is the chance that all submissions are right, `clean` the same of the clean images behind the same
    defence: noise alone makes an image fail sooner or later, and that is not the attack's.
    """
    clean = {cell.key("classifier", "defence", "sigma"): cell for cell in cells if cell.clean}
    lines: list[dict[str, Any]] = []
    for cell in cells:
        draws = cell.predicted.shape[1]
        if cell.clean or draws == 1 or not counts(attack_of(study, cell.row["attack"])):
            continue
        control = clean.get(cell.key("classifier", "defence", "sigma"))
        beside = on_shared_images([cell, control])[1] if control else None
        named = {"study": study.study, **{key: cell.row[key] for key in KEYS}}
        for submissions in range(1, min(draws, MOST_SUBMISSIONS) + 1):
            left = [*_left(cell, submissions), *_left(beside, submissions)]
            counted = {"images": len(cell.labels), "draws": draws, "submissions": submissions}
            lines.append({**named, **counted, **dict(zip(MEASURED, left, strict=True))})
    return pd.DataFrame(lines, columns=COLUMNS)


def _left(cell: Judged | None, submissions: int) -> tuple[float, float, float]:
    """The chance that so many draws of an image are all right, averaged over the images, with its interval.

    The draws of an image make as many independent verdicts as there are groups of so many among them.
    """
    draws = 0 if cell is None else cell.predicted.shape[1]
    if cell is None or draws < submissions:
        return NAN, NAN, NAN
    chances = worst_of(cell.correct, submissions)
    return mean_interval(chances, clusters=cell.clusters, draws=draws // submissions)
