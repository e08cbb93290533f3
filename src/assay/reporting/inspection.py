"""Some images of a stack beside the ones that they were made from, for looking at.

`View` holds the images at every stage that they went through (clean, attacked, purified), with verdicts where they are
known: those of the bare classifier on clean and attacked images and of the defended one on purified images, from the
study's scores. The bare classifier does not score attacks on a defence; there, attacked images have the verdict of
the attack's own victim, from its table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from assay.evaluation.scores import read_scores
from assay.files import AssayError, digest
from assay.manifests import MANIFEST
from assay.stacks import Stack, read_stack
from assay.words import count

IMAGES, ADVERSARIAL, PURIFIED = "images", "adversarial", "purified"
CLEAN = "clean"
UNDEFENDED = "none/sigma-0"
LEVELS = 255
LONGEST_NAME = 200  # characters of a file's name, without its ending; 255 with it is the most
CHUNK = 256


@dataclass(frozen=True)
class Place:
    """Where a stack is: its study's folder, and its path below images/, adversarial/ or purified/."""

    study: Path
    kind: str
    path: str

    @property
    def source(self) -> str:
        """The images before purification: `clean`, or the path of an adversarial stack."""
        return {ADVERSARIAL: self.path, PURIFIED: self.path.rsplit("/", 2)[0]}.get(self.kind, CLEAN)

    @property
    def picture(self) -> Path:
        """Where a picture of the stack goes if nobody says where; the names of long paths end in a hash."""
        name = f"{self.kind}-{self.path.replace('/', '-')}"
        short = name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}-{digest(name)}"
        return self.study / "view" / f"{short}.png"

    @property
    def defence(self) -> str:
        """The defence's path; that of no defence where nothing is purified."""
        return "/".join(self.path.split("/")[-2:]) if self.kind == PURIFIED else UNDEFENDED


@dataclass(frozen=True)
class Stage:
    """A stack's rows of one draw (images,), and whether each is classified right; None where that is not known."""

    stack: Stack
    rows: np.ndarray
    right: np.ndarray | None

    def pixels(self, chosen: np.ndarray) -> np.ndarray:
        """The chosen images (n, height, width, 3), float64 in [0,1]."""
        images = self.stack.images[self.rows[chosen]]
        return images / np.iinfo(images.dtype).max


@dataclass(frozen=True)
class View:
    """The stages of a stack, `clean` first, on the same images: `ids` and `labels` (images,), a label's class name."""

    place: Place
    table: pd.DataFrame
    ids: np.ndarray
    labels: np.ndarray
    classes: list[str]
    stages: dict[str, Stage]

    @property
    def changes(self) -> list[str]:
        """The stages that differ from the clean one."""
        return [name for name in self.stages if name != CLEAN]

    def histogram(self, stage: str, chosen: np.ndarray) -> np.ndarray:
        """How many values (511,) of the chosen images differ from the clean ones by -255..255 grey levels."""
        counts = np.zeros(2 * LEVELS + 1, np.int64)
        for start in range(0, len(chosen), CHUNK):
            some = chosen[start : start + CHUNK]
            change = self.stages[stage].pixels(some) - self.stages[CLEAN].pixels(some)
            counts += np.bincount(np.rint(LEVELS * change).astype(int).ravel() + LEVELS, minlength=len(counts))
        return counts


def view(folder: Path, draw: int = 0, classifier: str | None = None) -> View:
    """The stack in `folder` beside its sources; `classifier` is whose verdicts to show if the path names none.

    An attack may have been made on some of the test images: then the view is of those.
    """
    place = locate(folder)
    stack = read_stack(folder)
    clean = stack if place.kind == IMAGES else read_stack(place.study / IMAGES / "test")
    clean = clean if place.kind == IMAGES else clean.of(list(dict.fromkeys(stack.ids)))
    ids = np.array(clean.ids)
    classifier = _classifier(place, classifier)
    stages = {CLEAN: Stage(clean, np.arange(len(ids)), _verdicts(place, ids, classifier, CLEAN, UNDEFENDED, 0))}
    if place.source != CLEAN:
        attacked = stack if place.kind == ADVERSARIAL else read_stack(place.study / ADVERSARIAL / place.source)
        rows = _rows(attacked, ids, 0, place.source)
        verdicts = _verdicts(place, ids, classifier, place.source, UNDEFENDED, 0)
        if verdicts is None and "fooled" in attacked.table:
            verdicts = attacked.table["fooled"].to_numpy()[rows] == 0
        stages["attacked"] = Stage(attacked, rows, verdicts)
    if place.kind == PURIFIED:
        rows = _rows(stack, ids, draw, place.path)
        share = draw / (stack.table["draw"].max() + 1)
        verdicts = _verdicts(place, ids, classifier, place.source, place.defence, share)
        stages["purified"] = Stage(stack, rows, verdicts)
    return View(place, stack.table, ids, clean.labels, clean.classes, stages)


def locate(folder: Path) -> Place:
    """The study that a stack's folder belongs to, and its path there."""
    folder = Path(folder).resolve()
    for study in folder.parents:
        kind, *path = folder.relative_to(study).parts
        if kind in (IMAGES, ADVERSARIAL, PURIFIED) and path and (study / IMAGES / "test" / MANIFEST).is_file():
            return Place(study, kind, "/".join(path))
    raise AssayError(
        f"{folder}: no stack of a study; name a folder below results/<study>/images, adversarial or purified "
        "(the study's images/test must exist)"
    )


def choose(view: View, ids: Sequence[str] | None = None, label: str | None = None, fooled: bool = False) -> np.ndarray:
    """Positions of the images that pass every filter, in their order (that of `ids` if they are given).

    `label` is the name of a class. Fooled: the bare classifier was right on the clean image, and the verdict on this
    stack's image is wrong.
    """
    positions = np.arange(len(view.ids)) if ids is None else np.array([_position(view, wanted) for wanted in ids])
    if label is not None:
        if label not in view.classes:
            raise AssayError(f"--label: {label} is not a class of {view.place.study.name}: {', '.join(view.classes)}")
        positions = positions[view.labels[positions] == view.classes.index(label)]
    if fooled:
        last = list(view.stages)[-1]
        if last == CLEAN:
            raise AssayError("--fooled: these images are clean; name an adversarial or purified stack")
        before, after = (view.stages[stage].right for stage in (CLEAN, last))
        if before is None or after is None:
            missing = f"{CLEAN}/{UNDEFENDED}" if before is None else f"{view.place.source}/{view.place.defence}"
            raise AssayError(
                f"--fooled: no scores {missing} in {view.place.study}/scores; run the workflow, "
                "or add --classifier NAME if the study has several"
            )
        positions = positions[before[positions] & ~after[positions]]
    if not len(positions):
        raise AssayError(f"{view.place.path}: no image passes the filters; leave one out")
    return positions


def describe(view: View, chosen: np.ndarray) -> str:
    """The stack's table and verdicts in a few lines."""
    labels = ", ".join(f"{(view.labels == label).sum()} {name}" for label, name in enumerate(view.classes))
    draws = len(view.table) // len(view.ids)
    lines = [
        f"{view.place.study.name}: {view.place.kind}/{view.place.path}",
        f"{count(len(view.ids), 'image')} ({labels}), {count(draws, 'draw')}; {len(chosen)} pass the filters",
    ]
    numbers = view.table.drop(columns=["id", "label", "draw"], errors="ignore").select_dtypes("number")
    if not numbers.empty:
        lines.append(numbers.describe(percentiles=[0.5]).drop("count").T.to_string(float_format="{:.5g}".format))
    for name, stage in view.stages.items():
        if stage.right is not None:
            lines.append(f"{name}: {stage.right[chosen].sum()} of {len(chosen)} classified right")
    for name in view.changes:
        counts = view.histogram(name, chosen)
        levels = np.abs(np.arange(-LEVELS, LEVELS + 1))
        mean, most = counts @ levels / counts.sum(), levels[counts > 0].max()
        lines.append(f"{name} - clean: {mean:.2f} grey levels per value on average, at most {most}")
    return "\n".join(lines)


def _position(view: View, wanted: str) -> int:
    found = np.flatnonzero(view.ids == wanted)
    if not len(found):
        raise AssayError(f"--ids: {view.place.study.name} has no image {wanted}; its first id is {view.ids[0]}")
    return int(found[0])


def _rows(stack: Stack, ids: np.ndarray, draw: int, path: str) -> np.ndarray:
    """The row of each id's given draw in a stack's table."""
    table = stack.table
    if "draw" in table:
        if draw not in set(table["draw"]):
            raise AssayError(f"--draw: {path} has draws 0 to {table['draw'].max()}, not {draw}")
        table = table[table["draw"] == draw]
    rows = pd.Series(table.index, index=table["id"]).reindex(ids)
    if rows.isna().any():
        raise AssayError(f"{path}: its images are not those of images/test; run the workflow again")
    return rows.to_numpy(int)


def _classifier(place: Place, classifier: str | None) -> str | None:
    """The classifier whose verdicts are shown: the attacked one, the named one, or the only one."""
    scores = place.study / "scores"
    if classifier is not None and not (scores / classifier).is_dir():
        raise AssayError(f"--classifier: {scores} has no scores of '{classifier}'; leave it out or check the name")
    if place.source != CLEAN:
        return place.source.split("/")[0]
    known = [path.name for path in sorted(scores.glob("*/")) if not path.name.startswith(".")]
    return classifier or (known[0] if len(known) == 1 else None)


def _verdicts(
    place: Place, ids: np.ndarray, classifier: str | None, source: str, defence: str, share: float
) -> np.ndarray | None:
    """Whether each image (images,) was classified right; None where there are no scores.

    `share` says how far in the stack's draws the one that is shown lies: a vote makes several of them one answer.
    """
    folder = place.study / "scores" / str(classifier) / source / defence
    only_test_is_scored = place.kind == IMAGES and place.path != "test"
    if classifier is None or only_test_is_scored or not (folder / MANIFEST).is_file():
        return None
    found = read_scores(folder)
    rows = pd.Index(found.ids).get_indexer(pd.Index(ids))
    if (rows < 0).any():
        raise AssayError(f"{folder}: not the scores of images/test; run the workflow again")
    return found.correct[rows, int(share * found.correct.shape[1])]
