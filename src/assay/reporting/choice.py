"""The defence that the report speaks of: of those that were attacked directly, the one that keeps most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from assay.planning.cells import OTHER, defends
from assay.reporting.ladder import noise_alone
from assay.reporting.read import pick
from assay.reporting.strongest import SELECTED, ranked
from assay.study.model import Study

WIPED = 0.5  # an eps in L-infinity at which any image can be made grey: a control


@dataclass(frozen=True)
class Choice:
    """A classifier, its one defence, and the rows that speak of both; None where not measured.

    `chosen` and `undefended` are rows of the strongest attacks, on the defence and without one. The others are rows of
    the summary: `bare` the strongest attack without a defence, `alone` the one attack that leaves the defence least,
    `through` the strongest through it whose noise is fresh, `known` the strongest that knows the noise, `transfer` the
    strongest that does not know the defence; `strongest` has the strongest attack of each threat. Where the defence was
    attacked by none but those who know the noise, `chosen` is `known`.
    """

    classifier: str
    attacks: list[str]
    norm: str | None
    eps: float | None
    clean: Any
    bare: Any
    undefended: Any = None
    chosen: Any = None
    among: int = 0
    price: Any = None
    alone: Any = None
    transfer: Any = None
    through: Any = None
    known: Any = None
    strongest: tuple[Any, ...] = ()

    @property
    def speaks_of(self) -> list[tuple[str, float]]:
        """The attacks that it rests on, with their eps; on clean images `none` at 0."""
        rows = [row for row in (self.clean, self.bare, *self.strongest) if row is not None]
        return list(dict.fromkeys((row.attack, row.eps) for row in rows))


def choices(summary: pd.DataFrame, strongest: pd.DataFrame, study: Study) -> list[Choice]:
    """The choice for each classifier, in the summary's order; `summary` as `with_knowledge` and `with_bounds` return
    it, `strongest` as `as_rows` does."""
    tables = (summary, strongest)
    return [
        _choice(name, *(pick(table, classifier=name) for table in tables), study)
        for name in summary["classifier"].unique()
    ]


def attacks_of(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows under attacks of the classifier itself, without controls: blind attacks and eps that wipe images."""
    return _unwiped(rows[(rows["attack"] != "none") & ~rows["control"] & ~rows["attack"].str.contains(OTHER)])


def strongest(rows: pd.DataFrame, *cell: str) -> pd.DataFrame:
    """Of each defence (or other cell) the row of the attack that leaves least."""
    return rows.loc[rows.groupby([*(cell or ("defence", "sigma"))], sort=False)["accuracy"].idxmin()]


def weakest(rows: pd.DataFrame) -> Any:
    """The row in which least is left; None if there is none."""
    return None if rows.empty else only(rows.loc[[rows["accuracy"].idxmin()]])


def only(rows: pd.DataFrame) -> Any:
    """The first row; None if there is none."""
    return next(rows.itertuples(), None)


def _choice(classifier: str, rows: pd.DataFrame, worth: pd.DataFrame, study: Study) -> Choice:
    attacked = attacks_of(rows)
    clean = only(pick(rows, attack="none", defence="none"))
    candidates = _candidates(_unwiped(worth), attacked, study)
    told = attacked if candidates.empty else candidates
    if told.empty:
        return Choice(classifier, [], None, None, clean, None)
    norm = told["norm"].iloc[0]
    eps = float(pick(told, norm=norm)["eps"].max())
    here = pick(attacked, norm=norm, eps=eps)
    bare = weakest(pick(here, defence="none", shared=True))
    undefended = only(pick(worth, norm=norm, eps=eps, defence="none"))
    names = list(here["attack"].unique())
    if candidates.empty:
        return Choice(classifier, names, norm, eps, clean, bare, undefended)
    best = ranked(pick(candidates, norm=norm, eps=eps))
    chosen = only(best)
    defence = {"defence": chosen.defence, "sigma": chosen.sigma}
    own = pick(here, **defence)
    through = own[~own["shared"]]
    known = weakest(through[~through["fresh"]])
    by_threat = strongest(own, "place").sort_values("place", kind="stable")
    return Choice(
        classifier, names, norm, eps, clean, bare, undefended, chosen,
        among=len(best),
        price=only(pick(rows, attack="none", **defence)),
        alone=only(pick(rows, attack=chosen.alone, norm=norm, eps=eps, **defence)),
        transfer=weakest(pick(own, shared=True)),
        through=weakest(through[through["fresh"]]),
        known=known,
        strongest=tuple(by_threat.itertuples()),
    )  # fmt: skip


def _candidates(worth: pd.DataFrame, attacked: pd.DataFrame, study: Study) -> pd.DataFrame:
    """The rows by which the defences are compared: the strongest attacks on those that were attacked directly, else on
    all, else the attacks that know the noise. Noise alone counts only where there is nothing else; a sigma that was
    selected on other images comes before those that would be chosen on the test images."""
    known = strongest(attacked[~attacked["shared"] & ~attacked["fresh"]], "norm", "eps", "defence", "sigma")
    known = known.assign(alone=known["attack"], selected=known["scores"].str.endswith(SELECTED))
    tables = [_defended(table, study) for table in (worth[worth["direct"] == 1], worth, known)]
    repaired = {defence for table in tables for defence in table["defence"]} - noise_alone(study)
    for table in tables:
        found = table[table["defence"].isin(repaired)] if repaired else table
        if not found.empty:
            return found[found["selected"]] if found["selected"].any() else found
    return known[:0]


def _defended(rows: pd.DataFrame, study: Study) -> pd.DataFrame:
    """The rows of purifiers that do something: without noise most are the identity."""
    defended = [defends(study, row.defence, row.sigma) for row in rows.itertuples()]
    return rows[pd.Series(defended, rows.index, dtype=bool)]


def _unwiped(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows without the eps at which any image can be made grey, unless there is no other."""
    wiped = (rows["norm"] == "Linf") & (rows["eps"] >= WIPED)
    return rows if wiped.all() else rows[~wiped]
