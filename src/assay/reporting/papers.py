"""Papers' claims beside a study: each file in claims/ is one paper; this module compares what can be compared.

A published number is set beside ours only where data set, network and eps are the paper's. A claim of `scope: any` is
about an order or a difference within one study, and is tested in any; else its setting must be the paper's too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import yaml
from markupsafe import Markup
from pydantic import Field

from assay.evaluation.scores import clusters_of, read_scores
from assay.evaluation.statistics.paired import paired_difference
from assay.files import MANIFEST
from assay.planning.cells import Attacked, Defence, defence_at
from assay.reporting.charts.legend import Key, legend
from assay.reporting.charts.rows import Row, rows
from assay.reporting.choice import Choice, only, weakest
from assay.reporting.ladder import noise_alone
from assay.reporting.marks import value_of
from assay.reporting.read import pick, read_known_slides
from assay.reporting.trust import Checked
from assay.reporting.words import bracket, defence_label, eps_label, number, percent, points, with_interval
from assay.study.fields import Model, Norm, Number
from assay.study.model import Study

CLAIMS = Path(__file__).parent / "claims"
UNVERIFIED = "MEM"  # the tag of a fact that nobody has looked up; never printed
HOLDS, FAILS, OPEN, NOT_MEASURED, NOT_COMPARED = (
    "holds", "does not hold", "inconclusive", "not measured", "not compared",
)  # fmt: skip
ROLES = {
    "undefended": "no defence",
    "noise": "noise alone",
    "trained": "adversarially trained",
    "defence": "purified",
}
STATES = ("clean", "attacked", "through")
BOUNDARY = "boundary"  # column of an adversarial stack's table

Share = Annotated[float, Field(ge=0, le=1)]


class Setting(Model):
    """What a paper's numbers are about; `sources` and `networks` are how a study's config names the same."""

    data: str
    sources: list[str]
    network: str
    networks: list[str]
    norm: Norm = "Linf"
    eps: list[Number] = []


class Published(Model):
    """One published row: a subject (one of ROLES, or what only the paper has) and its shares of right answers."""

    subject: str
    clean: Share | None = None
    attacked: Share | None = None
    through: Share | None = None
    eps: Number | None = None
    sigma: Number | None = None
    iterations: int | None = None
    tag: str = ""


class Claim(Model):
    """What a paper says, and how a study can tell: a quantity and the bound that it must keep."""

    says: str
    scope: Literal["setting", "any"] = "setting"
    quantity: Literal["difference", "ratio", "boundary", "equal_sigmas"] | None = None
    a: str = ""
    b: str = ""
    at_least: float | None = None
    at_most: float | None = None
    note: str = ""
    tag: str = ""


class Paper(Model):
    """One paper: what it is, its setting, its numbers and its claims."""

    title: str
    authors: str
    setting: Setting
    numbers: list[Published] = []
    claims: list[Claim] = []


@dataclass(frozen=True)
class Judgement:
    """A claim, what was measured here, the verdict, and the cells (their `scores`) that it rests on."""

    claim: str
    verdict: str
    measured: str = ""
    note: str = ""
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
    def untested(self) -> list[str]:
        """The paper's claims that no study can tell yet."""
        return [claim.says for claim in self.paper.claims if claim.quantity is None]

    @property
    def says_something(self) -> bool:
        """Whether anything was measured that the paper is about."""
        return any(judgement.measured for judgement in self.judgements)


def read_papers(folder: Path = CLAIMS) -> list[Paper]:
    """All papers, in the order of their files, without facts that are unverified."""
    found = [Paper.model_validate(yaml.safe_load(path.read_text())) for path in sorted(folder.glob("*.yaml"))]
    return [
        paper.model_copy(
            update={
                "numbers": [row for row in paper.numbers if row.tag != UNVERIFIED],
                "claims": [claim for claim in paper.claims if claim.tag != UNVERIFIED],
            }
        )
        for paper in found
    ]


def beside(
    paper: Paper, results: Path, summary: pd.DataFrame, choices: list[Choice], study: Study, checked: Checked,
    sweep: pd.DataFrame | None,
) -> Beside:  # fmt: skip
    """One paper beside a study, about the first classifier that a defence was chosen for."""
    trained = {name for name, classifier in study.classifiers.items() if _is_trained_adversarially(classifier)}
    choice = next((c for c in choices if c.chosen is not None and c.classifier not in trained), None)
    if choice is None:
        return Beside(paper, ["no defence was attacked here"], [])
    rows_ = _subjects(paper, summary, choice, study, trained)
    why_not = _differences(paper.setting, study, rows_, choice)
    teller = _Teller(results, rows_, sweep)
    judged = [
        Judgement(claim.says, NOT_COMPARED, note=claim.note)
        if why_not and claim.scope == "setting"
        else teller.judge(claim)
        for claim in paper.claims
        if claim.quantity
    ]
    figure, keys = (None, None) if why_not else _figure(paper, rows_, checked)
    return Beside(paper, why_not, judged, figure, keys)


def _is_trained_adversarially(classifier: Any) -> bool:
    return getattr(classifier, "adversarial", None) is not None


def _subjects(
    paper: Paper, summary: pd.DataFrame, choice: Choice, study: Study, trained: set[str]
) -> dict[tuple[str, str], Any]:  # fmt: skip
    """The rows of the summary by role and state (`clean`, `attacked` by transfer, `through`), at the paper's eps where
    it was measured, else at that of the choice."""
    own = pick(summary, classifier=choice.classifier)
    transfer = summary[(summary["rank"] == 0) & ~summary["control"] & ~summary["attack"].str.contains("@")]
    measured = pick(transfer, classifier=choice.classifier, norm=paper.setting.norm, defence=choice.chosen.defence)
    eps = next((eps for eps in paper.setting.eps if np.isclose(measured["eps"], eps).any()), choice.eps)
    at = summary[np.isclose(summary["eps"], eps) & (summary["norm"] == choice.norm)]
    attack = getattr(weakest(pick(at[at.index.isin(transfer.index)], classifier=choice.classifier, defence="none")),
                     "attack", None)  # fmt: skip
    noise = next(iter(sorted(noise_alone(study))), None)
    chosen = choice.chosen
    found = {
        "undefended": (own, "none", 0.0),
        "noise": (own, noise, chosen.sigma),
        "trained": (pick(summary, classifier=next(iter(sorted(trained)), "")), "none", 0.0),
        "defence": (own, chosen.defence, chosen.sigma),
    }
    rows_ = {}
    for role, (of, defence, sigma) in found.items():
        cells = pick(of, defence=defence, sigma=sigma)
        here = cells[cells.index.isin(at.index)]
        rows_[role, "clean"] = only(pick(cells, attack="none"))
        rows_[role, "attacked"] = only(pick(here, attack=attack))
        rows_[role, "through"] = weakest(here[(here["rank"] >= 1) & here["fresh"]])
    return rows_


def _differences(setting: Setting, study: Study, rows_: dict[tuple[str, str], Any], choice: Choice) -> list[str]:
    """Why the paper's numbers are not compared with this study's: in what the two differ."""
    found = []
    source = study.images.source
    if source not in setting.sources:
        found.append(f"its data are {setting.data}, this study's {source}")
    classifier = study.classifiers[choice.classifier]
    named = " ".join(str(getattr(classifier, key, "")) for key in ("network", "published")).lower()
    if not any(network in named for network in setting.networks):
        shown = getattr(classifier, "network", None) or getattr(classifier, "published", choice.classifier)
        found.append(f"its network is {setting.network}, this study's {shown}")
    attacked = rows_["defence", "attacked"] or choice.chosen
    if setting.norm != attacked.norm or not np.isclose(setting.eps, attacked.eps).any():
        eps = ", ".join(eps_label(eps) for eps in setting.eps) or "another"
        found.append(f"its eps is {eps} ({setting.norm}), this study's {eps_label(attacked.eps)} ({attacked.norm})")
    return found


@dataclass(frozen=True)
class _Teller:
    """Tells what a study measured of a claim."""

    results: Path
    rows: dict[tuple[str, str], Any]
    sweep: pd.DataFrame | None

    def judge(self, claim: Claim) -> Judgement:
        found = getattr(self, f"_{claim.quantity}")(claim)
        if found is None:
            return Judgement(claim.says, NOT_MEASURED, note=claim.note)
        measured, low, high, scores = found
        return Judgement(claim.says, _verdict(claim, low, high), measured, claim.note, scores)

    def _row(self, name: str) -> Any:
        role, state = name.split(".")
        return self.rows[role, state]

    def _difference(self, claim: Claim) -> tuple[str, float, float, list[str]] | None:
        """Accuracy of a less that of b, paired by image."""
        a, b = self._row(claim.a), self._row(claim.b)
        if a is None or b is None:
            return None
        folders = [self.results / "scores" / row.scores for row in (b, a)]
        if not all((folder / MANIFEST).is_file() for folder in folders):
            return None
        first, second = (read_scores(folder) for folder in folders)
        clusters = clusters_of(first.ids, read_known_slides(self.results))
        difference, low, high = paired_difference(first.correct, second.correct, seed=0, clusters=clusters)
        measured = f"{points(difference, low, high)} points: {with_interval(a)} ({_called(a)}) against {with_interval(b)} ({_called(b)})"
        return measured, low, high, [a.scores, b.scores]

    def _ratio(self, claim: Claim) -> tuple[str, float, float, list[str]] | None:
        """Accuracy of a as a share of that of b."""
        a, b = self._row(claim.a), self._row(claim.b)
        if a is None or b is None or not b.accuracy:
            return None
        low, high = a.ci_low / b.accuracy, a.ci_high / b.accuracy
        measured = f"{percent(a.accuracy / b.accuracy, 0)} {bracket(low, high)}: {with_interval(a)} ({_called(a)}) of {percent(b.accuracy)}"
        return measured, low, high, [a.scores, b.scores]

    def _boundary(self, claim: Claim) -> tuple[str, float, float, list[str]] | None:
        """The share of values at the eps bound, of the attack on the bare classifier."""
        row = self._row(claim.a)
        if row is None:
            return None
        path = Attacked(row.classifier, row.attack, float(row.eps), Defence()).path
        table = self.results / "adversarial" / path / "table.csv"
        values = pd.read_csv(table) if table.is_file() else pd.DataFrame()
        if BOUNDARY not in values or not np.isfinite(values[BOUNDARY]).all():
            return None
        share = float(values[BOUNDARY].mean())
        return f"{percent(share)} of values at the eps bound under {row.attack}", share, share, [row.scores]

    def _equal_sigmas(self, claim: Claim) -> tuple[str, float, float, list[str]] | None:
        """How many of the sigmas that the study's selection tried are not significantly below the best."""
        if self.sweep is None:
            return None
        equal, chosen = self.sweep[self.sweep["equal"] == 1], self.sweep[self.sweep["chosen"] == 1].iloc[0]
        low, high = equal["sigma"].min(), equal["sigma"].max()
        measured = (
            f"{len(equal)} of {len(self.sweep)} sigmas are not significantly below the best ({low:.3g} to {high:.3g}), "
            f"on {int(chosen['images'])} images; the smallest was chosen: {chosen['sigma']:.3g}"
        )
        return measured, len(equal), len(equal), []


def _verdict(claim: Claim, low: float, high: float) -> str:
    """Whether the whole interval keeps the bound, none of it does, or neither."""
    least = -np.inf if claim.at_least is None else claim.at_least
    most = np.inf if claim.at_most is None else claim.at_most
    if low >= least and high <= most:
        return HOLDS
    return FAILS if high < least or low > most else OPEN


def _called(row: Any) -> str:
    under = "clean" if row.attack == "none" else row.attack
    defence = defence_at(row.scores)
    return under if defence == Defence() else f"{defence_label(row.defence, row.sigma)}, {under}"


def _same_place(published: Published, row: Any) -> bool:
    """Whether a published number is about the eps and the sigma of a row."""
    same_sigma = published.sigma is None or np.isclose(published.sigma, row.sigma)
    return bool(same_sigma and (row.attack == "none" or published.eps is None or np.isclose(published.eps, row.eps)))


def _figure(paper: Paper, rows_: dict[tuple[str, str], Any], checked: Checked) -> tuple[Markup | None, Markup | None]:
    """Each subject of the paper that the study has, clean and attacked, with the published number beside it."""
    found = []
    for published in paper.numbers:
        cells = [(state, rows_.get((published.subject, state))) for state in STATES]
        values = [
            value_of(row, checked, number(row.accuracy), "c1" if state == "clean" else "c2",
                     beside=getattr(published, state))
            for state, row in cells
            if row is not None and getattr(published, state) is not None and _same_place(published, row)
        ]  # fmt: skip
        if values:
            found.append(Row(ROLES[published.subject], values))
    if not found:
        return None, None
    keys = [Key("clean images", "c1"), Key("attacked images", "c2"), Key("published", "ink", 1)]
    return rows("accuracy here and as published", found), legend(keys)
