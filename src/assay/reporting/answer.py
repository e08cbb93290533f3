"""The answer first: one sentence and one figure for each classifier, then what to hold against them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
from markupsafe import Markup

from assay.planning.cells import OTHER, attack_of
from assay.reporting.charts.drawing import ramp
from assay.reporting.charts.legend import Key, legend
from assay.reporting.charts.rows import Row, rows
from assay.reporting.choice import Choice, attacks_of, only, strongest, weakest
from assay.reporting.ladder import ladder, noise_alone
from assay.reporting.marks import value_of
from assay.reporting.read import pick
from assay.reporting.strongest import ranked
from assay.reporting.trust import Checked, Judge, Judged, Sentence, said
from assay.reporting.words import (
    bounded,
    defence_label,
    defence_name,
    eps_label,
    number,
    percent,
    with_interval,
)
from assay.study.model import Study
from assay.words import count

MAX_ROWS = 13


@dataclass(frozen=True)
class Answer:
    """What the page says first of a classifier: sentences and caveats as the checks judge them, and two figures."""

    choice: Choice
    lead: tuple[Sentence, Judged]
    caveats: list[tuple[Sentence, Judged]]
    rungs: Markup
    defences: Markup
    legend: Markup
    left_out: int


def answer(choice: Choice, summary: pd.DataFrame, worth: pd.DataFrame, study: Study, judge: Judge) -> Answer:
    """The answer for one classifier; `summary` as `with_knowledge` and `with_bounds` return it, and `worth`, the
    strongest attacks, as `as_rows` does."""
    own, worth = (pick(table, classifier=choice.classifier) for table in (summary, worth))
    lead, *caveats = [sentence for sentence in _sentences(choice, own, worth, study) if sentence is not None]
    return Answer(
        choice,
        (lead, judge(lead.scores)),
        [(caveat, judge(caveat.scores)) for caveat in caveats],
        _rungs(choice, judge.checked),
        *_every_defence(choice, own, worth, study, judge.checked),
    )


# --- sentences --------------------------------------------------------------------------------------------------------


def _sentences(choice: Choice, rows_: pd.DataFrame, worth: pd.DataFrame, study: Study) -> list[Sentence | None]:
    """The answer in one sentence, and what to hold against it where the study can tell."""
    name, clean = _strong(choice.classifier), choice.clean
    if clean is None:
        return [said(Markup("{} was not measured on clean images.").format(name))]
    correct = Markup("{} classifies {} of {} correctly").format(name, _value(clean), count(clean.images, "clean image"))
    if choice.eps is None:
        return [said(correct + ". No attack was run, so this study says nothing about protection.", clean)]
    if choice.chosen is None:
        return [_undefended(choice, correct), _control(choice, rows_)]
    return [
        _lead(choice, study),
        _noise_known(choice, study),
        _selection(choice),
        _price(choice),
        _helps(choice),
        _noise_alone(choice, worth, study),
        _control(choice, rows_),
        _doubt(choice, rows_),
        said("Each number is what the attacks that we ran leave; a stronger attack may leave less."),
    ]


def _undefended(choice: Choice, correct: Markup) -> Sentence:
    """What the strongest attack leaves where there is no defence to speak of."""
    shown = choice.undefended or choice.bare
    text = Markup("{}. At eps {} {} leaves {}. No purifier was tested against it.")
    return said(text.format(correct, eps_label(choice.eps), shown.attack, _value(shown)), choice.clean, shown)


def _lead(choice: Choice, study: Study) -> Sentence:
    """What the defence keeps under the strongest attack on it, and under transfer, and what is left without it."""
    shown, clean, transfer = choice.chosen, choice.clean, choice.transfer
    knows = "" if shown.fresh else Markup(" {}").format(attack_of(study, shown.attack).threat.clause)
    sentence = said(
        Markup("{} eps {}, {} keeps {} of {}’s clean accuracy of {} under {}{} ({})").format(
            _bound(shown, study), eps_label(choice.eps), _strong(defence_label(shown.defence, shown.sigma)),
            _share(shown, clean), choice.classifier, percent(clean.accuracy), shown.attack, knows, _value(shown),
        ),
        clean, shown,
    )  # fmt: skip
    if transfer is not None and not shown.upper_bound:
        clause = attack_of(study, transfer.attack).threat.clause
        sentence += said(Markup(", and {} {}").format(_share(transfer, clean), clause), transfer)
    if choice.undefended is None:
        return sentence + said(".")
    text = Markup(". Without a defence {} leaves {}.")
    return sentence + said(text.format(choice.undefended.attack, _value(choice.undefended)), choice.undefended)


def _bound(shown: Any, study: Study) -> str:
    """How the sentence begins: whether the number is an upper bound, and why."""
    if not shown.upper_bound:
        return "At"
    blind = all(OTHER in name or attack_of(study, name).threat.shared for name in shown.attacks.split())
    how = "attacked by transfer only" if blind else "not attacked through its gradients with fresh noise"
    return f"Upper bound, {how}: at"


def _noise_known(choice: Choice, study: Study) -> Sentence | None:
    """How much of what is kept is due to the attacker not knowing the noise."""
    shown, known = choice.chosen, choice.known
    if known is None:
        if shown.upper_bound:
            return said("No attack was made directly on this defence, so its accuracy is an upper bound.")
        return said("We did not test an attacker who knows the noise.")
    if not shown.fresh:
        return said("We did not test an attack through the defence with its noise unknown.")
    clause = attack_of(study, known.attack).threat.clause
    if shown.upper_bound:
        text = Markup("{} is left {} ({}). We did not test a direct attack with its noise unknown.")
        return said(text.format(_value(known), clause, known.attack), known)
    difference = 100 * (shown.accuracy - known.accuracy)
    text = Markup("{:.0f} points of that accuracy are due to the attacker not knowing the noise: {} is left {} ({}).")
    if difference <= 0:
        text = Markup("Knowing the noise does not help the attacker ({:+.0f} points): {} is left {} ({}).")
    return said(text.format(difference, _value(known), clause, known.attack), known, shown)


def _selection(choice: Choice) -> Sentence | None:
    if choice.among < 2:
        return None
    text = "The defence is the best of {} by this accuracy on the same {}, so its accuracy is optimistically biased."
    return said(text.format(choice.among, count(choice.chosen.images, "image")))


def _price(choice: Choice) -> Sentence | None:
    if choice.price is None:
        return None
    difference = 100 * (choice.price.accuracy - choice.clean.accuracy)
    side = "above" if difference > 0 else "below"
    text = Markup("On clean images accuracy with the defence is {}: {:.1f} points {} no defence.")
    return said(text.format(_value(choice.price), abs(difference), side), choice.price, choice.clean)


def _helps(choice: Choice) -> Sentence | None:
    bare, transfer = choice.bare, choice.transfer
    if bare is None or transfer is None or transfer.accuracy > bare.accuracy:
        return None
    text = Markup("The defence does not help against transfer: accuracy is {} with it and {} without.")
    return said(text.format(_value(transfer), _value(bare)), transfer, bare)


def _noise_alone(choice: Choice, worth: pd.DataFrame, study: Study) -> Sentence | None:
    """What the purifier adds to noise of the same sigma, under the strongest attack on each."""
    noise, shown = noise_alone(study), choice.chosen
    if shown.defence in noise:
        return said("The best defence is noise alone: no network takes part in it.")
    alone = pick(worth, norm=choice.norm, eps=choice.eps, sigma=shown.sigma)
    alone = weakest(alone[alone["defence"].isin(noise)])
    if alone is None or not shown.fresh:
        return None
    difference = 100 * (shown.accuracy - alone.accuracy)
    if shown.upper_bound or (alone.upper_bound and difference < 0):
        adds = "what the purifier adds under a direct attack is not known"
    else:
        least = "at least " if alone.upper_bound else ""
        adds = (
            f"the purifier adds {least}{difference:.1f} points" if difference >= 0 else f"{-difference:.1f} points more"
        )
    text = Markup("Noise of the same sigma alone keeps {} under {}: {}.")
    return said(text.format(_value(alone), alone.attack, adds), alone, shown)


def _control(choice: Choice, rows_: pd.DataFrame) -> Sentence | None:
    found = weakest(pick(rows_, control=True, defence="none", norm=choice.norm, eps=choice.eps))
    if found is None:
        return None
    text = Markup("A random perturbation of the same eps ({}) leaves {} without a defence.")
    return said(text.format(found.attack, _value(found)), found)


def _doubt(choice: Choice, rows_: pd.DataFrame) -> Sentence | None:
    """An attacker who knows more must leave no more."""
    attacked = pick(attacks_of(rows_), norm=choice.norm)
    cell = ["defence", "sigma", "eps"]
    transfer = strongest(pick(attacked, rank=0), *cell).set_index(cell)
    through = strongest(attacked[(attacked["rank"] >= 1) & (attacked["defence"] != "none")], *cell).set_index(cell)
    pairs = through.join(transfer.add_suffix("_transfer"), how="inner")
    worse = pairs[pairs["accuracy"] > pairs["ci_high_transfer"]]
    if worse.empty:
        return None
    (defence, sigma, eps), row = next(iter(worse.iterrows()))
    return said(
        f"An attacker who knows the defence should leave no more than one who does not. In {len(worse)} of "
        f"{count(len(pairs), 'pair')} more is left, beyond the interval (first {defence_label(defence, sigma)}, eps "
        f"{eps_label(eps)}: {percent(row['accuracy'])} against {percent(row['accuracy_transfer'])}): there the attack "
        "through the defence is too weak to be believed."
    )


def _strong(text: str) -> Markup:
    return Markup("<b>{}</b>").format(text)


def _share(row: Any, clean: Any) -> Markup:
    """A row's accuracy as a share of the clean accuracy."""
    return _strong(percent(row.accuracy / clean.accuracy, 0) if clean.accuracy else "–")


def _value(row: Any) -> Markup:
    return _strong(bounded(with_interval(row), row))


# --- figures ----------------------------------------------------------------------------------------------------------


def _rungs(choice: Choice, checked: Checked) -> Markup:
    """One row each: clean images and the strongest attack, without and with the defence; then the defence under the
    strongest attack of each threat model."""
    defence = choice.chosen and defence_name(choice.chosen.defence, choice.chosen.sigma)
    found = [("clean images", "no defence", choice.clean, "c1"), ("clean images", defence, choice.price, "c1")]
    found += [
        ("attacked", f"{name}, {row.attack}", row, "c2")
        for name, row in (("no defence", choice.undefended), (defence, choice.chosen))
        if row is not None
    ]
    found += [(f"{row.threat} attack", row.attack, row, "c3") for row in choice.strongest]
    shown = [
        Row(name, [value_of(row, checked, with_interval(row), colour)], detail)
        for name, detail, row, colour in found
        if row is not None
    ]  # fmt: skip
    return rows(f"accuracy of {choice.classifier}, step by step", shown)


def _every_defence(
    choice: Choice, rows_: pd.DataFrame, worth: pd.DataFrame, study: Study, checked: Checked
) -> tuple[Markup, Markup, int]:
    """A row for each defence: its accuracy on clean images, under the strongest attack on each image, and under the
    strongest attack of each threat model. What was not attacked directly stands last."""
    attacked, worth = (pick(table, norm=choice.norm, eps=choice.eps) for table in (attacks_of(rows_), worth))
    rungs = [threat.name for threat in ladder(study) if threat.name in set(attacked["threat"])]
    measured = [("clean images", "ink", pick(rows_, attack="none")), ("strongest attack", "c2", worth)]
    measured += [
        (f"strongest {threat} attack", ramp(place, len(rungs)), strongest(pick(attacked, threat=threat)))
        for place, threat in enumerate(rungs)
    ]
    measured = [entry for entry in measured if not entry[2].empty]
    bounds = set(worth.loc[worth["upper_bound"], ["defence", "sigma"]].itertuples(index=False, name=None))
    shown = []
    defences = _in_order(rows_, choice, worth)
    for defence, sigma in defences[:MAX_ROWS]:
        cells = [only(pick(table, defence=defence, sigma=sigma)) for _, _, table in measured]
        values = [
            value_of(cell, checked, number(cell.accuracy), measured[style][1], kind="mark", style=style)
            for style, cell in enumerate(cells)
            if cell is not None
        ]
        shown.append(Row(defence_name(defence, sigma), values, "upper bound" if (defence, sigma) in bounds else ""))
    keys = [Key(name, colour, style) for style, (name, colour, _) in enumerate(measured)]
    figure = rows(f"accuracy of {choice.classifier} with each defence", shown)
    return figure, legend(keys), max(0, len(defences) - MAX_ROWS)


def _in_order(rows_: pd.DataFrame, choice: Choice, worth: pd.DataFrame) -> list[tuple[str, float]]:
    """All defences: none, then by what the strongest attack leaves, upper bounds below the others, and last those that
    were not attacked. Where not all can be shown, the chosen one comes after none."""
    every = list(rows_[["defence", "sigma"]].drop_duplicates().itertuples(index=False, name=None))
    first = [("none", 0.0)]
    if choice.chosen and len(every) > MAX_ROWS:
        first.append((choice.chosen.defence, choice.chosen.sigma))
    order = ranked(worth)[["defence", "sigma"]].itertuples(index=False, name=None)
    return list(dict.fromkeys(defence for defence in [*first, *order, *every] if defence in every))
