"""Checks of the attacks themselves: that the ball is within reach, and what the probes of the networks measured."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from assay.evaluation.checks.evidence import Evidence
from assay.evaluation.checks.finding import FAIL, PASS, WARN, Finding, at_least, at_most, does_not_apply, not_run
from assay.planning.cells import probed_stacks
from assay.study.attacks import Attack
from assay.study.probing import follows_gradients
from assay.study.purifiers import Purifier

# From a random start every point of the ball is at most two radii away, along each axis.
REACH_WARN, REACH_FAIL = 2.0, 1.0
# One image in fifty may happen to lie where nothing changes; one in ten is a masked gradient.
ZERO_WARN, ZERO_FAIL = 0.02, 0.10
# A network's kinks cost a thousandth of the gradient's energy. What loses a twentieth does so by its making.
CAPTURED_WARN, CAPTURED_FAIL = 0.95, 0.90
# A network of few channels has exact zeros of its own, where none of them is active: many are a hint, and no proof.
ENTRIES_WARN = 0.25
# A cosine of 0.2 between two queries is a signal a quarter of the noise; at 0.02 the direction is noise.
HALVES_WARN, HALVES_FAIL = 0.20, 0.02
# A search that works raises the loss of nearly every image.
ROSE_WARN, ROSE_FAIL = 0.95, 0.50
# Float sums in another order move logits by their last digits.
BATCH_WARN, BATCH_FAIL = 1e-3, 1e-2
# Now and then an answer looks like probabilities; half of them do not.
PROBABILITIES_WARN, PROBABILITIES_FAIL = 0.1, 0.5
# A sound attack finds an image that is known to exist on nearly every try (Zimmermann et al. 2022).
FOUND_WARN, FOUND_FAIL = 0.95, 0.75
# If random noise finds it often, the test was easy; at half of the images it tells nothing, for or against the attack.
LUCK_WARN, MOST_LUCK = 0.10, 0.50
FEWEST_PLANTED = 0.5  # of the images: with fewer, those that remain are the easy ones
SUSPICION = 0.05  # p-value below which another attack is said to leave less
# What the presets promise is 2 points; a defence that hides more than 5 must not pass.
GAIN_WARN, GAIN_FAIL = 0.02, 0.05


@dataclass(frozen=True)
class Rule:
    """A number of a probe, the two limits that it is held against, and what it means, `{n}` standing for it.

    Between limits that rise the number should be small, between limits that fall large; where they are equal there is
    no warning, and the number must not be above.
    """

    check: str
    key: str
    warn: float
    fail: float
    meaning: str

    def judge(self, found: dict[str, Any], subjects: list[str]) -> Finding:
        number = found[self.key]
        status = (at_most if self.warn <= self.fail else at_least)(number, self.warn, self.fail)
        return Finding(self.check, status, subjects, number, self.warn, self.meaning.format(n=number))


ROSE = "loss rose"
GRADIENTS = [
    Rule(
        *("zero gradients at the start", "zero_start", ZERO_WARN, ZERO_FAIL),
        "At {n:.0%} of the clean images the gradient is zero: there is nothing to follow.",
    ),
    Rule(
        *("zero gradients at the end", "zero_end", ZERO_WARN, ZERO_FAIL),
        "At {n:.0%} of the adversarial images the gradient is zero: the search could not have gone on.",
    ),
    Rule(
        *("finite gradients at the start", "not_finite_start", 0, 0),
        "At {n:.0%} of the clean images the gradient is not finite.",
    ),
    Rule(
        *("finite gradients at the end", "not_finite_end", 0, 0),
        "At {n:.0%} of the adversarial images the gradient is not finite.",
    ),
    Rule(
        *("few zeros in the gradient", "zero_entries", ENTRIES_WARN, math.inf),
        "{n:.0%} of the gradient's entries are exactly zero; the attack leaves those values as they are.",
    ),
    Rule(
        *("gradient above its noise", "halves", HALVES_WARN, HALVES_FAIL),
        "Gradients of two queries with fresh noise have a cosine of {n:.2f}; more draws raise it.",
    ),
    Rule(
        *(ROSE, "rose", ROSE_WARN, ROSE_FAIL),
        "The attack raised the loss of {n:.0%} of the images that were right.",
    ),
    Rule(
        *("same noise, same answer", "replay", 0, 0),
        "Two passes under the same noise differ by {n:.2g} in a logit.",
    ),
    Rule(
        *("answers do not depend on the batch", "batch", BATCH_WARN, BATCH_FAIL),
        "Alone and in a batch an image's logits differ by {n:.2g} of their size.",
    ),
    Rule(
        *("evaluation mode", "training_modules", 0, 0),
        "{n} modules of the victim are in training mode.",
    ),
    Rule(
        *("the victim gives logits", "probabilities", PROBABILITIES_WARN, PROBABILITIES_FAIL),
        "{n:.0%} of the victim's answers are probabilities; bounded answers hide the gradient.",
    ),
]
CAPTURED = {
    "all": "The gradient captures {n:.0%} of the loss's slopes at the {where} images, by finite differences.",
    "band": "In the band of frequencies where it captures least, the gradient has {n:.0%} of the loss's slopes at the "
    "{where} images.",
    "colour": "In the colour where it captures least, the gradient has {n:.0%} of the loss's slopes at the {where} "
    "images.",
}
CAPTURES = {
    "all": "gradient is the loss's slope",
    "band": "gradient has every frequency",
    "colour": "gradient has every colour",
}
WHERE = {"start": "clean", "end": "adversarial"}
JUDGED = "it is judged by what the attack leaves"
CONVERGED, IDENTITY, ANSWERS = "attack converged", "identity leaves no less", "answers alone leave no less"
UNCHANGED = Rule(
    *("attack leaves the networks alone", "parameters_changed", 0, 0),
    "{n} parameters or statistics of the networks changed while the attack ran.",
)
ACTIVE = [
    Rule(
        *("finds a planted image", "found", FOUND_WARN, FOUND_FAIL),
        "Where an adversarial image is known to lie in the ball, the attack finds one for {n:.0%} of the images.",
    ),
    Rule(
        *("random noise misses the planted image", "random", LUCK_WARN, math.inf),
        "Random noise of the same size finds one for {n:.0%}; if it often did, the test would be too easy.",
    ),
]


def find(evidence: Evidence) -> Iterator[Finding]:
    """Every check of this family."""
    probed = set(probed_stacks(evidence.study))
    for attacked in evidence.attacked:
        attack = evidence.study.attacks[attacked.attack]
        if not follows_gradients(attack):
            continue
        purifier = evidence.study.purifiers.get(attacked.victim.purifier)
        slopes = partial(gradients, purifier=purifier)
        judges = {"gradients": slopes, "convergence": convergence, "blinder": blinder, "active": active}
        subjects = [f"adversarial/{attacked.path}"]
        yield from reach(attack, attacked.eps, subjects)
        probe = evidence.probe(attacked) if attacked in probed else {}
        for name, found in probe.items():
            yield from judges[name](found, attack, subjects)
        for name in judges:
            if not getattr(evidence.study.checks, name):
                why = f"The study does not ask for the probe of {name}"
                yield not_run(f"probe of {name}", subjects, why, f"add checks: {{{name}: true}}")
            elif attacked not in probed:
                why = "The study probes other attacks, or this one at another eps"
                yield not_run(f"probe of {name}", subjects, why, "add it to the attacks and eps of checks")


def reach(attack: Attack, eps: float, subjects: list[str]) -> Iterator[Finding]:
    """The steps together are long enough to cross the ball."""
    steps, size = getattr(attack, "steps", None), getattr(attack, "step_size", None)
    if steps is None or size is None or eps == 0:
        return  # one step of eps, steps of 10 eps in all, or steps that adapt: within reach by their making
    travel = steps * size / eps
    meaning = f"{steps} steps of {size:.4g} travel {travel:.2g} eps; from one side of the ball to the other are 2."
    yield Finding("ball within reach", at_least(travel, REACH_WARN, REACH_FAIL), subjects, travel, REACH_WARN, meaning)


def stand_in(attack: Attack, purifier: Purifier | None) -> str | None:
    """Why the gradient that an attack follows through a purifier, if any, is by design not that of its loss; None where
    it is: only then finite differences may judge it."""
    if not attack.threat.backward:
        return f"Under the threat {attack.threat.name} the gradient is not the loss's, by design: {JUDGED}."
    if purifier and not purifier.backward:
        return f"The purifier's gradient is a stand-in for its own, by design: {JUDGED}."
    return None


def gradients(
    found: dict[str, Any], attack: Attack, subjects: list[str], purifier: Purifier | None = None
) -> Iterator[Finding]:
    """What was measured of the gradients that the attack follows, through a purifier if there is one."""
    by_design = stand_in(attack, purifier)
    for rule in GRADIENTS:
        if found[rule.key] is None:
            why = "The victim is right on none of the probed images, even when clean"
            yield not_run(rule.check, subjects, why, "probe more of them, checks: {images: 64}")
        else:
            yield rule.judge(found, subjects)
    for part, check in CAPTURES.items():
        if by_design:
            yield does_not_apply(check, subjects, by_design)
            continue
        shares = {place: found[f"captured_{place}"][part] for place in WHERE}
        least = min(shares, key=lambda place: -math.inf if math.isnan(shares[place]) else shares[place])
        status = at_least(shares[least], CAPTURED_WARN, CAPTURED_FAIL)
        meaning = CAPTURED[part].format(n=shares[least], where=WHERE[least])
        yield Finding(check, status, subjects, shares[least], CAPTURED_WARN, meaning)


def convergence(found: dict[str, Any], attack: Attack, subjects: list[str]) -> Iterator[Finding]:
    """Whether the attack, given more, would have left less."""
    if attack.iterations == 1:
        why = "The attack is one step by design; those of many steps are held to leave no more."
        yield does_not_apply(CONVERGED, subjects, why)
    else:
        what = "Made again from another start, and going on from its best points with twice the draws, the attack"
        what = what if attack.threat.fresh else "Made again from another start, and going on from it, the attack"
        yield _gained(CONVERGED, found["more"], found, what, "it did not converge", subjects)
        again, gain = found["again"], abs(found["again"]["gain"])
        meaning = (
            f"From another start the attack leaves {again['accuracy']:.1%} of the {found['images']} probed images in "
            f"place of {found['accuracy']:.1%}: so much of the number is the luck of the start."
        )
        status = at_most(gain, max(GAIN_FAIL, _chance(found)), math.inf)
        yield Finding("another start leaves as much", status, subjects, 100 * gain, 100 * GAIN_FAIL, meaning)
    yield UNCHANGED.judge(found, subjects)


def blinder(found: dict[str, Any], attack: Attack, subjects: list[str]) -> Iterator[Finding]:
    """Whether an attack that sees less than the gradient leaves less: if so, the gradient is masked."""
    masked = "the gradient is masked"
    if found["identity"] is None:
        why = "No purifier's gradient is followed, or it is taken for the identity already."
        yield does_not_apply(IDENTITY, subjects, why)
    else:
        what = "Going on with the purifier's gradient taken for the identity, an attack"
        yield _gained(IDENTITY, found["identity"], found, what, masked, subjects)
    yield _gained(ANSWERS, found["answers"], found, "Going on by answers alone, an attack", masked, subjects)


def _gained(
    check: str, other: dict[str, float], found: dict[str, Any], what: str, otherwise: str, subjects: list[str]
) -> Finding:
    """The finding that an attack which goes on gains next to nothing: the number is its gain, in points.

    It passes where these images leave no room for a gain of GAIN_FAIL; where they do, nothing is known.
    """
    gain, seen = other["gain"], other["p"] < SUSPICION
    meaning = (
        f"{what} leaves {other['accuracy']:.1%} of the {found['images']} probed images in place of "
        f"{found['accuracy']:.1%} (p = {other['p']:.2g}; it could gain {100 * other['at_most']:.1f} points at most)"
    )
    if seen and gain > GAIN_WARN:
        status = FAIL if gain > GAIN_FAIL else WARN
        meaning += f": {otherwise}."
    elif other["at_most"] > GAIN_FAIL:
        add = f"test and probe more images, checks: {{images: {2 * found['images']}}}"
        return not_run(check, subjects, meaning + f": {100 * GAIN_FAIL:g} points could have gone unseen", add)
    else:
        status, meaning = PASS, meaning + "."
    return Finding(check, status, subjects, 100 * gain, 100 * GAIN_FAIL, meaning)


def _chance(found: dict[str, Any]) -> float:
    """Twice the standard error of the difference of two attacks that leave as much, on so many images of one draw."""
    p = found["accuracy"]
    return 2 * (2 * p * (1 - p) / found["images"]) ** 0.5


def active(found: dict[str, Any], attack: Attack, subjects: list[str]) -> Iterator[Finding]:
    """Whether the attack finds what is known to be there (Zimmermann et al. 2022)."""
    if found["planted"] < FEWEST_PLANTED:
        why = f"Adversarial images could be planted in {found['planted']:.0%} of the balls only: noise hides them."
        yield does_not_apply(ACTIVE[0].check, subjects, why)
        return
    if found["random"] > MOST_LUCK:
        why = f"Random noise of the same size finds the planted image for {found['random']:.0%}: it was too easy."
        yield does_not_apply(ACTIVE[0].check, subjects, why)
        return
    for rule in ACTIVE:
        yield rule.judge(found, subjects)
