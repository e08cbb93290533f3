"""The study that `assay.evaluate` makes up from its arguments: what is in memory has a module that stands for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from assay.entry.behaviour import Behaviour
from assay.study.model import Study
from assay.study.parse import parse_study

CLASSIFIER, PURIFIER = "classifier", "purify"  # their names in the study
ATTACKS = {"transfer": "pgd", "bpda": "pgd-bpda", "adaptive": "pgd-adaptive", "locked": "pgd-locked"}  # by threat
MODULE = str(Path(__file__).parent / "given" / "purifier.py")


def stand_in(**keys: Any) -> dict[str, Any]:
    """A part of a config that is in memory, with these keys."""
    return {"module": MODULE, **keys}


def usual_attacks(eps: float | Sequence[float], preset: str, purifier: Behaviour | None) -> dict[str, dict[str, Any]]:
    """PGD under each threat that there can be; of a deterministic purifier one draw is every draw."""
    radii = [float(value) for value in np.atleast_1d(eps)]
    found = {}
    for threat in purifier.threats if purifier else ["transfer"]:
        found[ATTACKS[threat]] = {"method": "pgd", "threat": threat, "eps": radii, "preset": preset}
        if purifier and purifier.randomness == "none" and threat != "transfer":
            found[ATTACKS[threat]]["draws"] = 1
    return found


def made_up(
    purifier: Behaviour | None,
    *,
    images: Mapping[str, Any],
    sigma: float,
    attacks: Mapping[str, Mapping[str, Any]],
    evaluation: Mapping[str, Any],
    **others: Any,
) -> Study:
    """The study: one classifier, and one purifier at `sigma` where there is one; other keys are those of a config."""
    described = {} if purifier is None else {PURIFIER: stand_in(method="python", sigmas=[sigma], **vars(purifier))}
    drawn = purifier is not None and purifier.randomness != "none"
    config = {
        "images": {"source": "python", "train": 1, "validation": 1, **images},
        "classifiers": {CLASSIFIER: stand_in(method="python", published=CLASSIFIER)},
        "purifiers": described,
        "attacks": {name: dict(keys) for name, keys in attacks.items()},
        "evaluation": {**evaluation, **({} if drawn else {"draws": 1})},
        **others,
    }
    return parse_study(config, "assay.evaluate")
