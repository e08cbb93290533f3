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
from assay.reporting.read import read_classes, read_images, read_probabilities
from assay.reporting.trust import Checked
from assay.reporting.words import defence_label, eps_label, percent
from assay.stacks import TABLE, read_table
from assay.study.model import Study

IMAGES = 4


@dataclass(frozen=True)
class Picture:
    """One picture, and the classifier's answer to it if it was asked."""

    column: str
    uri: str
    answer: str | None = None
    share: str | None = None
    right: bool | None = None


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
    """Panels of the strongest transfer attack and of the strongest attack through the defence; or why there are none."""
    if choice.chosen is None:
        return [], f"There are no pictures for {choice.classifier}: no purifier was tested against an attack on it."
    defence = defence_at(choice.chosen.scores)
    found, ids = [], None
    for row in (choice.transfer, choice.through or choice.known):
        if row is None:
            continue
        victim = Defence() if row.rank == 0 else defence
        way = _Way(results, Attacked(choice.classifier, row.attack, float(row.eps), victim), defence)
        ids = ids or way.telling()
        panel = way.panel(row, ids, study, checked) if ids else None
        found += [panel] if panel else []
    return found, None if found else "There are no pictures: the stacks of images are not in the study's folder."


@dataclass(frozen=True)
class _Way:
    """What became of the test images under one attack and one defence."""

    results: Path
    attacked: Attacked
    defence: Defence

    def scores(self, attacked: Attacked | None, defence: Defence) -> Path:
        return self.results / "scores" / Cell(self.attacked.classifier, attacked, defence).path

    def telling(self) -> list[str]:
        """The first images that the attack turns, taken from the classes in turn; then others if those are too few."""
        before = read_probabilities(self.scores(None, Defence()))
        undefended = Defence() if self.attacked.victim == Defence() else self.defence
        after = read_probabilities(self.scores(self.attacked, undefended))
        if before is None or after is None:
            return []
        turned = _right(before) & ~_right(after).reindex(before.index, fill_value=True)
        order = pd.DataFrame({"label": before["label"], "kept": ~turned}, index=before.index)
        order["turn"] = order.groupby(["kept", "label"]).cumcount()
        order = order[order.index.isin(after.index)].sort_values(["kept", "turn", "label"], kind="stable")
        return order.index[:IMAGES].tolist()

    def panel(self, row: Any, ids: list[str], study: Study, checked: Checked) -> PicturePanel | None:
        purified = f"purified/{self.attacked.path}"
        noise = next((Defence(name, self.defence.sigma) for name in sorted(noise_alone(study))), None)
        places = {
            "clean": ("images/test", self.scores(None, Defence())),
            "attacked": (f"adversarial/{self.attacked.path}", self.scores(self.attacked, Defence())),
            "noised": (f"{purified}/{noise.path}", self.scores(self.attacked, noise)) if noise else None,
            "purified": (f"{purified}/{self.defence.path}", self.scores(self.attacked, self.defence)),
        }
        stacks = {name: read_images(self.results / place[0], ids) for name, place in places.items() if place}
        stacks = {name: images for name, images in stacks.items() if images is not None}
        if "clean" not in stacks or "attacked" not in stacks:
            return None
        notes = [f"There is no {name} image: its stack was not made." for name in places if name not in stacks]
        if self.attacked.victim != Defence():
            notes.append("An attack through a defence is scored with that defence only.")
        if (verdict := checked([row.scores])).failed:
            notes.append(f"Not to be relied on: {verdict.meanings[0]}")
        columns = self._columns(stacks)
        known = {name: read_probabilities(places[name][1]) for name in stacks}
        classes = read_classes(self.results)
        labels = read_table(self.results / "images/test" / TABLE, ("id", "label")).set_index("id")["label"]
        rows = [
            (f"{image}: {classes[labels[image]]}",
             [_picture(name, images[i], known.get(name), image, classes) for name, images in columns.items()])
            for i, image in enumerate(ids)
        ]  # fmt: skip
        against = "the bare classifier" if self.attacked.victim == Defence() else "the defended classifier"
        purified_by = defence_label(self.defence.name, row.sigma)
        title = (
            f"{row.attack} at eps {eps_label(row.eps)} against {against} ({row.classifier}); purified by {purified_by}"
        )
        return PicturePanel(title, list(columns), rows, notes)

    @staticmethod
    def _columns(stacks: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Each stack, and after those of attack and purifier their amplified difference from the clean images."""
        columns = {}
        for name, images in stacks.items():
            columns[name] = images
            if name in ("attacked", "purified"):
                factor, change = amplified(images - stacks["clean"])
                columns[f"{name} − clean, × {factor}"] = change
        return columns


def _right(probabilities: pd.DataFrame) -> pd.Series:
    return probabilities.drop(columns="label").idxmax(axis=1) == probabilities["label"]


def _picture(
    column: str, image: np.ndarray, probabilities: pd.DataFrame | None, image_id: str, classes: list[str]
) -> Picture:  # fmt: skip
    uri = png_uri(image)
    if probabilities is None or image_id not in probabilities.index:
        return Picture(column, uri)
    row = probabilities.loc[image_id]
    label, shares = int(row["label"]), row.drop("label")
    predicted = int(shares.idxmax())
    return Picture(column, uri, classes[predicted], percent(shares.max(), 0), predicted == label)


def png_uri(image: np.ndarray) -> str:
    """An image in [0,1] as an address that holds it."""
    buffer = io.BytesIO()
    Image.fromarray(np.rint(255 * np.clip(image, 0, 1)).astype(np.uint8)).save(buffer, "PNG")
    return data_uri(buffer.getvalue())


def data_uri(png: bytes) -> str:
    """A PNG file as an address that holds it."""
    return "data:image/png;base64," + base64.b64encode(png).decode()
