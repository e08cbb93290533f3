"""The choice of sigma: the smallest whose robust accuracy is not significantly below the best one's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from assay.artifacts import Wanted
from assay.evaluation.scores import Scores, clusters_of, read_scores, read_slides, require_same_images
from assay.evaluation.statistics.intervals import accuracy_interval
from assay.evaluation.statistics.paired import paired_difference
from assay.evaluation.summary import write_table
from assay.evaluation.untrained import why_unmade
from assay.files import AssayError, write_json
from assay.inputs import Inputs
from assay.program import provenance
from assay.study.selection import SIGMA, ChooseSpec

SWEEP = "sweep.csv"


def choose_sigma(spec: ChooseSpec, code: str, inputs: Inputs, out: Path) -> None:
    """Write the chosen sigma, and the sweep that it was chosen from: one row a sigma, in ascending order.

    Of the inputs, `scores` is the folder that the spec's places lie in, and `images` the stack, which may name slides.
    """
    scores = inputs.folder("scores")
    inputs = inputs.each("scores", [*spec.clean, *spec.attacked])
    wanted = Wanted(out, "selection", spec.model_dump(mode="json"), code, inputs.manifests())
    if wanted.is_there():
        return
    for place in (*spec.clean, *spec.attacked):
        if why := why_unmade(scores / place):
            raise AssayError(f"{scores / place}: {why}; no sigma can be chosen; choose with another network")
    clean = [read_scores(scores / place) for place in spec.clean]
    attacked = [read_scores(scores / place) for place in spec.attacked]
    for cell in [*clean, *attacked]:
        require_same_images(clean[0], cell)
    clusters = clusters_of(clean[0].ids, read_slides(inputs.folder("images")))
    table = sweep_table(spec.sigmas, clean, attacked, clusters)
    (chosen,) = table.loc[table["chosen"] == 1, "sigma"]
    with wanted.write(provenance(("numpy", "pandas", "scipy"))) as draft:
        write_table(table, draft.path(SWEEP))
        write_json(draft.path(SIGMA), {"sigma": float(chosen)})


def sweep_table(
    sigmas: list[float], clean: list[Scores], attacked: list[Scores], clusters: np.ndarray | None = None
) -> pd.DataFrame:
    """Accuracy, clean and under attack, by sigma, and how it compares with the best one under attack.

    `below_best` is the accuracy under attack less the best sigma's, on the same images, with its paired interval; a
    sigma is `equal` to the best unless that whole interval lies below zero, and where there are too few slides to tell.
    Of the equal ones the smallest is `chosen`: it costs least and changes the image least. `clusters` are the slides
    (images,) where they are known.
    """
    order = sorted(range(len(sigmas)), key=lambda place: sigmas[place])
    means = [attacked[place].correct.mean() for place in order]
    best = attacked[order[means.index(max(means))]]
    rows = []
    for place in order:
        accuracy, low, high = accuracy_interval(clean[place].correct, clusters=clusters)
        robust, robust_low, robust_high = accuracy_interval(attacked[place].correct, clusters=clusters)
        below, below_low, below_high = paired_difference(best.correct, attacked[place].correct, clusters=clusters)
        rows.append(
            {
                "sigma": sigmas[place],
                "images": len(clean[place].labels),
                "draws": clean[place].correct.shape[1],
                "clean_accuracy": accuracy,
                "clean_low": low,
                "clean_high": high,
                "robust_accuracy": robust,
                "robust_low": robust_low,
                "robust_high": robust_high,
                "below_best": below,
                "below_best_low": below_low,
                "below_best_high": below_high,
                "equal": int(not below_high < 0),
            }
        )
    table = pd.DataFrame(rows)
    table["chosen"] = 0
    table.loc[table.index[table["equal"] == 1][0], "chosen"] = 1
    return table
