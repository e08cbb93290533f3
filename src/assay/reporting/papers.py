"""Papers' claims beside a study: each file in claims/ is one paper; this module compares what can be compared.

A published number is set beside ours only where data set, network and eps are the paper's. A claim of `scope: any` is
about an order or a difference within one study, and is tested in any; the others need the paper's setting too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import yaml
from markupsafe import Markup
from pydantic import Field

from assay.evaluation.scores import clusters_of, read_scores
from assay.evaluation.statistics.paired import paired_difference
from assay.evaluation.statistics.ratios import kept_interval
from assay.manifests import MANIFEST
from assay.planning.cells import Attacked, Defence
from assay.reporting.charts.legend import Key, legend
from assay.reporting.charts.rows import Row, rows
from assay.reporting.choice import Choice, attacks_of, only, weakest
from assay.reporting.ladder import noise_alone
from assay.reporting.marks import value_of
from assay.reporting.read import pick, read_known_slides
from assay.reporting.trust import Checked
from assay.reporting.words import bounded, bracket, defence_label, eps_label, number, percent, points, with_interval
from assay.study.fields import Model, Norm, Number
from assay.study.model import Study

CLAIMS = Path(__file__).parent / "claims"
UNVERIFIED = "MEM"  # the tag of a fact that nobody has looked up; never printed
HOLDS, FAILS, OPEN = "holds", "does not hold", "inconclusive"
NOT_MEASURED, NOT_COMPARED = "not measured", "not compared"
ROLES = {"undefended": "no defence", "noise": "noise alone", "trained": "adversarially trained", "defence": "purified"}
STATES = ("clean", "attacked", "through")
BOUNDARY = "boundary"  # column of an adversarial stack's table
Measured = tuple[
    str, float, float, list[str]
]  # in words, the interval, and the cells (their `scores`) that it rests on
Cells = dict[tuple[str, str], Any]  # rows of the summary by role and state


class Setting(Model):
    """What a paper's numbers are about; `sources` and `networks` are how a study's config names the same."""

    data: str
    sources: list[str]
    network: str
    networks: list[str]
    norm: Norm = "Linf"
    eps: list[Number] = Field(min_length=1)


class Published(Model):
    """One published row: a subject (one of ROLES, or what only the paper has) and its shares of right answers."""

    subject: str
    clean: float | None = Field(None, ge=0, le=1)
    attacked: float | None = Field(None, ge=0, le=1)
    through: float | None = Field(None, ge=0, le=1)
    eps: Number | None = None
    sigma: Number | None = None
    iterations: int | None = None
    tag: str = ""

    def is_about(self, row: Any) -> bool:
        """Whether it is about the sigma and the eps of a row of the summary."""
        same_sigma = self.sigma is None or np.isclose(self.sigma, row.sigma)
        return bool(same_sigma and (row.attack == "none" or self.eps is None or np.isclose(self.eps, row.eps)))


class Claim(Model):
    """What a paper says, and how a study can tell: a quantity of a and b (`role.state`), and the bound it keeps."""

    says: str
    scope: Literal["setting", "any"] = "setting"
    quantity: Literal["difference", "ratio", "boundary", "equal_sigmas"] | None = None
    a: str = ""
    b: str = ""
    at_least: float = -np.inf
    at_most: float = np.inf
    note: str = ""
    tag: str = ""

    def verdict(self, low: float, high: float) -> str:
        """Whether the whole interval keeps the bound, none of it does, or neither."""
        if low >= self.at_least and high <= self.at_most:
            return HOLDS
        return FAILS if high < self.at_least or low > self.at_most else OPEN


class Paper(Model):
    """One paper: what it is, its setting, its numbers and its claims."""

    title: str
    authors: str
    setting: Setting
    numbers: list[Published] = Field([])
    claims: list[Claim]

    @property
    def untested(self) -> list[str]:
        """The claims that no study can tell yet."""
        return [claim.says for claim in self.claims if claim.quantity is None]


@dataclass(frozen=True)
class Judgement:
    """A claim, the verdict, what was measured here, and the cells (their `scores`) that it rests on."""

    claim: Claim
    verdict: str
    measured: str = ""
    scores: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Beside:
    """A paper beside a study: why its numbers are not compared (none where they are), judgements, and a figure."""

    paper: Paper
    why_not: list[str]
    judgements: list[Judgement]
    figure: Markup | None = None
    legend: Markup | None = None

    @property
    def says_something(self) -> bool:
        """Whether anything was measured that the paper is about."""
        return any(judgement.measured for judgement in self.judgements)


def read_papers(folder: Path = CLAIMS) -> list[Paper]:
    """All papers, in the order of their files, without facts that are unverified."""
    found = []
    for path in sorted(folder.glob("*.yaml")):
        told = yaml.safe_load(path.read_text(encoding="utf-8"))
        for key in ("numbers", "claims"):
            told[key] = [fact for fact in told.get(key, []) if fact.get("tag") != UNVERIFIED]
        found.append(Paper.model_validate(told))
    return found


def beside(
    paper: Paper, results: Path, summary: pd.DataFrame, choices: list[Choice], study: Study, checked: Checked,
    sweep: pd.DataFrame | None,
) -> Beside:  # fmt: skip
    """One paper beside a study: about the first classifier that has a defence and is not adversarially trained."""
    trained = [name for name, classifier in study.classifiers.items() if _is_trained_adversarially(classifier)]
    choice = next((c for c in choices if c.chosen is not None and c.classifier not in trained), None)
    if choice is None:
        return Beside(paper, ["no defence was attacked here"], [])
    why_not = _why_not(paper.setting, study, choice)
    eps = choice.eps if why_not else _measured_eps(paper.setting, summary, choice)
    if not np.isclose(paper.setting.eps, eps).any():
        here = f"this study's {eps_label(eps)} ({choice.norm})"
        why_not.append(f"its eps is {', '.join(map(eps_label, paper.setting.eps))} ({paper.setting.norm}), {here}")
    cells = _cells(summary, choice, study, trained, eps)
    teller = _Teller(results, cells, sweep)
    tested = [claim for claim in paper.claims if claim.quantity]
    judged = [
        Judgement(claim, NOT_COMPARED) if why_not and claim.scope == "setting" else teller.judge(claim)
        for claim in tested
    ]
    return Beside(paper, why_not, judged, *(_figure(paper, cells, checked) if not why_not else ()))


def _is_trained_adversarially(classifier: Any) -> bool:
    return getattr(getattr(classifier, "objective", None), "method", None) == "adversarial"


def _why_not(setting: Setting, study: Study, choice: Choice) -> list[str]:
    """In what a paper and a study differ, so that their numbers are not compared."""
    found = []
    if study.images.source not in setting.sources:
        found.append(f"its data are {setting.data}, this study's {study.images.source}")
    classifier = study.classifiers[choice.classifier]
    names = [name for key in ("network", "published", "module") if (name := getattr(classifier, key, None))]
    if not any(network in name.lower() for network in setting.networks for name in names):
        found.append(f"its network is {setting.network}, this study's {names[0]}")
    if setting.norm != choice.norm:
        found.append(f"its ball is {setting.norm}, this study's {choice.norm}")
    return found


def _measured_eps(setting: Setting, summary: pd.DataFrame, choice: Choice) -> float:
    """The paper's eps where the defence was attacked at it, else that of the choice."""
    rows_ = pick(summary, classifier=choice.classifier, norm=choice.norm, defence=choice.chosen.defence)
    return next((eps for eps in setting.eps if np.isclose(rows_["eps"], eps).any()), choice.eps)


def _cells(summary: pd.DataFrame, choice: Choice, study: Study, trained: list[str], eps: float) -> Cells:
    """Each role's cell on clean images, `attacked` by transfer and attacked `through` the defence, at one eps; the
    transfer attack is the one that leaves least undefended."""
    attacked = attacks_of(pick(summary, classifier=choice.classifier, norm=choice.norm))
    bare = weakest(pick(attacked[np.isclose(attacked["eps"], eps)], defence="none", shared=True))
    noise, chosen = sorted(noise_alone(study)), choice.chosen
    roles = {
        "undefended": (choice.classifier, "none", 0.0),
        "noise": (choice.classifier, noise[0] if noise else None, chosen.sigma),
        "trained": (trained[0] if trained else None, "none", 0.0),
        "defence": (choice.classifier, chosen.defence, chosen.sigma),
    }
    cells: Cells = {}
    for role, (classifier, defence, sigma) in roles.items():
        found = pick(summary, classifier=classifier, defence=defence, sigma=sigma)
        here = found[np.isclose(found["eps"], eps) & (found["norm"] == choice.norm)]
        cells[role, "clean"] = only(pick(found, attack="none"))
        cells[role, "attacked"] = bare and only(pick(here, attack=bare.attack))
        cells[role, "through"] = weakest(here[~here["shared"] & here["fresh"]])
    return cells


@dataclass(frozen=True)
class _Teller:
    """Tells what a study measured of a claim."""

    results: Path
    cells: Cells
    sweep: pd.DataFrame | None

    def judge(self, claim: Claim) -> Judgement:
        a, b = (self.cells.get(tuple(name.split("."))) for name in (claim.a, claim.b))
        found = getattr(self, f"_{claim.quantity}")(a, b)
        if found is None:
            return Judgement(claim, NOT_MEASURED)
        measured, low, high, scores = found
        return Judgement(claim, claim.verdict(low, high), measured, scores)

    def _difference(self, a: Any, b: Any) -> Measured | None:
        """Accuracy of a less that of b, paired by image."""
        found = self._paired(a, b)
        if found is None:
            return None
        of_a, of_b, clusters = found
        difference, low, high = paired_difference(of_b, of_a, clusters=clusters)
        return f"{points(difference, low, high)} points: {_told(a)} against {_told(b)}", low, high, [a.scores, b.scores]

    def _ratio(self, a: Any, b: Any) -> Measured | None:
        """Accuracy of a as a share of that of b, paired by image; not measured where that is 0."""
        found = self._paired(a, b)
        if found is None:
            return None
        of_a, of_b, clusters = found
        draws = of_a.shape[1], of_b.shape[1]
        share, low, high = kept_interval(of_a.mean(axis=1), of_b.mean(axis=1), draws, clusters=clusters)
        if np.isnan(share):
            return None
        interval = "[too few images for an interval]" if np.isnan(low) else bracket(low, high)
        return f"{percent(share, 0)} {interval}: {_told(a)} of {_told(b)}", low, high, [a.scores, b.scores]

    def _paired(self, a: Any, b: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray | None] | None:
        """The verdicts (images, draws) of a and of b on the images that they share, and the slides of those; None where
        scores are not there."""
        folders = [self.results / "scores" / row.scores for row in (a, b) if row is not None]
        if len(folders) < 2 or not all((folder / MANIFEST).is_file() for folder in folders):
            return None
        of_a, of_b = (read_scores(folder) for folder in folders)
        rows = [np.isin(one.ids, other.ids) for one, other in ((of_a, of_b), (of_b, of_a))]
        clusters = clusters_of(of_a.ids[rows[0]], read_known_slides(self.results))
        return of_a.correct[rows[0]], of_b.correct[rows[1]], clusters

    def _boundary(self, a: Any, b: Any) -> Measured | None:
        """The share of values at the eps bound, of the attack on the bare classifier."""
        if a is None:
            return None
        stack = Attacked(a.classifier, a.attack, float(a.eps), Defence()).path
        path = self.results / "adversarial" / stack / "table.csv"
        table = pd.read_csv(path) if path.is_file() else pd.DataFrame()
        if BOUNDARY not in table or not np.isfinite(table[BOUNDARY]).all():
            return None
        share = float(table[BOUNDARY].mean())
        return f"{percent(share)} of values at the eps bound under {a.attack}", share, share, [a.scores]

    def _equal_sigmas(self, a: Any, b: Any) -> Measured | None:
        """How many of the sigmas that the study's selection tried are not significantly below the best."""
        if self.sweep is None:
            return None
        equal, chosen = self.sweep[self.sweep["equal"] == 1], self.sweep[self.sweep["chosen"] == 1].iloc[0]
        measured = (
            f"{len(equal)} of {len(self.sweep)} sigmas are not significantly below the best "
            f"({equal['sigma'].min():.3g} to {equal['sigma'].max():.3g}), on {int(chosen['images'])} images; the "
            f"smallest was chosen: {chosen['sigma']:.3g}"
        )
        return measured, len(equal), len(equal), []


def _told(row: Any) -> str:
    under = "clean images" if row.attack == "none" else row.attack
    return f"{bounded(with_interval(row), row)} ({defence_label(row.defence, row.sigma)}, {under})"


def _figure(paper: Paper, cells: Cells, checked: Checked) -> tuple[Markup | None, Markup | None]:
    """Each subject of the paper that the study has, clean and attacked, with the published number beside it."""
    found = []
    for published in paper.numbers:
        told = {state: (cells.get((published.subject, state)), getattr(published, state)) for state in STATES}
        values = [
            value_of(row, checked, number(row.accuracy), "c1" if state == "clean" else "c2", beside=share)
            for state, (row, share) in told.items()
            if row is not None and share is not None and published.is_about(row)
        ]
        found += [Row(ROLES[published.subject], values)] if values else []
    if not found:
        return None, None
    keys = [Key("clean images", "c1"), Key("attacked images", "c2"), Key("published", "ink", 1)]
    return rows("accuracy here and as published", found), legend(keys)
