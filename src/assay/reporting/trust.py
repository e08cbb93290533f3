"""What the checks say of a number: the worst status of every check that concerns the cells that it rests on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd
from markupsafe import Markup, escape

from assay.evaluation.checks.finding import FAIL, NOT_APPLICABLE, NOT_RUN, PASS, SEVERITY, WARN

EVERY_CELL = "images/test"  # as a subject
MARKS = {
    PASS: ("✓", "pass"),
    WARN: ("!", "warn"),
    FAIL: ("✗", "fail"),
    NOT_RUN: ("–", "not run"),
    NOT_APPLICABLE: ("·", "does not apply"),
}
STARTS = {FAIL: "Not to be relied on", WARN: "To be read with care", NOT_RUN: "Not wholly checked"}


@dataclass(frozen=True)
class Verdict:
    """The worst status among some findings, and what those of that status mean: each meaning once."""

    status: str
    meanings: list[str]

    @property
    def failed(self) -> bool:
        return self.status == FAIL

    @property
    def mark(self) -> str:
        """The sign of a doubt; empty where there is none."""
        return "" if self.status == PASS else MARKS[self.status][0]

    @property
    def order(self) -> int:
        """Its place when sorted: the worst first."""
        return SEVERITY.index(self.status)

    @property
    def why(self) -> str:
        """All meanings, one a line, if there is something to say against the number."""
        return "" if self.status == PASS else "\n".join(self.meanings)


class Checked:
    """The checks of a study, by the places that they concern."""

    def __init__(self, checks: pd.DataFrame):
        """`checks` as `read_checks` returns them."""
        self._by_place: dict[str, list[int]] = defaultdict(list)
        self._findings = list(checks[["status", "meaning"]].itertuples(index=False, name=None))
        for index, subject in enumerate(checks["subject"]):
            for place in subject.split():
                self._by_place[place].append(index)

    def __call__(self, scores: Iterable[str]) -> Verdict:
        """The verdict on a number that rests on these cells, named by their `scores` in the summary."""
        return self.at(place for cell in scores for place in places_of(cell))

    def at(self, places: Iterable[str]) -> Verdict:
        """The verdict on a number that rests on what lies at these places.

        Checks that do not apply have no say in it.
        """
        found = sorted({index for place in set(places) for index in self._by_place.get(place, [])})
        found = [index for index in found if self._findings[index][0] != NOT_APPLICABLE]
        status = worst(self._findings[index][0] for index in found)
        meanings = dict.fromkeys(self._findings[index][1] for index in found if self._findings[index][0] == status)
        return Verdict(status, list(meanings))


def places_of(scores: str) -> list[str]:
    """The places that a cell's number rests on: its scores, its adversarial stack if it has one, the test images.

    Scores are stored at classifier/stack/purifier/sigma, so the stack follows from the place.
    """
    stack = "/".join(scores.split("/")[1:-2])
    return [f"scores/{scores}", f"adversarial/{stack}", EVERY_CELL]


def worst(statuses: Iterable[str]) -> str:
    """The worst of some statuses; not run where there are none."""
    return min(statuses, key=SEVERITY.index, default=NOT_RUN)


@dataclass(frozen=True)
class Sentence:
    """A sentence of the report, and the cells (their `scores`) that it rests on."""

    text: Markup
    scores: list[str]

    def __add__(self, other: Sentence) -> Sentence:
        return Sentence(self.text + other.text, list(dict.fromkeys([*self.scores, *other.scores])))


def scores_of(row: Any) -> list[str]:
    """The cells that a row rests on: its own of the summary, and all of them of the strongest attacks."""
    return [row.scores] if isinstance(row.scores, str) else list(row.scores)


def said(text: Markup | str, *rows: Any) -> Sentence:
    """A sentence that rests on some rows of the summary or of the strongest attacks; those that are None do not
    count."""
    cells = [cell for row in rows if row is not None for cell in scores_of(row)]
    return Sentence(escape(text), list(dict.fromkeys(cells)))


@dataclass(frozen=True)
class Judged:
    """What the checks say of a claim: `note` is for the reader, and is empty where nothing is to be said."""

    verdict: Verdict
    note: str


class Judge:
    """Judges the claims of a page in the order in which they are read: a reason is given where it first counts, and
    where it counts again it is only pointed at."""

    def __init__(self, checked: Checked):
        self.checked = checked
        self._given: set[str] = set()

    def __call__(self, scores: Iterable[str]) -> Judged:
        """The judgement of a claim that rests on these cells."""
        verdict = self.checked(scores)
        return Judged(verdict, self._note(verdict))

    def _note(self, verdict: Verdict) -> str:
        if verdict.status not in STARTS or not verdict.meanings:
            return ""
        reason, others = verdict.meanings[0], len(verdict.meanings) - 1
        known = reason in self._given
        self._given.add(reason)
        if known:
            return "Not to be relied on, for a reason given above." if verdict.failed else ""
        return f"{STARTS[verdict.status]}: {reason}" + (f" And {others} more." if others else "")
