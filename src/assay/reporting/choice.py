"""The defence that the report speaks of: the best under the strongest attack made through it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from assay.reporting.ladder import OTHER, noise_alone
from assay.reporting.read import pick
from assay.study.model import Study

WIPED = 0.5  # an eps in L-infinity at which any image can be made grey: a control


@dataclass(frozen=True)
class Choice:
    """A classifier, its one defence, and the rows of the summary that speak of both; None where not measured.

    `through` is the strongest attack through the defence whose noise is fresh, `known` the strongest that knows the
    noise, `transfer` the strongest that does not know the defence. `strongest` has the strongest attack of each threat.
    """

    classifier: str
    attacks: list[str]
    norm: str | None
    eps: float | None
    clean: Any
    bare: Any
    chosen: Any = None
    among: int = 0
    price: Any = None
    transfer: Any = None
    through: Any = None
    known: Any = None
    strongest: tuple[Any, ...] = ()

    @property
    def hardest(self) -> Any:
        """The row that says what the defence is worth: the strongest attack through it, else by transfer."""
        return self.through or self.known or self.transfer

    @property
    def upper_bound(self) -> bool:
        """Whether the defence was attacked by transfer only, so that a better attack may leave less."""
        return self.chosen is not None and self.through is None and self.known is None

    @property
    def speaks_of(self) -> list[tuple[str, float]]:
        """The attacks that it rests on, with their eps; on clean images `none` at 0."""
        rows = [row for row in (self.clean, self.bare, *self.strongest) if row is not None]
        return list(dict.fromkeys((row.attack, row.eps) for row in rows))


def choices(summary: pd.DataFrame, study: Study) -> list[Choice]:
    """The choice for each classifier, in the summary's order; `summary` as `with_knowledge` returns it."""
    return [_choice(name, pick(summary, classifier=name), study) for name in summary["classifier"].unique()]


def attacks_of(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows under attacks of the classifier itself, without controls: blind attacks and eps that wipe images."""
    attacked = rows[(rows["attack"] != "none") & ~rows["control"] & ~rows["attack"].str.contains(OTHER)]
    wiped = (attacked["norm"] == "Linf") & (attacked["eps"] >= WIPED)
    return attacked if wiped.all() else attacked[~wiped]


def strongest(rows: pd.DataFrame, *cell: str) -> pd.DataFrame:
    """Of each defence (or other cell) the row of the attack that leaves least."""
    return rows.loc[rows.groupby([*(cell or ("defence", "sigma"))], sort=False)["accuracy"].idxmin()]


def weakest(rows: pd.DataFrame) -> Any:
    """The row in which least is left; None if there is none."""
    return None if rows.empty else only(rows.loc[[rows["accuracy"].idxmin()]])


def only(rows: pd.DataFrame) -> Any:
    """The first row; None if there is none."""
    return next(rows.itertuples(), None)


def _choice(classifier: str, rows: pd.DataFrame, study: Study) -> Choice:
    attacked = attacks_of(rows)
    clean = only(pick(rows, attack="none", defence="none"))
    candidates = _candidates(attacked, study)
    told = attacked if candidates.empty else candidates
    if told.empty:
        return Choice(classifier, [], None, None, clean, None)
    norm = told["norm"].iloc[0]
    eps = float(pick(told, norm=norm)["eps"].max())
    here = pick(attacked, norm=norm, eps=eps)
    bare = weakest(pick(here, defence="none", shared=True))
    names = list(here["attack"].unique())
    if candidates.empty:
        return Choice(classifier, names, norm, eps, clean, bare)
    ranked = strongest(pick(candidates, norm=norm, eps=eps))
    chosen = only(ranked.loc[[ranked["accuracy"].idxmax()]])
    own = pick(here, defence=chosen.defence, sigma=chosen.sigma)
    through = own[~own["shared"]]
    by_threat = strongest(own, "place").sort_values("place", kind="stable")
    return Choice(
        classifier, names, norm, eps, clean, bare, chosen,
        among=len(ranked),
        price=only(pick(rows, attack="none", defence=chosen.defence, sigma=chosen.sigma)),
        transfer=weakest(pick(own, shared=True)),
        through=weakest(through[through["fresh"]]),
        known=weakest(through[~through["fresh"]]),
        strongest=tuple(by_threat.itertuples()),
    )  # fmt: skip


def _candidates(attacked: pd.DataFrame, study: Study) -> pd.DataFrame:
    """The rows by which the defences are compared: attacks through them with fresh noise, else with known noise, else
    transfer. Noise alone counts only where there is nothing else; a sigma that was selected on other images comes
    before those that would be chosen on the test images."""
    defended = attacked[attacked["defence"] != "none"]
    repaired = defended[~defended["defence"].isin(noise_alone(study))]
    defended = defended if repaired.empty else repaired
    through = defended[~defended["shared"]]
    found = next((rows for rows in (through[through["fresh"]], through) if not rows.empty), defended)
    selected = found[found["scores"].str.endswith("/sigma-selected")]
    return found if selected.empty else selected
