"""Checks of the attacks themselves: that the ball is within reach, and what the probes of the networks measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from assay.evaluation.checks.evidence import Evidence
from assay.evaluation.checks.finding import FAIL, PASS, WARN, Finding, at_least, at_most, does_not_apply, not_run
from assay.study.attacks import Attack
from assay.study.probing import follows_gradients
from assay.study.purifiers import Purifier

# From a random start every point of the ball is at most two radii away, along each axis.
REACH_WARN, REACH_FAIL = 2.0, 1.0
# One image in fifty may happen to lie where nothing changes; one in ten is a masked gradient.
ZERO_WARN, ZERO_FAIL = 0.02, 0.10
# Kinks of a network put a finite difference off by more than a tenth at few images.
SLOPE_WARN, SLOPE_FAIL = 0.90, 0.50
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
SUSPICION = 0.05  # p-value below which a doubled attack is said to leave less


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


SLOPE = "gradient is the loss's slope"
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
        *(SLOPE, "along", SLOPE_WARN, SLOPE_FAIL),
        "At {n:.0%} of the images the loss rises along the gradient as that says, by finite differences.",
    ),
    Rule(
        *("gradient in random directions", "random", SLOPE_WARN, SLOPE_FAIL),
        "In random directions gradient and finite differences correlate by {n:.2f}.",
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
        *("random noise misses the planted image", "random", LUCK_WARN, float("inf")),
        "Random noise of the same size finds one for {n:.0%}; if it often did, the test would be too easy.",
    ),
]


def find(evidence: Evidence) -> Iterator[Finding]:
    """Every check of this family."""
    for attacked in evidence.attacked:
        attack = evidence.study.attacks[attacked.attack]
        purifier = evidence.study.purifiers.get(attacked.victim.name)
        judges = {"gradients": partial(gradients, purifier=purifier), "convergence": convergence, "active": active}
        if not follows_gradients(attack):
            continue
        subjects = [f"adversarial/{attacked.path}"]
        yield from reach(attack, attacked.eps, subjects)
        probe = evidence.probe(attacked) if evidence.study.checks.probes else {}
        for name, found in probe.items():
            yield from judges[name](found, attack, subjects)
        for name in judges:
            if not getattr(evidence.study.checks, name):
                why = f"The study does not ask for the probe of {name}"
                yield not_run(f"probe of {name}", subjects, why, f"add checks: {{{name}: true}}")


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
        return f"Under the threat {attack.threat.name} the gradient is not the loss's, by design."
    if purifier and not purifier.backward:
        return "The purifier's gradient is a stand-in for its own, by design."
    return None


def gradients(
    found: dict[str, Any], attack: Attack, subjects: list[str], purifier: Purifier | None = None
) -> Iterator[Finding]:
    """What was measured of the gradients that the attack follows, through a purifier if there is one."""
    by_design = stand_in(attack, purifier)
    for rule in GRADIENTS:
        if rule.check == SLOPE and by_design:
            yield does_not_apply(SLOPE, subjects, by_design)
        elif rule.key == "random" and by_design:
            continue
        elif found[rule.key] is None:
            why = "The victim is right on none of the probed images, even when clean"
            yield not_run(rule.check, subjects, why, "probe more of them, checks: {images: 64}")
        else:
            yield rule.judge(found, subjects)


def convergence(found: dict[str, Any], attack: Attack, subjects: list[str]) -> Iterator[Finding]:
    """Whether the attack, given more, would have left less."""
    doubled = {what: found[what] for what in ("steps", "draws") if found[what] is not None}
    for what, more in doubled.items():
        gain, width = found["accuracy"] - more["accuracy"], found["half_width"]
        status = FAIL if gain > width else WARN if more["p"] < SUSPICION else PASS
        meaning = (
            f"Twice the {what} leave {more['accuracy']:.1%} of the probed images in place of {found['accuracy']:.1%}, "
            f"whose interval reaches {100 * width:.1f} points to either side."
        )
        yield Finding(f"converged in {what}", status, subjects, 100 * gain, 100 * width, meaning)
    if not doubled:
        yield does_not_apply("converged in steps", subjects, "The attack has neither steps nor draws to double.")
    yield UNCHANGED.judge(found, subjects)


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
