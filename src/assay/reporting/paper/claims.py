"""The paper's claims, each with what this study measured and whether it holds here."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from assay.evaluation.scores import clusters_of, read_scores
from assay.evaluation.statistics.paired import paired_difference
from assay.files import MANIFEST
from assay.planning.cells import eps_token
from assay.reporting.paper.published import (
    BARS,
    EPS,
    KEPT,
    SIGMA_STEP,
    USUAL_SCHEDULE,
    paper_sigma,
    paper_step,
)
from assay.reporting.paper.subjects import Subject, Subjects
from assay.reporting.read import read_known_slides
from assay.reporting.words import bracket, count, eps_label, percent, sigma_label

HOLDS, FAILS, OPEN, NOT_MEASURED = "holds", "does not hold", "cannot be told", "not measured"
PRICE = 0.02  # the paper's loss on clean images: 87 % to 85 %
ALL = 0.99
BOUNDARY = "boundary"  # column of an adversarial stack's table


@dataclass(frozen=True)
class Claim:
    """A claim in the paper's sense, what was measured here, the verdict, what one must know to read it, and the cells
    (their `scores`) that it rests on."""

    claim: str
    measured: str
    verdict: str
    note: str = ""
    scores: list[str] = field(default_factory=list)


def claims(results: Path, subjects: Subjects, sweep: pd.DataFrame | None) -> list[Claim]:
    """Every claim of the paper."""
    judge = _Judge(results, subjects)
    return [
        judge.falls(),
        judge.keeps(),
        judge.price(),
        judge.beats("noise", "noise alone at the same level", BARS["noise"][1]),
        judge.beats("trained", "an adversarially trained classifier", BARS["trained"][1]),
        _one_level(sweep),
        judge.sees_through(),
        judge.perimeter(),
        judge.training(),
    ]


@dataclass(frozen=True)
class _Judge:
    results: Path
    subjects: Subjects

    def falls(self) -> Claim:
        vanilla = self.subjects["vanilla"]
        claim = f"A small attack (eps {eps_label(EPS)}) takes the classifier from 87 % to 6.2 %."
        if vanilla is None:
            return Claim(claim, "", NOT_MEASURED)
        measured = f"{_share(vanilla.clean)} clean, {_share(vanilla.attacked)} under {self._attack()}"
        verdict = HOLDS if vanilla.attacked.ci_high < vanilla.clean.ci_low / 2 else FAILS
        return Claim(claim, measured, verdict, scores=_scores(vanilla.clean, vanilla.attacked))

    def keeps(self) -> Claim:
        claim = "Purified images keep 88 % of the original accuracy (75 of 87) under the attack."
        vanilla, diffusion = self.subjects["vanilla"], self.subjects["diffusion"]
        if vanilla is None or diffusion is None:
            return Claim(claim, "", NOT_MEASURED)
        original = vanilla.clean.accuracy
        low, high = diffusion.attacked.ci_low / original, diffusion.attacked.ci_high / original
        kept = diffusion.attacked.accuracy / original
        verdict = HOLDS if low >= KEPT else FAILS if high < KEPT else OPEN
        note = "" if verdict != OPEN else "The interval holds 88 %: more images would decide."
        measured = f"{percent(kept, 0)} {bracket(low, high)} kept by {diffusion.name}"
        return Claim(claim, measured, verdict, note, _scores(vanilla.clean, diffusion.attacked))

    def price(self) -> Claim:
        claim = "It costs two points on clean images (87 % to 85 %)."
        vanilla, diffusion = self.subjects["vanilla"], self.subjects["diffusion"]
        found = self._difference(vanilla and vanilla.clean, diffusion and diffusion.clean)
        if found is None:
            return Claim(claim, "", NOT_MEASURED)
        _, low, high = found
        verdict = HOLDS if low >= -PRICE else FAILS if high < -PRICE else OPEN
        return Claim(claim, f"{_points(found)} points", verdict, scores=_scores(vanilla.clean, diffusion.clean))

    def beats(self, kind: str, what: str, published: float) -> Claim:
        claim = f"Under the attack it is better than {what} (75 % against {published:.0%})."
        other, diffusion = self.subjects[kind], self.subjects["diffusion"]
        found = self._difference(other and other.attacked, diffusion and diffusion.attacked)
        if found is None:
            return Claim(claim, "", NOT_MEASURED)
        _, low, high = found
        note = ""
        if kind == "trained":
            note = (
                "The baseline was attacked with its own gradient, the diffusion was not: "
                "the fair comparison is with the attacker who knows of it."
            )
            if self.subjects.aware is not None:
                fair = self._difference(other.attacked, self.subjects.aware)
                note += f" There the diffusion is {_points(fair)} points better." if fair else ""
        verdict = HOLDS if low > 0 else FAILS if high < 0 else OPEN
        return Claim(claim, f"{_points(found)} points", verdict, note, _scores(other.attacked, diffusion.attacked))

    def sees_through(self) -> Claim:
        claim = "The attack is adaptive, with full knowledge of the defence."
        diffusion, aware = self.subjects["diffusion"], self.subjects.aware
        if diffusion is None or aware is None:
            return Claim(claim, "", NOT_MEASURED)
        found = self._difference(diffusion.attacked, aware)
        measured = f"{_share(diffusion.attacked)} under transfer, {_share(aware)} under {aware.threat} ({aware.attack})"
        note = "The paper's attack differentiates the bare classifier only; through the purifier it is another number."
        fell = found is not None and found[2] < 0
        return Claim(claim, measured, FAILS if fell else OPEN, note, _scores(diffusion.attacked, aware))

    def perimeter(self) -> Claim:
        claim = "Adversarial examples lie on the perimeter of the ball."
        shares = boundary_shares(self.results, self.subjects)
        if not shares:
            return Claim(claim, "", NOT_MEASURED)
        share = shares[self.subjects.attack]
        measured = "; ".join(f"{name}: {percent(value)} of values" for name, value in shares.items())
        note = (
            "Sign steps much larger than eps, as in the paper, end in corners: a fact about the step, not the images."
        )
        attacked = self.subjects["vanilla"].attacked
        return Claim(claim, measured, HOLDS if share > ALL else FAILS, note, _scores(attacked))

    def training(self) -> Claim:
        claim = "Adversarial training makes all classifiers but GoogLeNet collapse."
        vanilla, trained = self.subjects["vanilla"], self.subjects["trained"]
        found = self._difference(vanilla and vanilla.attacked, trained and trained.attacked)
        if found is None:
            return Claim(claim, "", NOT_MEASURED)
        note = (
            "The paper trains with batches of one image, attacked images alone, and a learning rate down to 1e-10; "
            "with whole batches and clean images among them it trains."
        )
        measured = f"{trained.name}: {_share(trained.clean)} clean, {_share(trained.attacked)} attacked"
        rows = (vanilla.attacked, trained.clean, trained.attacked)
        return Claim(claim, measured, FAILS if found[1] > 0 else OPEN, note, _scores(*rows))

    def _attack(self) -> str:
        return f"{self.subjects.attack} at {eps_label(self.subjects.eps)}"

    def _difference(self, a: Any, b: Any) -> tuple[float, float, float] | None:
        """Accuracy of row b less that of row a, paired by image; None where one of them or its scores are missing."""
        folders = [self.results / "scores" / row.scores for row in (a, b) if row is not None]
        if len(folders) < 2 or not all((folder / MANIFEST).is_file() for folder in folders):
            return None
        first, second = (read_scores(folder) for folder in folders)
        clusters = clusters_of(first.ids, read_known_slides(self.results))
        return paired_difference(first.correct, second.correct, seed=0, clusters=clusters)


def boundary_shares(results: Path, subjects: Subjects) -> dict[str, float]:
    """The share of values on the ball's boundary, by attack, of all attacks on the vanilla classifier at this eps."""
    vanilla: Subject | None = subjects["vanilla"]
    if vanilla is None:
        return {}
    shares = {}
    for table in sorted(
        (results / "adversarial" / vanilla.clean.classifier).glob(f"*/eps-{eps_token(subjects.eps)}/*/table.csv")
    ):
        attack, _, victim = table.relative_to(results / "adversarial").parts[1:4]
        if victim != "undefended":
            continue
        values = pd.read_csv(table)
        if BOUNDARY in values and np.isfinite(values[BOUNDARY]).all():
            shares[attack] = float(values[BOUNDARY].mean())
    return shares if subjects.attack in shares else {}


def _one_level(sweep: pd.DataFrame | None) -> Claim:
    usual = USUAL_SCHEDULE.time_of(paper_sigma(SIGMA_STEP))
    claim = f"There is one best noise level, t = {SIGMA_STEP}, lower than in earlier work."
    note = (
        f"t = {SIGMA_STEP} on images in [0,1] is sigma {paper_sigma(SIGMA_STEP):.3f}: the noise that others, "
        f"on images in [-1,1], call t = {usual:.0f}. The difference is one of scale."
    )
    if sweep is None:
        return Claim(claim, "", NOT_MEASURED, note)
    equal, chosen = sweep[sweep["equal"] == 1], sweep[sweep["chosen"] == 1].iloc[0]
    measured = (
        f"of {len(sweep)} sigmas {len(equal)} cannot be told from the best "
        f"({sigma_label(equal['sigma'].min())} to {sigma_label(equal['sigma'].max())}) on "
        f"{count(int(chosen['images']), 'image')}; the smallest is taken: {sigma_label(chosen['sigma'])}, "
        f"the paper's t {paper_step(chosen['sigma']):.0f}"
    )
    return Claim(claim, measured, HOLDS if len(equal) == 1 else FAILS, note)


def _scores(*rows: Any) -> list[str]:
    return [row.scores for row in rows]


def _share(row: Any) -> str:
    return f"{percent(row.accuracy)} {bracket(row.ci_low, row.ci_high)}"


def _points(found: tuple[float, float, float]) -> str:
    difference, low, high = (100 * value for value in found)
    return f"{difference:+.1f} [{low:+.1f}, {high:+.1f}]"
