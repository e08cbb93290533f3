"""What the checks read of a study: its cells' verdicts, its stacks, its probes and the table of worst cases."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from assay.evaluation.scores import clusters_of, read_scores, read_slides
from assay.evaluation.statistics.paired import paired_test
from assay.evaluation.summary import Judged, judge_cell, on_shared_images, read_whole
from assay.evaluation.untrained import why_unmade
from assay.evaluation.worst_case import GROUP
from assay.files import read_json
from assay.manifests import MANIFEST, check
from assay.planning.cells import Attacked, Cell, cells, rows
from assay.stacks import Stack, read_stack
from assay.study.attacks import Attack
from assay.study.model import Study

TOLERANCE = 1e-5  # by which the float sum of probabilities may miss 1


@dataclass(frozen=True)
class Measured:
    """A cell with what its scores say. `probabilities` is the share of rows that lie in [0,1] and sum to 1."""

    cell: Cell
    attack: Attack | None
    judged: Judged
    probabilities: float

    @property
    def path(self) -> str:
        return f"scores/{self.cell.path}"

    @property
    def name(self) -> str:
        """The defence as a sentence names it."""
        defence = self.cell.defence
        return "no defence" if defence.purifier is None else f"{defence.purifier} at sigma {self.judged.row['sigma']:g}"

    @property
    def correct(self) -> np.ndarray:
        return self.judged.correct

    @property
    def accuracy(self) -> float:
        return self.judged.accuracy

    @property
    def low(self) -> float:
        return self.judged.measures["ci_low"]

    @property
    def eps(self) -> float:
        return self.judged.row["eps"]

    @property
    def own(self) -> bool:
        """Whether the attack was made on this cell's classifier, and not carried over from another."""
        return self.cell.attacked is None or self.cell.attacked.classifier == self.cell.classifier

    @property
    def direct(self) -> bool:
        """Whether the attack was made on just what it is judged against here: this classifier and this defence."""
        return self.cell.attacked is not None and self.own and self.cell.attacked.victim == self.cell.defence

    @property
    def white_box(self) -> bool:
        """Whether the attack followed the exact gradient of what it is judged against here."""
        follows = self.attack is not None and self.attack.passes[0] > 0
        return follows and self.direct and self.attack.threat.exact

    @property
    def control(self) -> bool:
        """Whether the attack is a control, which does not search."""
        return self.attack is not None and self.attack.control

    @property
    def chance(self) -> float:
        """The accuracy of always giving the answer that is right most often."""
        labels = self.judged.labels
        return float(np.unique(labels, return_counts=True)[1].max() / len(labels))


def on_shared(*cells: Measured) -> list[Measured]:
    """The cells on the images that all of them have."""
    judged = on_shared_images([cell.judged for cell in cells])
    return [replace(cell, judged=on) for cell, on in zip(cells, judged, strict=True)]


@dataclass
class Evidence:
    """A study's results, read as they are asked for."""

    study: Study
    results: Path
    measured: list[Measured]
    clean: Stack
    worst_cases: pd.DataFrame

    @property
    def attacked(self) -> list[Attacked]:
        return list(dict.fromkeys(found.cell.attacked for found in self.measured if found.cell.attacked))

    def stack(self, attacked: Attacked) -> Stack:
        """An adversarial stack."""
        return read_stack(self.results / "adversarial" / attacked.path)

    def probe(self, attacked: Attacked) -> dict[str, Any]:
        """What the probe of an adversarial stack measured."""
        folder = self.results / "probes" / attacked.path
        check(folder, "probe")
        return read_json(folder / "probe.json")

    def groups(
        self, key: Callable[[Measured], Hashable], where: Callable[[Measured], bool] = lambda _: True
    ) -> Iterator[list[Measured]]:
        """The cells that share a key, in the order of the study."""
        found: dict[Hashable, list[Measured]] = defaultdict(list)
        for cell in self.measured:
            if where(cell):
                found[key(cell)].append(cell)
        yield from found.values()

    def control_of(self, cell: Measured) -> Measured | None:
        """The clean cell of the same classifier and defence, on the images of this one."""
        wanted = (cell.cell.classifier, cell.cell.defence)
        clean = (m for m in self.measured if m.attack is None and (m.cell.classifier, m.cell.defence) == wanted)
        return next((on_shared(control, cell)[0] for control in clean), None)


def read_evidence(study: Study, results: Path, selected: float | None = None) -> Evidence:
    """The evidence in a study's folder; `selected` is the sigma that its selection chose."""
    results = Path(results)
    slides = read_slides(results / "images/test")
    measured = []
    for cell, row in zip(cells(study), rows(study), strict=True):
        if why_unmade(results / "scores" / cell.path):
            continue
        scores = read_scores(results / "scores" / cell.path)
        judged = judge_cell(row, scores, selected, clusters_of(scores.ids, slides))
        attack = study.attacks[cell.attacked.attack] if cell.attacked else None
        share = _probabilities(scores.logits)
        measured.append(Measured(cell, attack, judged, share))
    worst = read_whole(results / "worst_case.csv", (*GROUP, "all_or_nothing"))
    return Evidence(study, results, measured, read_stack(results / "images/test"), worst)


def more_is_left(stronger: Measured, weaker: Measured) -> float:
    """The p-value that a stronger attack left no more than a weaker one: small where it did, on the same images.

    Not a number where there are too few slides to tell.
    """
    return paired_test(weaker.correct, stronger.correct, stronger.judged.clusters, "greater")


def strongest(cells: Iterable[Measured]) -> Measured | None:
    """The cell of the attack that leaves least."""
    return min(cells, key=lambda cell: cell.accuracy, default=None)


def manifest_of(evidence: Evidence, place: str) -> Path:
    return evidence.results / place / MANIFEST


def _probabilities(logits: np.ndarray) -> float:
    rows = logits.reshape(-1, logits.shape[-1])
    alike = (np.abs(rows.sum(axis=1, dtype=float) - 1) <= TOLERANCE) & (rows.min(axis=1) >= 0) & (rows.max(axis=1) <= 1)
    return float(alike.mean())
