"""The paper's three figures, from a study."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from assay.planning.cells import Attacked, Cell, Defence, defence_at
from assay.reporting.figures import Bar, Line, accuracy_against_noise, accuracy_bars
from assay.reporting.panels import Picture, picture
from assay.reporting.paper.published import BARS, SCHEDULE
from assay.reporting.paper.subjects import Subjects
from assay.reporting.read import read_images, read_probabilities
from assay.reporting.trust import Checked

STEPS_SHOWN = (1, 5, 10, 20, 40, 60, 100, 150, 200, 300)  # ticks of the paper's time axis
CLEAN_COLOUR, ATTACKED_COLOUR = "c1", "c2"


def noise_levels(sweep: pd.DataFrame) -> Markup:
    """Fig. 1: accuracy against noise level, on the selection images."""
    lines = [
        Line(sweep["sigma"], sweep[f"{kind}_accuracy"], sweep[f"{kind}_low"], sweep[f"{kind}_high"], colour)
        for kind, colour in (("clean", CLEAN_COLOUR), ("robust", ATTACKED_COLOUR))
    ]
    (chosen,) = sweep.loc[sweep["chosen"] == 1, "sigma"]
    return accuracy_against_noise(
        lines,
        float(chosen),
        lambda steps: SCHEDULE.sigmas[steps],
        STEPS_SHOWN,
        "accuracy against sigma and the paper's time step, on the selection images",
        "paper-noise",
    )


def bars(subjects: Subjects, checked: Checked) -> Markup:
    """Fig. 3: standard and robust accuracy of each subject, beside the published ones."""
    groups = []
    for subject in subjects.by_kind.values():
        pair = [
            Bar(row.accuracy, row.ci_low, row.ci_high, published, checked([row.scores]).failed)
            for row, published in zip((subject.clean, subject.attacked), BARS[subject.kind], strict=True)
        ]
        groups.append((subject.title, *pair))
    return accuracy_bars(groups, "standard and robust accuracy of the paper's four subjects", "paper-bars")


@dataclass(frozen=True)
class Stages:
    """Fig. 2: one image in its stages, each with what the classifier answers and its difference from the original."""

    image: str
    columns: list[tuple[Picture, Picture | None]]


def stages(results: Path, subjects: Subjects) -> Stages | None:
    """The first image that the attack turns and the purifier brings back; None where the stacks are gone."""
    vanilla, diffusion = subjects["vanilla"], subjects["diffusion"]
    if vanilla is None or diffusion is None:
        return None
    attacked = Attacked(vanilla.clean.classifier, subjects.attack, subjects.eps, Defence())
    defence = defence_at(diffusion.attacked.scores)
    found = {
        "original": _stage(results, "images/test", Cell(attacked.classifier, None, Defence())),
        "attacked": _stage(results, f"adversarial/{attacked.path}", Cell(attacked.classifier, attacked, Defence())),
    }
    if noise := subjects["noise"]:
        place = defence_at(noise.attacked.scores)
        found["noised"] = _stage(
            results, f"purified/{attacked.path}/{place.path}", Cell(attacked.classifier, attacked, place)
        )
    found["purified"] = _stage(
        results, f"purified/{attacked.path}/{defence.path}", Cell(attacked.classifier, attacked, defence)
    )
    if any(known is None for _, known in found.values()):
        return None
    image = _telling(found)
    pixels = {name: read_images(folder, [image]) for name, (folder, _) in found.items()}
    if any(stack is None for stack in pixels.values()):
        return None
    original = pixels["original"][0]
    columns = []
    for name, stack in pixels.items():
        shown = picture(name, stack[0], found[name][1], image)
        columns.append((shown, None if name == "original" else _difference(stack[0] - original, image)))
    return Stages(image, columns)


def _difference(change: np.ndarray, image: str) -> Picture:
    """A difference around grey, times the largest whole factor that shows nearly all of it in range."""
    factor = max(1, int(0.5 / max(float(np.quantile(np.abs(change), 0.99)), 1e-9) + 1e-6))
    return picture(f"difference ×{factor}", 0.5 + factor * change, None, image)


def _stage(results: Path, stack: str, cell: Cell) -> tuple[Path, pd.DataFrame | None]:
    return results / stack, read_probabilities(results / "scores" / cell.path)


def _telling(found: dict[str, tuple[Path, Any]]) -> str:
    """The first image that is right when clean, wrong when attacked and right when purified; else the first at all."""
    right = {name: known.drop(columns="label").idxmax(axis=1) == known["label"] for name, (_, known) in found.items()}
    telling = right["original"] & ~right["attacked"] & right["purified"]
    return telling.index[telling.to_numpy()][0] if telling.any() else telling.index[0]
