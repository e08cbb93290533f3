"""Checks against controls: what would be seen if the defence did nothing, or was nothing but noise."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from assay.evaluation.checks.evidence import Evidence, Measured, on_shared, strongest
from assay.evaluation.checks.finding import (
    FAIL,
    PASS,
    WARN,
    Finding,
    at_least,
    at_most,
    does_not_apply,
    not_run,
    too_few_slides,
)
from assay.evaluation.checks.order import VIOLATION
from assay.evaluation.statistics.paired import paired_test
from assay.evaluation.worst_case import GROUP
from assay.manifests import read_manifest
from assay.planning.cells import defends, fine_tuned
from assay.study.diffusions import CHANGE

# A defence whose clean accuracy is within five points of guessing protects nothing worth having.
ABOVE_CHANCE = 0.05
# More than ten points of protection that vanish once the noise is known are owed to chance, not to purifying.
OWED_TO_NOISE = 0.10
# Of a fine-tuned diffusion's estimates, in grey levels: what the eye cannot see, and what is next to nothing.
CHANGE_WARN, CHANGE_FAIL = 0.5, 0.05


def find(evidence: Evidence) -> Iterator[Finding]:
    """Every check of this family."""
    yield from better_than_chance(evidence)
    yield from clean_control(evidence)
    yield from no_gain(evidence)
    yield from identity(evidence)
    yield from worst_case(evidence)
    yield from known_noise(evidence)
    yield from fine_tuning(evidence)


def better_than_chance(evidence: Evidence) -> Iterator[Finding]:
    """A defence that answers at random keeps all of its accuracy under any attack: there is none to lose."""
    for clean in (cell for cell in evidence.measured if cell.attack is None):
        own = [m.path for m in evidence.measured if (m.cell.classifier, m.cell.defence) == _defended(clean)]
        if np.isnan(clean.low):
            what = f" whether {clean.cell.classifier} with {clean.name} is better than chance"
            yield too_few_slides("better than chance", own, what)
            continue
        status = FAIL if clean.low <= clean.chance else WARN if clean.low <= clean.chance + ABOVE_CHANCE else PASS
        meaning = (
            f"With {clean.name}, {clean.cell.classifier} is right on {clean.accuracy:.1%} of the clean images "
            f"(at least {clean.low:.1%}); always giving the commonest answer is right on {clean.chance:.1%}"
        )
        meaning += ": what it keeps under attack is worth nothing." if status == FAIL else "."
        yield Finding("better than chance", status, own, clean.low, clean.chance, meaning)


def clean_control(evidence: Evidence) -> Iterator[Finding]:
    """As many draws on clean images, so that what an attack takes is told from what asking often takes."""
    for cell in (cell for cell in evidence.measured if cell.attack):
        control = evidence.control_of(cell)
        draws = control.correct.shape[1] if control else 0
        wanted = cell.correct.shape[1]
        meaning = f"The same defence has {draws} draws of each clean image, and {wanted} of each attacked one."
        status = PASS if draws >= wanted else FAIL
        yield Finding("clean control has the draws", status, [cell.path], draws, wanted, meaning)


def no_gain(evidence: Evidence) -> Iterator[Finding]:
    """Neither voting nor repeating gains under attack: what is left never exceeds the same measure on clean images."""
    for cell in (cell for cell in evidence.measured if cell.attack):
        control = evidence.control_of(cell)
        if control is None:
            continue
        votes = [m.judged.majority_correct for m in (control, cell)]
        yield _no_gain("majority no better than clean", cell, *votes)
        draws = min(m.correct.shape[1] for m in (control, cell))
        every = [m.correct[:, :draws].all(axis=1) for m in (control, cell)]
        yield _no_gain("worst draw no better than clean", cell, *every)


def _no_gain(check: str, cell: Measured, clean: np.ndarray, left: np.ndarray) -> Finding:
    """Of verdicts (images,) on clean and on attacked images."""
    gain = float(left.mean() - clean.mean())
    p = paired_test(clean[:, None], left[:, None], cell.judged.clusters, "greater") if gain > 0 else 1.0
    if np.isnan(p):
        return too_few_slides(check, [cell.path], f": {100 * gain:.1f} points more are right under attack")
    meaning = f"{left.mean():.1%} are right under {cell.judged.row['attack']}, {clean.mean():.1%} when clean"
    meaning += f" (p = {p:.2g}): an attack cannot help." if p < VIOLATION else "."
    return Finding(check, FAIL if p < VIOLATION else PASS, [cell.path], 100 * gain, 0.0, meaning)


def identity(evidence: Evidence) -> Iterator[Finding]:
    """Without noise most purifiers are the identity: every verdict is the undefended one."""
    check = "sigma 0 is no defence"
    cells = [m for m in evidence.measured if m.cell.defence.purifier and not _defends(evidence, m)]
    for cell in cells:
        bare = next(
            (
                m
                for m in evidence.measured
                if m.cell.defence.purifier is None
                and (m.cell.classifier, m.cell.stack) == (cell.cell.classifier, cell.cell.stack)
            ),
            None,
        )
        if bare is None:
            continue
        differing = int((cell.correct != bare.correct[:, :1]).sum())
        meaning = (
            f"{differing} verdicts of {cell.name} differ from those without a defence; at sigma 0 it does nothing."
        )
        yield Finding(check, FAIL if differing else PASS, [cell.path], differing, 0, meaning)
    if not cells:
        yield does_not_apply(check, [], "No purifier of the study that needs noise has a sigma of 0.")


def worst_case(evidence: Evidence) -> Iterator[Finding]:
    """All or nothing is no more than what the strongest single attack leaves."""
    table = evidence.worst_cases
    known = {tuple(_text(row[name]) for name in GROUP): row for row in table.to_dict("records")}
    for cells in evidence.groups(lambda m: m.judged.key(*GROUP), lambda m: m.attack is not None):
        row = known.get(tuple(_text(value) for value in cells[0].judged.key(*GROUP)))
        subjects = [cell.path for cell in cells]
        alone = min(float(cell.correct.all(axis=1).mean()) for cell in on_shared(*cells))
        if row is None:
            meaning = f"worst_case.csv has no row for {cells[0].name} at eps {cells[0].eps:.4g}; run summarise again."
            yield Finding("worst case below every attack", FAIL, subjects, float("nan"), alone, meaning)
            continue
        found = float(row["all_or_nothing"])
        status = at_most(found, alone + 1e-9, alone + 1e-9)
        meaning = (
            f"{found:.1%} are right under every attack in every draw; the strongest attack alone leaves {alone:.1%}."
        )
        yield Finding("worst case below every attack", status, subjects, found, alone, meaning)


def known_noise(evidence: Evidence) -> Iterator[Finding]:
    """The part of what is left under an attack through the defence that is owed to its noise being unknown."""
    check = "gap to known noise"
    found, attacked = False, False
    for cells in evidence.groups(
        lambda m: (m.cell.classifier, m.attack.ball, m.attack.target, m.eps, m.cell.defence),
        lambda m: m.attack is not None and m.cell.defence.purifier is not None and m.own,
    ):
        attacked = True
        adaptive = strongest(cell for cell in cells if cell.white_box and cell.attack.threat.fresh)
        locked = strongest(cell for cell in cells if cell.direct and cell.attack.threat.judged_draws is not None)
        if adaptive is None or locked is None:
            continue
        found = True
        adaptive, locked = on_shared(adaptive, locked)
        gap = adaptive.accuracy - locked.accuracy
        meaning = (
            f"Attacked through, {adaptive.name} keeps {adaptive.accuracy:.1%}; with its noise known "
            f"{locked.accuracy:.1%}: {100 * gap:.1f} points are owed to chance."
        )
        yield Finding(check, at_most(gap, OWED_TO_NOISE, np.inf), [adaptive.path], gap, OWED_TO_NOISE, meaning)
    if not attacked:
        yield does_not_apply(check, [], "No defence was attacked.")
    elif not found:
        why = "No defence was attacked both with its noise fresh (adaptive) and known (locked), at the same eps"
        yield not_run(check, [], why, "add an attack with threat: adaptive and one with threat: locked")


def fine_tuning(evidence: Evidence) -> Iterator[Finding]:
    """A diffusion that goes on from another one is another one in the end: else the two are one defence, twice."""
    check = "fine-tuned diffusion differs from its start"
    for name, cells in fine_tuned(evidence.study).items():
        subjects = [f"scores/{cell.path}" for cell in cells]
        facts = read_manifest(evidence.results / "diffusions" / name)["facts"]
        if CHANGE not in facts:
            yield not_run(check, subjects, f"The training of {name} diverged", "lower its learning_rate")
            continue
        change, start = 255 * facts[CHANGE], evidence.study.diffusions[name].start
        meaning = f"The estimates of {name} and of {start}, its start, differ by {change:.2f} grey levels (RMS)."
        yield Finding(check, at_least(change, CHANGE_WARN, CHANGE_FAIL), subjects, change, CHANGE_WARN, meaning)


def _defended(cell: Measured) -> tuple:
    return cell.cell.classifier, cell.cell.defence


def _defends(evidence: Evidence, cell: Measured) -> bool:
    return defends(evidence.study, cell.judged.row["defence"], cell.judged.row["sigma"])


def _text(value: object) -> str:
    return f"{value:.10g}" if isinstance(value, int | float) else str(value)
