"""What a check finds: a status, the number that it rests on, and a sentence that says what that means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

PASS, WARN, FAIL, NOT_RUN, NOT_APPLICABLE = "PASS", "WARN", "FAIL", "NOT RUN", "DOES NOT APPLY"
# The worst first: what was not looked at is not known to be right.
SEVERITY = [FAIL, WARN, NOT_RUN, PASS, NOT_APPLICABLE]
NAN = float("nan")


@dataclass(frozen=True)
class Finding:
    """One line of checks.csv.

    `subjects` are the places, below the study's folder, of what is in doubt if the check does not pass: scores or
    adversarial stacks. `number` is held against `threshold`; where there are two, against that of a warning.
    """

    check: str
    status: str
    subjects: Sequence[str]
    number: float
    threshold: float
    meaning: str


def at_most(number: float, warn: float, fail: float) -> str:
    """The status of a number that should be small: above `warn` it warns, above `fail` it fails."""
    return FAIL if not number <= fail else WARN if not number <= warn else PASS


def at_least(number: float, warn: float, fail: float) -> str:
    """The status of a number that should be large: below `warn` it warns, below `fail` it fails."""
    return FAIL if not number >= fail else WARN if not number >= warn else PASS


def not_run(check: str, subjects: Sequence[str], why: str, add: str) -> Finding:
    """A check that could have been run, and was not: why, and what to `add` to the config.

    It is about what it would have been about. A comparison that the study lacks altogether is about no cell.
    """
    return Finding(check, NOT_RUN, subjects, NAN, NAN, f"{why}; {add}.")


def too_few_slides(check: str, subjects: Sequence[str], what: str) -> Finding:
    """A check that was not run because the test images come from too few slides to tell `what`.

    `what` goes on after these words: ` whether …`, or `: …`.
    """
    why = f"The images come from too few slides to tell{what}"
    return not_run(check, subjects, why, "test on images of more slides")


def does_not_apply(check: str, subjects: Sequence[str], why: str) -> Finding:
    """A check that has nothing to say of its subjects, whatever the config; it lowers no verdict."""
    return Finding(check, NOT_APPLICABLE, subjects, NAN, NAN, why)
