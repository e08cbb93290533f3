"""The first screen: in one sentence and one figure, how much of a classifier's accuracy its defence keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
from markupsafe import Markup

from assay.reporting.answer import Answer, wiped
from assay.reporting.families import TRANSFER
from assay.reporting.read import pick
from assay.reporting.words import defence_label, eps_label, percent

LOCKED = "locked"
CONTROL = "random_sign"


@dataclass(frozen=True)
class Rung:
    """One row of the figure: what was measured, the cell, and how much of the undefended clean accuracy it is."""

    name: str
    cell: Any
    kept: float


@dataclass(frozen=True)
class Headline:
    """The sentence and the figure for one classifier, and the places of the scores that they rest on."""

    classifier: str
    sentence: Markup
    rungs: list[Rung]
    eps: float

    @property
    def scores(self) -> list[str]:
        return [rung.cell.scores for rung in self.rungs]

    @property
    def speaks_of(self) -> list[tuple[str, float]]:
        """The attacks that it speaks of, with their eps; on clean images `none` at 0."""
        return list(dict.fromkeys((rung.cell.attack, rung.cell.eps) for rung in self.rungs))


def headline(summary: pd.DataFrame, answer: Answer, config: dict[str, Any]) -> Headline | None:
    """What the study says first of a classifier; None where no defence was attacked.

    The defence is the one with the selected sigma, if there is one; else the one of which most is left when it is
    attacked through, or, if none was, when it is not. Eps is the largest at which that was measured, but for the
    control whose eps wipes an image out.
    """
    rows = pick(summary, classifier=answer.classifier)
    clean = _only(pick(rows, attack="none", defence="none"))
    controls = [name for name, attack in config["attacks"].items() if attack["method"] == CONTROL]
    attacked = rows[(rows["attack"] != "none") & (rows["defence"] != "none") & ~rows["attack"].isin(controls)]
    attacked = attacked[~attacked["attack"].str.contains("@")]
    diffusing = [name for name, purifier in config["purifiers"].items() if purifier.get("diffusion")]
    attacked = attacked[attacked["defence"].isin(diffusing)] if diffusing else attacked
    if clean is None or attacked.empty or clean.accuracy == 0:
        return None
    aware = attacked[~attacked["threat"].isin([TRANSFER, LOCKED])]
    known = attacked if aware.empty else aware
    known = known[known["norm"] == known["norm"].iloc[0]]
    controls_only = wiped(known).all()
    eps = (known if controls_only else known[~wiped(known)])["eps"].max()
    chosen = _chosen(known[known["eps"] == eps])
    own = pick(attacked, defence=chosen.defence, sigma=chosen.sigma, eps=eps, norm=chosen.norm)
    bare = pick(rows, eps=eps, defence="none", threat=TRANSFER, norm=chosen.norm)
    bare = bare[~bare["attack"].isin(controls) & ~bare["attack"].str.contains("@")]
    found = {
        "clean images, no defence": clean,
        "clean images, with the defence": _only(pick(rows, attack="none", defence=chosen.defence, sigma=chosen.sigma)),
        "attacked, no defence": _weakest(bare),
        "attacked, defence unknown": _weakest(pick(own, threat=TRANSFER)),
        "attacked through the defence": _weakest(own[~own["threat"].isin([TRANSFER, LOCKED])]),
        "through it, noise known": _weakest(pick(own, threat=LOCKED)),
    }
    rungs = [
        Rung(_named(name, cell), cell, cell.accuracy / clean.accuracy)
        for name, cell in found.items()
        if cell is not None
    ]
    return Headline(answer.classifier, _sentence(answer.classifier, chosen, clean, found, eps), rungs, float(eps))


def _chosen(known: pd.DataFrame) -> Any:
    """The defence to speak of, as the row of the attack that leaves least of it."""
    selected = known[known["scores"].str.endswith("/sigma-selected")]
    known = known if selected.empty else selected
    strongest = known.loc[known.groupby(["defence", "sigma"], sort=False)["accuracy"].idxmin()]
    return _only(strongest.loc[[strongest["accuracy"].idxmax()]])


def _sentence(classifier: str, defence: Any, clean: Any, found: dict[str, Any], eps: float) -> Markup:
    transfer = found["attacked, defence unknown"]
    aware = found["attacked through the defence"]
    locked = found["through it, noise known"]
    name = defence_label(defence.defence, defence.sigma)
    parts = [Markup("Under attack at eps {}, {}").format(eps_label(eps), name)]
    if transfer is not None:
        text = Markup(" keeps <b>{}</b> of {}'s accuracy of {} when the attacker does not know of it")
        parts.append(text.format(percent(transfer.accuracy / clean.accuracy, 0), classifier, percent(clean.accuracy)))
    if aware is not None:
        what = "and" if transfer is not None else "keeps"
        text = Markup("{} {} <b>{}</b> under the strongest attack through it that was found ({})")
        share = percent(aware.accuracy / clean.accuracy, 0)
        parts.append(text.format("," if transfer is not None else "", what, share, _attack(aware)))
    elif locked is not None:
        text = Markup(
            "{} <b>{}</b> when its noise is known too ({}); with its noise unknown, nobody attacked through it"
        )
        share = percent(locked.accuracy / clean.accuracy, 0)
        parts.append(text.format(", and" if transfer is not None else " keeps", share, _attack(locked)))
    else:
        parts.append(Markup("; nobody attacked through it, so how much lasts is not known"))
    if aware is not None and locked is not None:
        points = 100 * (aware.accuracy - locked.accuracy)
        text = Markup("; <b>{:.0f} points</b> of that are owed to its noise being unknown: with it known {} is left")
        if points <= 0:
            text = Markup("; none of that is owed to its noise being unknown ({:.0f} points: with it known {} is left)")
        parts.append(text.format(points, percent(locked.accuracy)))
    elif aware is not None:
        parts.append(Markup("; how much of that is owed to its noise being unknown was not measured"))
    return Markup("").join([*parts, "."])


def _attack(cell: Any) -> str:
    return cell.attack if cell.threat in cell.attack else f"{cell.attack}, {cell.threat}"


def _named(name: str, cell: Any) -> str:
    return name if cell.attack == "none" else f"{name}: {cell.attack}"


def _weakest(rows: pd.DataFrame) -> Any:
    """The row of the attack that leaves least."""
    return None if rows.empty else _only(rows.loc[[rows["accuracy"].idxmin()]])


def _only(rows: pd.DataFrame) -> Any:
    return next(rows.itertuples(), None)
