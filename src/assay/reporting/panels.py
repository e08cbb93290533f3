"""A few images on their way: clean, attacked, noised and purified, with what the classifier makes of each."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from assay.planning.cells import Attacked, Cell, Defence, defence_at
from assay.reporting.answer import Answer
from assay.reporting.families import TRANSFER
from assay.reporting.read import pick, read_images, read_probabilities
from assay.reporting.training import data_uri
from assay.reporting.trust import Checked
from assay.reporting.words import defence_label, eps_label, percent
from assay.stacks import TABLE, read_table

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
    results: Path, summary: pd.DataFrame, answer: Answer, config: dict[str, Any], checked: Checked
) -> tuple[list[PicturePanel], str | None]:
    """A panel for the answer's transfer attack and one for the strongest through its defence; or why there is none."""
    if answer.eps is None or answer.best is None:
        return [], f"There is no panel for {answer.classifier}: no purifier was set against an attack on it."
    defence = defence_at(answer.best.scores)
    cells = pick(summary, classifier=answer.classifier, eps=answer.eps, defence=defence.name, sigma=answer.best.sigma)
    cells = cells[cells["norm"] == answer.best.norm].sort_values("accuracy", kind="stable")
    unaware, aware = cells[cells["attack"] == answer.attack], cells[cells["threat"] != TRANSFER]
    found, ids = [], None
    for row in pd.concat([unaware.head(1), aware.head(1)]).drop_duplicates().itertuples():
        victim = Defence() if row.threat == TRANSFER else defence
        attacked = Attacked(answer.classifier, row.attack, float(answer.eps), victim)
        ids = ids or _ids(results, attacked, defence)
        panel = _panel(results, attacked, defence, answer.best.sigma, ids, config) if ids else None
        if panel:
            verdict = checked([row.scores])
            doubt = [f"Not to be relied on: {verdict.meanings[0]}"] if verdict.failed else []
            found.append(replace(panel, notes=[*panel.notes, *doubt]))
    return found, None if found else "There is no panel: the stacks of images are not in the study's folder."


def _ids(results: Path, attacked: Attacked, defence: Defence) -> list[str]:
    """The first images that the attack turns, taken from the classes in turn; then others if those are too few."""
    before = read_probabilities(results / "scores" / Cell(attacked.classifier, None, Defence()).path)
    undefended = Defence() if attacked.victim == Defence() else defence
    after = read_probabilities(results / "scores" / Cell(attacked.classifier, attacked, undefended).path)
    if before is None or after is None:
        return []
    turned = _right(before) & ~_right(after).reindex(before.index, fill_value=True)
    order = pd.DataFrame({"label": before["label"], "kept": ~turned}, index=before.index)
    order["turn"] = order.groupby(["kept", "label"]).cumcount()
    order = order[order.index.isin(after.index)].sort_values(["kept", "turn", "label"], kind="stable")
    return order.index[:IMAGES].tolist()


def _right(probabilities: pd.DataFrame) -> pd.Series:
    return probabilities.drop(columns="label").idxmax(axis=1) == probabilities["label"]


def _panel(
    results: Path, attacked: Attacked, defence: Defence, sigma: float, ids: list[str], config: dict[str, Any]
) -> PicturePanel | None:
    clean = read_images(results / "images" / "test", ids)
    adversarial = read_images(results / "adversarial" / attacked.path, ids)
    if clean is None or adversarial is None:
        return None
    change = adversarial - clean
    factor = max(1, math.floor(0.5 / max(float(np.abs(change).max()), 1e-9) + 1e-6))
    scores = results / "scores"
    name = attacked.classifier
    columns = {
        "clean": (clean, scores / Cell(name, None, Defence()).path),
        f"change ×{factor}": (0.5 + factor * change, None),
        "adversarial": (adversarial, scores / Cell(name, attacked, Defence()).path),
    }
    notes = []
    if attacked.victim != Defence():
        notes.append("An attack through a defence is scored with that defence only.")
    noise = _noise_purifier(results, attacked, defence, config)
    if noise:
        noised = read_images(results / "purified" / attacked.path / noise.path, ids)
        columns["noised"] = (noised, scores / Cell(name, attacked, noise).path)
    else:
        notes.append("The noised image is left out: no purifier of the method noise was run at this sigma here.")
    purified = read_images(results / "purified" / attacked.path / defence.path, ids)
    if purified is None:
        notes.append("The purified image is left out: its stack is not in the study's folder.")
    elif noise != defence:
        columns["purified"] = (purified, scores / Cell(name, attacked, defence).path)
    known = {column: read_probabilities(folder) if folder else None for column, (_, folder) in columns.items()}
    labels = read_table(results / "images" / "test" / TABLE, ("id", "label")).set_index("id")["label"]
    rows = [
        (f"{image}, class {labels[image]}", [picture(c, columns[c][0][i], known[c], image) for c in columns])
        for i, image in enumerate(ids)
    ]
    return PicturePanel(_title(attacked, defence_label(defence.name, sigma)), list(columns), rows, notes)


def _noise_purifier(results: Path, attacked: Attacked, defence: Defence, config: dict[str, Any]) -> Defence | None:
    """The purifier that only adds noise, at the defence's sigma: all purifiers share that noise."""
    for name, purifier in config.get("purifiers", {}).items():
        noise = Defence(name, defence.sigma)
        if purifier.get("method") == "noise" and (results / "purified" / attacked.path / noise.path).is_dir():
            return noise
    return None


def _title(attacked: Attacked, purified_by: str) -> str:
    against = "the bare classifier" if attacked.victim == Defence() else "the defended classifier"
    return (
        f"{attacked.attack} at eps {eps_label(attacked.eps)} against {against} ({attacked.classifier}); "
        f"purified by {purified_by}"
    )


def picture(column: str, image: np.ndarray, probabilities: pd.DataFrame | None, image_id: str) -> Picture:
    uri = data_uri(_png(image))
    if probabilities is None or image_id not in probabilities.index:
        return Picture(column, uri)
    row = probabilities.loc[image_id]
    label, shares = row["label"], row.drop("label")
    predicted = shares.idxmax()
    return Picture(column, uri, f"class {predicted}", percent(shares.max(), 0), bool(predicted == label))


def _png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.rint(255 * np.clip(image, 0, 1)).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()
