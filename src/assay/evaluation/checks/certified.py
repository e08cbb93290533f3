"""Checks of certificates: attacks inside the radii, and numbers that must agree with them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.stats import binom, norm

from assay.evaluation.certificates.betting import Verdict
from assay.evaluation.certificates.bounds import lower_bound, upper_bound
from assay.evaluation.certificates.cohen import ABSTAIN
from assay.evaluation.certificates.tables import Judged, judge
from assay.evaluation.certificates.votes import VERDICT
from assay.evaluation.checks.evidence import Evidence
from assay.evaluation.checks.finding import FAIL, PASS, WARN, Finding, does_not_apply, not_run
from assay.evaluation.checks.order import SUSPICION, VIOLATION
from assay.manifests import check
from assay.stacks import TABLE, read_table

INSIDE, BEYOND = "certificates hold under attack", "attack moves answers beyond the radii"
AGREE, LEFT = "sequential test agrees with fixed draws", "attacks leave what is certified"
COLUMNS = ("answer", "radius", "inside", "beyond")


def find(evidence: Evidence) -> Iterator[Finding]:
    """Every check of this family; none where the study certifies nothing."""
    if evidence.study.certificates is None:
        return
    for one in judge(evidence.study, evidence.results / "certificates", None):
        subjects = [f"certificates/{one.one.path}"]
        yield from attacked(evidence, one, subjects)
        if evidence.study.certificates.radius:
            yield sequential_agrees(evidence, one, subjects)
        yield left_under_attack(evidence, one, subjects)


def attacked(evidence: Evidence, one: Judged, subjects: list[str]) -> Iterator[Finding]:
    """Inside its radius no attack changes an answer; each certificate, and each prediction, is wrong with a chance of
    alpha at most. Beyond it the same attack must change some, or it is too weak to tell."""
    asked = evidence.study.certificates
    if not asked.attacked_images:
        yield not_run(INSIDE, subjects, "No certified image is attacked", "remove certificates.attacked_images: 0")
        return
    folder = evidence.results / "attacked_certificates" / one.one.path
    check(folder, "attacked certificates")
    table = read_table(folder / TABLE, COLUMNS)
    if table.empty:
        yield does_not_apply(INSIDE, subjects, "No image is certified, so there is no radius to attack within.")
        return
    broken = int((~table["inside"].isin([ABSTAIN]) & (table["inside"] != table["answer"])).sum())
    moved = float((table["beyond"] != table["answer"]).mean())
    status, allowed = _by_chance(broken, len(table), 2 * asked.alpha)
    meaning = (
        f"PGD inside the certified radius changes the answer of {broken} of {len(table)} images; alpha {asked.alpha:g} "
        f"allows {allowed}."
    )
    yield Finding(INSIDE, status, subjects, broken, allowed, meaning)
    meaning = f"At four times the radius the same attack takes away the answer of {moved:.0%} of the images"
    meaning += "." if moved else ": it is too weak to test the certificates."
    yield Finding(BEYOND, PASS if moved else WARN, subjects, moved, 0.0, meaning)


def sequential_agrees(evidence: Evidence, one: Judged, subjects: list[str]) -> Finding:
    """What the sequential test certifies or refuses is not contradicted by the bounds from the fixed draws."""
    asked, votes = evidence.study.certificates, one.votes
    p0, verdict = norm.cdf(asked.radius / votes.level), votes.table[VERDICT].to_numpy()
    hits = np.take_along_axis(votes.votes, votes.labels[:, None], axis=1)[:, 0]
    below = upper_bound(hits, asked.draws, asked.alpha) < p0
    above = lower_bound(hits, asked.draws, asked.alpha) > p0
    contrary = int((((verdict == Verdict.CERTIFIED) & below) | ((verdict == Verdict.REFUSED) & above)).sum())
    status, allowed = _by_chance(contrary, len(verdict), 2 * asked.alpha)
    meaning = (
        f"At radius {asked.radius:g} the sequential test and the bounds from {asked.draws} draws contradict each other "
        f"for {contrary} of {len(verdict)} images; alpha {asked.alpha:g} allows {allowed}."
    )
    return Finding(AGREE, status, subjects, contrary, allowed, meaning)


def left_under_attack(evidence: Evidence, one: Judged, subjects: list[str]) -> Finding:
    """No attack leaves a draw less likely to be right than the certificates say: Phi(Phi^-1(low) - |delta| / sigma).

    An attacker who knows the noise of the draws is none of those that certificates speak of.
    """
    least, rows = None, {image: row for row, image in enumerate(one.votes.table["id"])}
    for cell in evidence.measured:
        alike = (cell.cell.classifier, cell.cell.defence) == (one.one.classifier, one.one.defence)
        if not alike or cell.attack is None or cell.attack.threat.judged_draws is not None:
            continue
        table = evidence.stack(cell.cell.attacked).table
        lengths = dict(zip(table["id"], table["l2"], strict=True))
        ids = cell.judged.ids
        places = [place for place, image in enumerate(ids) if image in rows]
        if not places:
            continue
        own = [rows[ids[place]] for place in places]
        shift = np.array([lengths[ids[place]] for place in places]) / one.votes.level
        sure = np.where(one.right[own], norm.cdf(norm.ppf(one.found.low[own]) - shift), 0.0)
        correct = cell.correct[places]
        spare = float(correct.mean() - sure.mean())
        p = float(norm.cdf(spare / np.sqrt(0.25 / correct.size)))  # no draw varies more than a fair coin
        if least is None or p < least[0]:
            least = p, spare, cell, float(correct.mean()), float(sure.mean())
    if least is None:
        return does_not_apply(LEFT, subjects, "No attack is shown to this defence.")
    p, spare, cell, left, sure = least
    meaning = (
        f"{cell.judged.row['attack']} at eps {cell.eps:.4g} leaves {left:.1%} of the certified images' draws right"
    )
    meaning += f"; the certificates say that at least {sure:.1%} are left."
    return Finding(LEFT, FAIL if p < VIOLATION else PASS, [*subjects, cell.path], 100 * spare, 0.0, meaning)


def _by_chance(found: int, among: int, chance: float) -> tuple[str, int]:
    """The status of so many errors `among` images, each made with a `chance`; and how many chance allows."""
    p = binom.sf(found - 1, among, chance)
    status = FAIL if p < VIOLATION else WARN if p < SUSPICION else PASS
    return status, int(binom.ppf(1 - VIOLATION, among, chance))
