"""Power before running: the smallest difference between two defences that a study can be expected to find."""

from __future__ import annotations

import math
from collections import Counter
from statistics import NormalDist

from assay.planning.cells import rows
from assay.study.model import Study
from assay.words import count

LEVEL = 0.05  # of a study: the chance that it names any winner where none is better
POWER = 0.8  # the chance that a difference of the detectable size is found significant
DISCORDANCES = (0.05, 0.10, 0.20)  # assumed shares of images that one defence has right and another wrong


def smallest_differences(study: Study) -> str:
    """A table of the smallest difference, in points, that the study finds with a chance of POWER even if it is the only
    one, by the share of images on which two defences disagree; empty where nothing is compared."""
    pairs, images, draws = comparisons(study), study.evaluation.images, study.evaluation.draws
    if not pairs:
        return ""
    level = LEVEL / pairs
    lines = [("two defences disagree on", [f"{share:.0%}" for share in DISCORDANCES])]
    lines += [("smallest difference, points", [f"{100 * planned(images, q, level):.1f}" for q in DISCORDANCES])]
    if draws > 1:
        best = [f"{100 * planned(images * draws, q, level):.1f}" for q in DISCORDANCES]
        lines += [(f"if all of it is chance between {count(draws, 'draw')}", best)]
    wide = max(len(head) for head, _ in lines)
    return "\n".join(
        [
            f"power: {count(pairs, 'pair')} of defences, counted together by Holm's method, on "
            f"{count(images, 'image')}; found with a chance of {POWER:.0%}:",
            *(f"  {head.ljust(wide)}" + "".join(value.rjust(7) for value in values) for head, values in lines),
            "  images of one slide are alike: where slides are known, a difference must be larger",
        ]
    )


def comparisons(study: Study) -> int:
    """How many pairs of defences the study compares: all that are judged under the same attack at the same eps."""
    tables = Counter(
        tuple(row[key] for key in ("classifier", "attack", "threat", "norm", "eps")) for row in rows(study)
    )
    return sum(math.comb(cells, 2) for cells in tables.values())


def planned(images: int, discordance: float, level: float) -> float:
    """The smallest difference that a paired test at `level` will find with a chance of POWER on so many images, of
    which the share `discordance` will be right in one cell and wrong in the other.

    One image's difference has the variance discordance - difference², and normal quantiles stand for Student's. The
    exact test needs a little more where only some twenty images differ.
    """
    quantiles = NormalDist().inv_cdf(1 - level / 2) + NormalDist().inv_cdf(POWER)
    return quantiles * math.sqrt(discordance / (images + quantiles**2))
