"""A few images on their way: clean, attacked, noised and purified, with what the classifier makes of each."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from assay.planning.cells import Attacked, Cell, Defence, defence_at
from assay.reporting.choice import Choice
from assay.reporting.difference import amplified
from assay.reporting.ladder import noise_alone
from assay.reporting.read import read_images, read_probabilities
from assay.reporting.trust import Checked
from assay.reporting.words import defence_label, eps_label, percent
from assay.stacks import read_stack
from assay.study.model import Study

IMAGES = 4


@dataclass(frozen=True)
class Picture:
    """One picture, and the classifier's answer to it if it was asked."""

    column: str
    uri: str
    answer: str = ""
    right: bool = False


@dataclass(frozen=True)
class PicturePanel:
    """Rows of pictures, one row an image."""

    title: str
    columns: list[str]
    rows: list[tuple[str, list[Picture]]]
    notes: list[str]


def picture_panels(
    results: Path, choice: Choice, study: Study, checked: Checked
) -> tuple[list[PicturePanel], str | None]:  # fmt: skip
    """Panels of the strongest transfer attack and of the strongest through the defence; or why there are none."""
    if choice.chosen is None:
        return [], f"There are no pictures for {choice.classifier}: no purifier was tested against an attack on it."
    defence = defence_at(choice.alone.scores)
    rows = [row for row in (choice.transfer, choice.through or choice.known) if row is not None]
    attacks = [
        Attacked(choice.classifier, row.attack, float(row.eps), Defence() if row.shared else defence) for row in rows
    ]
    ids = _telling(results / "scores", attacks, defence)
    panels = [
        _panel(results, attacked, defence, row, ids, study, checked)
        for attacked, row in zip(attacks, rows, strict=True)
        if ids
    ]
    found = [panel for panel in panels if panel]
    return found, None if found else "There are no pictures: the stacks of images are not in the study's folder."


def _telling(scores: Path, attacks: list[Attacked], defence: Defence) -> list[str]:
    """Images that all attacks were made on: the first ones that the first attack turns, taken from the classes in turn;
    then others if those are too few."""
    known = [
        read_probabilities(scores / Cell(attacked.classifier, attacked, attacked.victim).path) for attacked in attacks
    ]
    known = [found for found in known if found is not None]
    before = read_probabilities(scores / Cell(attacks[0].classifier, None, Defence()).path) if known else None
    if before is None:
        return []
    shared = [image for image in before.index if all(image in found.index for found in known)]
    before, after = before.loc[shared], known[0].loc[shared]
    order = pd.DataFrame({"label": before["label"], "kept": ~(_right(before) & ~_right(after))}, index=shared)
    order["turn"] = order.groupby(["kept", "label"]).cumcount()
    return order.sort_values(["kept", "turn", "label"], kind="stable").index[:IMAGES].tolist()


def _panel(
    results: Path, attacked: Attacked, defence: Defence, row: Any, ids: list[str], study: Study, checked: Checked
) -> PicturePanel | None:
    bare, purified = attacked.victim == Defence(), f"purified/{attacked.path}"
    noise = Defence(min(noise_alone(study), default=None), defence.sigma)
    stages = {
        "clean": ("images/test", None, Defence()),
        "attacked": (f"adversarial/{attacked.path}", attacked, Defence()),
        "noised": (f"{purified}/{noise.path}", attacked, noise),
        "purified": (f"{purified}/{defence.path}", attacked, defence),
    }
    stacks = {name: read_images(results / place, ids) for name, (place, _, _) in stages.items()}
    if stacks["clean"] is None or stacks["attacked"] is None:
        return None
    notes = [f"There is no {name} image: its stack was not made." for name, images in stacks.items() if images is None]
    notes += [] if bare else ["An attack through a defence is scored with that defence only."]
    if (verdict := checked([row.scores])).failed:
        notes.append(f"Not to be relied on: {verdict.meanings[0]}")
    test = read_stack(results / "images/test")
    labels = test.table.set_index("id")["label"]
    columns: dict[str, list[Picture]] = {}
    for name, images in stacks.items():
        if images is None:
            continue
        known = read_probabilities(results / "scores" / Cell(attacked.classifier, *stages[name][1:]).path)
        columns[name] = [_picture(name, *pair, known, test.classes) for pair in zip(images, ids, strict=True)]
        if name in ("attacked", "purified"):
            factor, changes = amplified(images - stacks["clean"])
            columns[f"{name} − clean × {factor}"] = [Picture("difference", png_uri(change)) for change in changes]
    rows = [
        (f"{image}: {test.classes[labels[image]]}", [column[place] for column in columns.values()])
        for place, image in enumerate(ids)
    ]
    title = (
        f"{row.attack} at eps {eps_label(row.eps)} against the {'bare' if bare else 'defended'} classifier "
        f"({row.classifier}); purified by {defence_label(row.defence, row.sigma)}"
    )
    return PicturePanel(title, list(columns), rows, notes)


def _right(probabilities: pd.DataFrame) -> pd.Series:
    return probabilities.drop(columns="label").idxmax(axis=1) == probabilities["label"]


def _picture(column: str, image: np.ndarray, name: str, known: pd.DataFrame | None, classes: list[str]) -> Picture:
    if known is None or name not in known.index:
        return Picture(column, png_uri(image))
    shares = known.loc[name].drop("label")
    answer = int(shares.idxmax())
    return Picture(
        column, png_uri(image), f"{classes[answer]} · {percent(shares.max(), 0)}", answer == known.loc[name, "label"]
    )


def png_uri(image: np.ndarray) -> str:
    """An image in [0,1] as an address that holds it."""
    buffer = io.BytesIO()
    Image.fromarray(np.rint(255 * np.clip(image, 0, 1)).astype(np.uint8)).save(buffer, "PNG")
    return data_uri(buffer.getvalue())


def data_uri(png: bytes) -> str:
    """A PNG file as an address that holds it."""
    return "data:image/png;base64," + base64.b64encode(png).decode()
