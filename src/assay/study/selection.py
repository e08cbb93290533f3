"""The config's model of how the study chooses a sigma, and the spec of choose_sigma."""

from __future__ import annotations

import math
from pathlib import Path

from pydantic import Field

from assay.files import AssayError, read_json
from assay.study.fields import MOST, Model, Name, Number, PositiveInt, Sigma

SIGMA = "sigma.json"


class Selection(Model):
    """The choice of sigma on images of its own, which no network was trained on and no cell is measured on.

    A sweep of sigmas is measured there, and the smallest sigma is chosen whose robust accuracy is not significantly
    below the best one's. Purifiers that have `selected` among their sigmas are run with it.
    """

    images: int = Field(gt=1, le=MOST, description="Images to choose on, balanced over the classes.")
    purifier: Name = Field(description="The purifier whose sigma is chosen.")
    classifier: Name = Field(description="The classifier that it defends.")
    attack: Name = Field(description="The attack under which accuracy counts.")
    eps: Number = Field(description="The attack's eps; one of its own.")
    sigmas: list[Sigma] = Field(min_length=2, description="The sigmas of the sweep.")
    draws: PositiveInt = Field(3, description="Draws of the purifier an image.")


class ChooseSpec(Model):
    """What choose_sigma reads: the places of the sweep's scores, by sigma."""

    sigmas: list[Sigma]
    clean: list[str]
    attacked: list[str]


def read_sigma(path: Path) -> float:
    """The sigma that choose_sigma wrote."""
    found = read_json(path)
    sigma = found.get("sigma") if isinstance(found, dict) else None
    if not isinstance(sigma, float | int) or not math.isfinite(sigma):
        raise AssayError(f"{path}: holds no sigma; delete it and run again")
    return float(sigma)
