"""Checks of the order that attacks must have: one who may do more, or knows more, cannot leave more.

All are paired on the images. Where the order is broken, the attack that should have left less is in doubt: it was not
found, which is no sign that it is not there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

from assay.evaluation.checks.evidence import Evidence, Measured, more_is_left, on_shared, strongest
from assay.evaluation.checks.finding import FAIL, PASS, WARN, Finding, at_most, does_not_apply, not_run, too_few_slides
from assay.evaluation.knowledge import counts, is_direct
from assay.evaluation.statistics.paired import paired_difference
from assay.planning.cells import defends, eps_label

# Beyond noise: one broken order in a hundred is put down to chance, one in twenty is mentioned.
VIOLATION, SUSPICION = 0.01, 0.05
# AutoAttack's rule: a black box that leaves 0.2 points less than the white box shows that gradients are masked.
BLACK_BOX_MARGIN = 0.002
# Half of the whole range of values: an image can be made grey, so that nothing of it is left.
LARGE_EPS = {"Linf": 0.5}
LARGE_EPS_LEFT = 0.05
# At the largest eps of a study an attack on the bare classifier leaves next to nothing, or it does not work.
BARE_LEFT = 0.05


def find(evidence: Evidence) -> Iterator[Finding]:
    """Every check of this family."""
    yield from falls_with_eps(evidence)
    yield from large_eps(evidence)
    yield from positive_control(evidence)
    yield from iterative(evidence)
    yield from beats_random(evidence)
    yield from rung(evidence)
    yield from ladder(evidence)
    yield from black_box(evidence)


def ordered(check: str, stronger: Measured, weaker: Measured, names: tuple[str, str]) -> Finding:
    """The finding that a stronger attack left no more than a weaker one; its number is what it left more, in points."""
    stronger, weaker = on_shared(stronger, weaker)
    excess = stronger.accuracy - weaker.accuracy
    p = more_is_left(stronger, weaker) if excess > 0 else 1.0
    if math.isnan(p):
        what = f": {names[0]} leaves {100 * excess:.1f} points more of {stronger.name} than {names[1]}"
        return too_few_slides(check, [stronger.path], what)
    status = FAIL if p < VIOLATION else WARN if p < SUSPICION else PASS
    meaning = f"{names[0]} leaves {stronger.accuracy:.1%} of {stronger.name}, {names[1]} {weaker.accuracy:.1%}"
    if status != PASS:
        meaning += f" (p = {p:.2g}): the first must not leave more, so it probably did not converge"
    return Finding(check, status, [stronger.path], 100 * excess, 0.0, meaning + ".")


def falls_with_eps(evidence: Evidence) -> Iterator[Finding]:
    """A larger ball holds the smaller one. The clean images are the ball of eps 0."""

    def searched(cell: Measured) -> bool:
        return cell.attack is not None and not cell.control

    for cells in evidence.groups(lambda m: (*m.judged.key("classifier", "attack"), m.cell.defence), searched):
        series = sorted(cells, key=lambda cell: cell.eps)
        series = [cell for cell in [evidence.control_of(cells[0]), *series] if cell]
        name = str(series[-1].judged.row["attack"])
        for smaller, larger in pairwise(series):
            names = (
                f"{name} at eps {larger.eps:.4g}",
                f"{name} at {smaller.eps:.4g}" if smaller.attack else "no attack",
            )
            yield ordered("falls with eps", larger, smaller, names)


def large_eps(evidence: Evidence) -> Iterator[Finding]:
    """Where eps lets an image be wiped out, an attack on what it is judged against leaves nothing."""
    check = "a large eps leaves nothing"
    large = [
        cell
        for cell in evidence.measured
        if cell.white_box and cell.eps >= LARGE_EPS.get(cell.attack.ball, float("inf"))
    ]
    if not large:
        why = f"No attack that follows gradients has an eps of {LARGE_EPS['Linf']:g} or more"
        yield not_run(check, [], why, f"add the eps {LARGE_EPS['Linf']:g} to one")
    for cell in large:
        status = at_most(cell.accuracy, LARGE_EPS_LEFT, cell.chance)
        meaning = (
            f"{cell.judged.row['attack']} at eps {cell.eps:.3g} leaves {cell.accuracy:.1%} of {cell.name}; "
            f"guessing is right on {cell.chance:.0%}, and an attacker who may do this much leaves next to nothing."
        )
        yield Finding(check, status, [cell.path], cell.accuracy, LARGE_EPS_LEFT, meaning)


def positive_control(evidence: Evidence) -> Iterator[Finding]:
    """The attacks work where they are known to: on the bare classifier, at the largest eps.

    A stack that does not is in doubt wherever it was shown. A classifier that was trained on attacked images is no such
    place: what is left of it is its own doing.
    """
    check = "attack works undefended"
    for classifier, trained in evidence.study.classifiers.items():
        if trained.kind == "trained" and trained.objective.method == "adversarial":
            why = f"{classifier} was trained on attacked images: what they leave of it is its own."
            yield does_not_apply(check, [], why)
            continue
        bare = [
            cell
            for cell in evidence.measured
            if cell.cell.classifier == classifier and cell.white_box and not cell.cell.defence.purifier and cell.eps
        ]
        for norm in dict.fromkeys(cell.attack.ball for cell in bare):
            largest = max(cell.eps for cell in bare if cell.attack.ball == norm)
            cell = strongest(cell for cell in bare if cell.attack.ball == norm and cell.eps == largest)
            meaning = (
                f"{cell.judged.row['attack']} at eps {cell.eps:.4g} leaves {cell.accuracy:.1%} of the bare "
                f"{classifier}; an attack that works leaves next to nothing there, and less than guessing."
            )
            status = at_most(cell.accuracy, BARE_LEFT, cell.chance)
            subjects = [cell.path, f"adversarial/{cell.cell.attacked.path}"]
            yield Finding(check, status, subjects, cell.accuracy, BARE_LEFT, meaning)
        if not bare:
            why = f"No attack that follows gradients was made on the bare {classifier}"
            yield not_run(check, [], why, "add one with threat: transfer")


def iterative(evidence: Evidence) -> Iterator[Finding]:
    """Many steps leave no more than one, of what they are made on: a single step may carry over better to a defence
    that neither knows of (Kurakin et al. 2017)."""
    check = "many steps beat one"
    found = False
    for cells in evidence.groups(_situation, lambda m: m.direct):
        single = strongest(cell for cell in cells if cell.attack.iterations == 1)
        for cell in cells:
            if single and (cell.attack.iterations or 1) > 1 and cell.attack.threat == single.attack.threat:
                found = True
                yield ordered(check, cell, single, (str(cell.judged.row["attack"]), str(single.judged.row["attack"])))
    if not found:
        why = "The study has no attack of one step beside one of many, at the same eps"
        yield not_run(check, [], why, "add one with method: fgsm")


def beats_random(evidence: Evidence) -> Iterator[Finding]:
    """A search leaves no more than a random perturbation of the same size."""
    check = "attack beats random noise"
    found = False
    for cells in evidence.groups(_situation, lambda m: m.attack is not None and m.own):
        random = strongest(cell for cell in cells if cell.control)
        for cell in cells:
            if random and not cell.control:
                found = True
                yield ordered(check, cell, random, (str(cell.judged.row["attack"]), "random noise"))
    if not found:
        why = "The study has no random perturbation beside an attack, at the same eps"
        yield not_run(check, [], why, "add an attack with method: random_sign")


def rung(evidence: Evidence) -> Iterator[Finding]:
    """Every defence is attacked directly at every eps: under attacks that do not know of it any defence looks better
    than it is."""
    check = "defence attacked directly"

    def concerned(m: Measured) -> bool:
        defended = defends(evidence.study, m.judged.row["defence"], m.judged.row["sigma"])
        return m.attack is not None and counts(m.attack) and m.eps > 0 and defended

    for cells in evidence.groups(lambda m: (m.cell.classifier, m.attack.ball, m.eps, m.cell.defence), concerned):
        names = [str(m.judged.row["attack"]) for m in cells if is_direct(m.attack, defended=True, carried=not m.own)]
        of = f"at eps {eps_label(cells[0].eps)} {cells[0].name} was"
        if names:
            status, meaning = PASS, f"Direct: {of} attacked through its gradients by {', '.join(names)}."
        else:
            foreign = all(m.attack.threat.shared or not m.own for m in cells)
            how = "attacked by transfer only" if foreign else "not attacked through its gradients with fresh noise"
            status, meaning = WARN, f"Upper bound: {of} {how}; add an attack with threat: adaptive at this eps."
        yield Finding(check, status, [m.path for m in cells], len(names), 1, meaning)


def ladder(evidence: Evidence) -> Iterator[Finding]:
    """Whoever knows more of the defence leaves no more, by the ranks of the threats: transfer leaves most, then BPDA
    and surrogate, then the exact gradient, then known noise. Of each threat the strongest attack counts."""
    found = False
    for cells in evidence.groups(_situation, lambda m: m.attack and m.own and not m.control and _defended(m)):
        found = True
        threats = {cell.attack.threat.name: cell.attack.threat.rank for cell in cells}
        best = {name: strongest(cell for cell in cells if cell.attack.threat.name == name) for name in threats}
        ranks = {name: rank for name, rank in sorted(threats.items()) if rank is not None}
        for stronger, weaker in ((a, b) for a in ranks for b in ranks if ranks[a] > ranks[b]):
            names = (
                f"{best[stronger].judged.row['attack']} ({stronger})",
                f"{best[weaker].judged.row['attack']} ({weaker})",
            )
            yield ordered(f"{stronger} not weaker than {weaker}", best[stronger], best[weaker], names)
        if any(cell.attack.threat.shared for cell in cells):
            continue
        for cell in cells:
            if is_direct(cell.attack, defended=True, carried=False):
                why = f"At eps {eps_label(cell.eps)} {cell.name} was not attacked by transfer"
                add = "add an attack with threat: transfer at this eps"
                yield not_run(f"{cell.attack.threat.name} not weaker than transfer", [cell.path], why, add)
    if not found:
        yield does_not_apply("adaptive not weaker than transfer", [], "No defence was attacked.")


def black_box(evidence: Evidence) -> Iterator[Finding]:
    """An attack without gradients does not beat those with them; if it does, the gradients are masked."""
    check = "black box not stronger than white box"
    found = False
    for cells in evidence.groups(_situation, lambda m: m.attack is not None and m.own):
        white = strongest(cell for cell in cells if cell.white_box and cell.attack.threat.judged_draws is None)
        for black in cells:
            threat = black.attack.threat
            blind = black.attack.follows == "answers" and threat.exact and threat.judged_draws is None
            if white is None or not (blind and black.direct):
                continue
            found = True
            black, white = on_shared(black, white)
            difference, low, _ = paired_difference(black.correct, white.correct, clusters=black.judged.clusters)
            if math.isnan(low):
                yield too_few_slides(check, [white.path], " whether its gradients are masked")
                continue
            status = FAIL if low > BLACK_BOX_MARGIN else PASS
            meaning = (
                f"{black.judged.row['attack']}, without gradients, leaves {black.accuracy:.1%} of {black.name}, "
                f"{white.judged.row['attack']}, with them, {white.accuracy:.1%}"
            )
            meaning += ": the gradients are masked." if status == FAIL else "."
            yield Finding(check, status, [white.path], 100 * difference, 100 * BLACK_BOX_MARGIN, meaning)
    if not found:
        why = "The study has no black-box attack beside one that follows the exact gradient"
        yield not_run(check, [], why, "add one with method: square, and with threat: blackbox to attack a defence")


def _defended(cell: Measured) -> bool:
    return cell.cell.defence.purifier is not None


def _situation(cell: Measured) -> tuple:
    """What two attacks must share to be compared: classifier, ball, what they search for, and defence."""
    searched = (cell.attack.ball, cell.attack.target) if cell.attack else None
    return cell.cell.classifier, searched, cell.eps, cell.cell.defence
