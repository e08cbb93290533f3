"""What a check finds: a status, the number that it rests on, and a sentence that says what that means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

PASS, WARN, FAIL, NOT_RUN = "PASS", "WARN", "FAIL", "NOT RUN"
SEVERITY = [FAIL, WARN, PASS, NOT_RUN]  # the worst first
NAN = float("nan")
TOO_FEW_SLIDES = "The images come from too few slides to tell"


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


def not_run(check: str, subjects: Sequence[str], why: str) -> Finding:
    """A check that there was nothing for."""
    return Finding(check, NOT_RUN, subjects, NAN, NAN, why)
