"""The answer first: sentences, caveats and the main figure's rows, all computed from the summary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
from markupsafe import Markup

from assay.reporting.families import TRANSFER
from assay.reporting.read import pick
from assay.reporting.trust import Sentence, said
from assay.reporting.words import bracket, count, defence_label, eps_label, percent, threat_clause

MAX_ROWS = 13
WIPED = 0.5  # an eps in L-infinity at which any image can be made grey
CLEAN = "clean"


@dataclass(frozen=True)
class Mark:
    """One number of the main figure: what was measured, and its interval."""

    what: str
    accuracy: float
    low: float
    high: float
    scores: str


@dataclass(frozen=True)
class Ladder:
    """The main figure: one row a defence, with its accuracy on clean images and under each threat."""

    rows: list[tuple[str, list[Mark]]]
    measures: list[str]
    left_out: int


@dataclass(frozen=True)
class AtEps:
    """One line of the short table: what is left at one eps, and the defence that keeps most of it."""

    eps: float
    undefended: Any
    best: Any
    aware: Any


@dataclass(frozen=True)
class Answer:
    """What the study says of one classifier."""

    classifier: str
    sentences: list[Sentence]
    caveats: list[Sentence]
    attack: str | None
    eps: float | None
    best: Any
    by_eps: list[AtEps]
    ladder: Ladder


def answers(summary: pd.DataFrame, config: dict[str, Any]) -> list[Answer]:
    """The answer for each classifier, in the summary's order."""
    return [_answer(name, pick(summary, classifier=name), config) for name in summary["classifier"].unique()]


def _answer(classifier: str, rows: pd.DataFrame, config: dict[str, Any]) -> Answer:
    rows = rows if wiped(rows[rows["attack"] != "none"]).all() else rows[~wiped(rows)]
    attack, norm, epses = _hardest(rows, config.get("attacks", {}))
    lines = [_at_eps(rows, attack, norm, eps) for eps in epses]
    chosen = _telling(lines, set(pick(_aware(rows), norm=norm)["eps"]))
    clean = _only(pick(rows, attack="none", defence="none"))
    return Answer(
        classifier=classifier,
        sentences=_sentences(classifier, clean, attack, chosen, rows, norm),
        caveats=_caveats(rows, attack, norm, chosen, clean, config),
        attack=attack,
        eps=chosen.eps if chosen else None,
        best=chosen.best if chosen else None,
        by_eps=lines,
        ladder=_ladder(rows, attack, norm, chosen.eps if chosen else None),
    )


def wiped(rows: pd.DataFrame) -> pd.Series:
    """Which cells are attacked at an eps that is a control: it leaves nothing of an image."""
    return (rows["norm"] == "Linf") & (rows["eps"] >= WIPED)


# --- choosing ---------------------------------------------------------------------------------------------------------


def _hardest(rows: pd.DataFrame, attacks: dict[str, Any]) -> tuple[str | None, str | None, list[float]]:
    """The transfer attack that leaves least undefended, its norm and its eps; controls do not count.

    Without a transfer attack: None, and the norm and eps of the attacks through the defences.
    """
    control = {name for name, attack in attacks.items() if attack.get("method") == "random_sign"}
    bare = pick(rows, threat=TRANSFER, defence="none")
    bare = bare[~bare["attack"].isin(control)]
    if not bare.empty:
        worst = bare.loc[bare["accuracy"].idxmin()]
        return worst["attack"], worst["norm"], sorted(pick(bare, attack=worst["attack"])["eps"].unique())
    aware = _aware(rows)
    if aware.empty:
        return None, None, []
    norm = aware["norm"].iloc[0]
    return None, norm, sorted(pick(aware, norm=norm)["eps"].unique())


def _telling(lines: list[AtEps], known: set[float]) -> AtEps | None:
    """The largest eps at which a defence was attacked through, else at which one was attacked at all, else of all."""
    for tells in (lambda line: line.best is not None and line.eps in known, lambda line: line.best is not None):
        if found := [line for line in lines if tells(line)]:
            return found[-1]
    return lines[-1] if lines else None


def _at_eps(rows: pd.DataFrame, attack: str | None, norm: str | None, eps: float) -> AtEps:
    transfer = pick(rows, attack=attack, eps=eps)
    defended = transfer[transfer["defence"] != "none"]
    aware = _strongest(pick(_aware(rows), norm=norm, eps=eps))
    best = _best(aware if defended.empty else defended)
    return AtEps(
        eps=eps,
        undefended=_only(pick(transfer, defence="none")),
        best=best,
        aware=None if best is None else _only(pick(aware, defence=best.defence, sigma=best.sigma)),
    )


def _aware(rows: pd.DataFrame) -> pd.DataFrame:
    """Cells in which the attacker knew of the defence."""
    return rows[~rows["threat"].isin([TRANSFER, "none"])]


def _strongest(rows: pd.DataFrame, *cell: str) -> pd.DataFrame:
    """Of each defence (or other cell), the row of the attack that leaves least."""
    return rows.loc[rows.groupby([*(cell or ("defence", "sigma"))], sort=False)["accuracy"].idxmin()]


def _only(rows: pd.DataFrame) -> Any:
    return next(rows.itertuples(), None)


def _best(rows: pd.DataFrame) -> Any:
    return None if rows.empty else _only(rows.loc[[rows["accuracy"].idxmax()]])


# --- sentences --------------------------------------------------------------------------------------------------------


def _sentences(
    classifier: str, clean: Any, attack: str | None, line: AtEps | None, rows: pd.DataFrame, norm: str | None
) -> list[Sentence]:
    if clean is None:
        first = said(Markup("{} was not measured on clean images.").format(_strong(classifier)))
    else:
        images = count(clean.images, "clean test image")
        text = Markup("{} is right on {} of {}.").format(_strong(classifier), _value(clean), images)
        first = said(text, clean)
    if line is None:
        return [first, said("No attack was run, so this study says nothing about protection.")]
    if attack is None:
        return [first, *_sentences_without_transfer(line)]
    text = Markup("The attack {} at eps {} leaves {}").format(attack, eps_label(line.eps), _value(line.undefended))
    second = said(text, line.undefended)
    if line.best is None:
        return [first, second + said(". No purifier was set against it.")]
    aware = _strongest(pick(_aware(rows), norm=norm, eps=line.eps))
    protection, *more = _protection(line, aware)
    return [first, second + said("; ") + protection, *more]


def _sentences_without_transfer(line: AtEps) -> list[Sentence]:
    best = line.best
    text = "No attack was run on the bare classifier. {} keeps {} at eps {} {}."
    name = defence_label(best.defence, best.sigma)
    return [said(Markup(text).format(name, _value(best), eps_label(line.eps), threat_clause(best.threat)), best)]


def _protection(line: AtEps, aware: pd.DataFrame) -> list[Sentence]:
    best = line.best
    helps = best.accuracy > line.undefended.accuracy
    verb = "brings it back to" if helps else "does not help, it has"
    name = defence_label(best.defence, best.sigma)
    text = Markup("{} {} {} {}").format(name, verb, _value(best), threat_clause(TRANSFER))
    if line.aware is not None:
        text += Markup(", and {} {}.").format(_value(line.aware), threat_clause(line.aware.threat))
        return [said(text, best, line.aware)]
    if aware.empty:
        return [said(text + ". No defence was attacked by one who knows of it.", best)]
    other = _best(aware)
    name = defence_label(other.defence, other.sigma)
    known = f"{name} was, and keeps" if len(aware) == 1 else f"of {len(aware)} defences that were, {name} keeps most:"
    tail = Markup("It was not attacked by one who does; {} {} {}.")
    return [said(text + ".", best), said(tail.format(known, _value(other), threat_clause(other.threat)), other)]


def _caveats(
    rows: pd.DataFrame, attack: str | None, norm: str | None, line: AtEps | None, clean: Any, config: dict[str, Any]
) -> list[Sentence]:
    """What to hold against the sentences, where the study can tell."""
    if line is None:
        return []
    found = [_control(rows, norm, line.eps, config)]
    if line.best is not None:
        found = [
            _selection(rows, attack, line),
            _price(rows, line.best, clean),
            _noise_alone(rows, attack, line, config),
            *found,
            _doubt(rows, norm),
        ]
    found.append(said("A number under attack is what this attack leaves; a stronger attack may leave less."))
    return [caveat for caveat in found if caveat is not None]


def _selection(rows: pd.DataFrame, attack: str | None, line: AtEps) -> Sentence | None:
    among = len(pick(rows[rows["defence"] != "none"], attack=line.best.attack, eps=line.eps))
    if among < 2:
        return None
    by = "its accuracy under transfer" if attack else "this accuracy"
    text = "The defence is the best of {} by {} on these same {}, so its numbers flatter it a little."
    return said(Markup(text).format(among, by, count(line.best.images, "image")))


def _price(rows: pd.DataFrame, best: Any, clean: Any) -> Sentence | None:
    defended = _only(pick(rows, attack="none", defence=best.defence, sigma=best.sigma))
    if defended is None or clean is None:
        return None
    points = 100 * (defended.accuracy - clean.accuracy)
    text = "On clean images the same defence is right on {}: {:.1f} points {} no defence."
    return said(Markup(text).format(_value(defended), abs(points), "above" if points > 0 else "below"), defended, clean)


def _noise_alone(rows: pd.DataFrame, attack: str | None, line: AtEps, config: dict[str, Any]) -> Sentence | None:
    purifiers = config.get("purifiers", {})
    noise = {name for name, purifier in purifiers.items() if purifier.get("method") == "noise"}
    if line.best.defence in noise:
        return said("The best defence is noise alone: no diffusion takes part in it.")
    alone = pick(rows, attack=attack, eps=line.eps, sigma=line.best.sigma)
    alone = _best(alone[alone["defence"].isin(noise)])
    if alone is None:
        return None
    points = 100 * (line.best.accuracy - alone.accuracy)
    text = "Noise of the same sigma alone, without the diffusion, gives {} under {}: the diffusion adds {:.1f} points."
    if points < 0:
        text = "Noise of the same sigma alone, without the diffusion, gives {} under {}: {:.1f} points more."
    return said(Markup(text).format(_value(alone), attack, abs(points)), alone, line.best)


def _control(rows: pd.DataFrame, norm: str | None, eps: float, config: dict[str, Any]) -> Sentence | None:
    attacks = config.get("attacks", {})
    control = [name for name, attack in attacks.items() if attack.get("method") == "random_sign"]
    found = pick(rows, defence="none", norm=norm, eps=eps)
    found = _best(found[found["attack"].isin(control)])
    if found is None:
        return None
    text = "A random perturbation of the same eps ({}) leaves {} undefended."
    return said(Markup(text).format(found.attack, _value(found)), found)


def _doubt(rows: pd.DataFrame, norm: str | None) -> Sentence | None:
    """An attacker who knows more must not do worse."""
    aware = pick(_aware(rows), norm=norm)
    if aware.empty:
        return said(
            "No attack through a defence was run. Protection from an attacker who does not know of it says little."
        )
    cell = ["defence", "sigma", "eps"]
    transfer = _strongest(pick(rows, threat=TRANSFER, norm=norm), *cell).set_index(cell)
    pairs = _strongest(aware, *cell).set_index(cell).join(transfer.add_suffix("_transfer"), how="inner")
    worse = pairs[pairs["accuracy"] > pairs["ci_high_transfer"]]
    if worse.empty:
        return None
    (defence, sigma, eps), row = next(iter(worse.iterrows()))
    text = (
        "An attacker who knows of the defence should leave no more than one who does not. In {} of {} here "
        "more is left, beyond the interval (first {}, eps {}: {} against {}): there the attack through the defence is "
        "too weak to be believed."
    )
    text = Markup(text).format(
        len(worse),
        count(len(pairs), "pair"),
        defence_label(defence, sigma),
        eps_label(eps),
        percent(row["accuracy"]),
        percent(row["accuracy_transfer"]),
    )
    return said(text)  # it is a doubt itself, which no failed check weakens


def _strong(text: str) -> Markup:
    return Markup("<b>{}</b>").format(text)


def _value(row: Any) -> Markup:
    return Markup("<b>{}</b> <span class=ci>{}</span>").format(percent(row.accuracy), bracket(row.ci_low, row.ci_high))


# --- the main figure --------------------------------------------------------------------------------------------------


def _ladder(rows: pd.DataFrame, attack: str | None, norm: str | None, eps: float | None) -> Ladder:
    """The main figure's rows and what they show at one eps."""
    aware = pick(_aware(rows), norm=norm, eps=eps)
    transfer = pick(rows, attack=attack, eps=eps)
    measured = {
        CLEAN: pick(rows, attack="none"),
        TRANSFER: transfer,
        **{threat: _strongest(pick(aware, threat=threat)) for threat in aware["threat"].unique()},
    }
    measured = {what: table for what, table in measured.items() if not table.empty}
    defences = list(rows[["defence", "sigma"]].drop_duplicates().itertuples(index=False, name=None))
    defences.sort(key=lambda defence: defence[0] != "none")
    kept = _kept(defences, transfer, aware)
    return Ladder(
        rows=[(_row_label(*defence), _marks(measured, *defence)) for defence in kept],
        measures=list(measured),
        left_out=len(defences) - len(kept),
    )


def _kept(defences: list[tuple[str, float]], transfer: pd.DataFrame, aware: pd.DataFrame) -> list[tuple[str, float]]:
    """All rows if they are few; else no defence, the best one, those attacked knowingly, each purifier's best."""
    if len(defences) <= MAX_ROWS:
        return defences
    score = {(row.defence, row.sigma): row.accuracy for row in transfer.itertuples()}
    ranked = sorted(defences, key=lambda defence: (defence[0] != "none", -score.get(defence, -1.0)))
    known = set(aware[["defence", "sigma"]].itertuples(index=False, name=None))
    best = {defence[0]: defence for defence in reversed(ranked)}
    order = [*ranked[:2], *(defence for defence in ranked if defence in known), *reversed(best.values())]
    chosen = list(dict.fromkeys(order))[:MAX_ROWS]
    return [defence for defence in defences if defence in chosen]


def _row_label(defence: str, sigma: float) -> str:
    return "no defence" if defence == "none" else f"{defence} {sigma:g}"


def _marks(measured: dict[str, pd.DataFrame], defence: str, sigma: float) -> list[Mark]:
    found = ((what, _only(pick(table, defence=defence, sigma=sigma))) for what, table in measured.items())
    return [Mark(what, row.accuracy, row.ci_low, row.ci_high, row.scores) for what, row in found if row is not None]
