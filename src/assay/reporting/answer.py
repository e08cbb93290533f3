"""The answer first: one sentence and one figure for each classifier, then what to hold against them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
from markupsafe import Markup

from assay.reporting.charts.drawing import ramp
from assay.reporting.charts.legend import Key, legend
from assay.reporting.charts.rows import Row, rows
from assay.reporting.choice import Choice, attacks_of, only, strongest, weakest
from assay.reporting.ladder import attack_of, ladder, noise_alone
from assay.reporting.marks import value_of
from assay.reporting.read import pick
from assay.reporting.trust import Checked, Judge, Judged, Sentence, said
from assay.reporting.words import attack_name, defence_label, defence_name, eps_label, number, percent, with_interval
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


def answer(choice: Choice, summary: pd.DataFrame, study: Study, judge: Judge) -> Answer:
    """The answer for one classifier; `summary` as `with_knowledge` returns it."""
    own = pick(summary, classifier=choice.classifier)
    lead, *caveats = [sentence for sentence in _sentences(choice, own, study) if sentence is not None]
    return Answer(
        choice,
        (lead, judge(lead.scores)),
        [(caveat, judge(caveat.scores)) for caveat in caveats],
        _rungs(choice, judge.checked),
        *_every_defence(choice, own, study, judge.checked),
    )


# --- sentences --------------------------------------------------------------------------------------------------------


def _sentences(choice: Choice, rows_: pd.DataFrame, study: Study) -> list[Sentence | None]:
    """The answer in one sentence, and what to hold against it where the study can tell."""
    name, clean, bare = _strong(choice.classifier), choice.clean, choice.bare
    if clean is None:
        return [said(Markup("{} was not measured on clean images.").format(name))]
    correct = Markup("{} classifies {} of {} correctly").format(name, _value(clean), count(clean.images, "clean image"))
    if choice.eps is None:
        return [said(correct + ". No attack was run, so this study says nothing about protection.", clean)]
    if choice.chosen is None:
        text = Markup("{}. The attack {} at eps {} leaves {}. No purifier was tested against it.")
        return [
            said(text.format(correct, bare.attack, eps_label(choice.eps), _value(bare)), clean, bare),
            _control(choice, rows_),
        ]
    return [
        _lead(choice, study),
        _noise_known(choice, study),
        _selection(choice),
        _price(choice),
        _helps(choice),
        _noise_alone(choice, rows_, study),
        _control(choice, rows_),
        _doubt(choice, rows_),
        said("Each number is what the attacks that we ran leave; a stronger attack may leave less."),
    ]


def _lead(choice: Choice, study: Study) -> Sentence:
    """What the defence keeps under the strongest attack through it, under transfer, and what is left without it."""
    shown, clean, transfer = choice.hardest, choice.clean, choice.transfer
    bound = "Upper bound, attacked by transfer only: under" if choice.upper_bound else "Under"
    which = shown.attack if choice.upper_bound else f"{shown.attack}, the strongest attack through it that we ran"
    sentence = said(
        Markup("{} attack at eps {}, {} keeps {} of {}’s clean accuracy of {} {} ({})").format(
            bound, eps_label(choice.eps), _strong(defence_label(shown.defence, shown.sigma)), _share(shown, clean),
            choice.classifier, percent(clean.accuracy), attack_of(study, shown.attack).threat.clause, which,
        ),
        clean, shown,
    )  # fmt: skip
    if transfer is not None and shown is not transfer:
        clause = attack_of(study, transfer.attack).threat.clause
        sentence += said(Markup(", and {} {}").format(_share(transfer, clean), clause), transfer)
    if choice.bare is None:
        return sentence + said(".")
    text = Markup(". Without a defence {} leaves {}.")
    return sentence + said(text.format(choice.bare.attack, _value(choice.bare)), choice.bare)


def _noise_known(choice: Choice, study: Study) -> Sentence | None:
    """How much of what is kept is due to the attacker not knowing the noise."""
    through, known = choice.through, choice.known
    if choice.upper_bound:
        return said("No attack was made through a defence, so this accuracy is an upper bound.")
    if known is None:
        return said("We did not test an attacker who knows the noise.")
    if through is None:
        return said("We did not test an attack through the defence with its noise unknown.")
    difference = 100 * (through.accuracy - known.accuracy)
    text = Markup("{:.0f} points of that accuracy are due to the attacker not knowing the noise: {} is left {} ({}).")
    if difference <= 0:
        text = Markup("Knowing the noise does not help the attacker ({:+.0f} points): {} is left {} ({}).")
    clause = attack_of(study, known.attack).threat.clause
    return said(text.format(difference, _value(known), clause, known.attack), known, through)


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


def _noise_alone(choice: Choice, rows_: pd.DataFrame, study: Study) -> Sentence | None:
    noise, shown = noise_alone(study), choice.transfer or choice.chosen
    if shown.defence in noise:
        return said("The best defence is noise alone: no network takes part in it.")
    alone = pick(rows_, attack=shown.attack, norm=choice.norm, eps=choice.eps, sigma=shown.sigma)
    alone = weakest(alone[alone["defence"].isin(noise)])
    if alone is None:
        return None
    difference = 100 * (shown.accuracy - alone.accuracy)
    adds = f"the purifier adds {difference:.1f} points" if difference >= 0 else f"{-difference:.1f} points more"
    text = Markup("Noise of the same sigma alone gives {} under {}: {}.")
    return said(text.format(_value(alone), attack_name(shown), adds), alone, shown)


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
    return _strong(with_interval(row))


# --- figures ----------------------------------------------------------------------------------------------------------


def _rungs(choice: Choice, checked: Checked) -> Markup:
    """One row each: clean images, no defence, and the defence under the strongest attack of each threat model."""
    defence = choice.chosen and defence_name(choice.chosen.defence, choice.chosen.sigma)
    found = [("clean images", "no defence", choice.clean, "c1"), ("clean images", defence, choice.price, "c1")]
    found += [("attacked", f"no defence, {choice.bare.attack}", choice.bare, "c2")] if choice.bare else []
    found += [(f"{row.threat} attack", row.attack, row, "c2") for row in choice.strongest]
    shown = [
        Row(name, [value_of(row, checked, with_interval(row), colour)], detail)
        for name, detail, row, colour in found
        if row is not None
    ]
    return rows(f"accuracy of {choice.classifier}, step by step", shown)


def _every_defence(
    choice: Choice, rows_: pd.DataFrame, study: Study, checked: Checked
) -> tuple[Markup, Markup, int]:  # fmt: skip
    """A row for each defence: its accuracy on clean images and under the strongest attack of each threat model."""
    attacked = pick(attacks_of(rows_), norm=choice.norm, eps=choice.eps)
    rungs = [threat.name for threat in ladder(study) if threat.name in set(attacked["threat"])]
    measured = [("clean images", "ink", pick(rows_, attack="none"))]
    measured += [
        (f"strongest {threat} attack", ramp(place, len(rungs)), strongest(pick(attacked, threat=threat)))
        for place, threat in enumerate(rungs)
    ]
    shown = []
    defences = _ranked(rows_, choice, attacked)
    for defence, sigma in defences[:MAX_ROWS]:
        cells = [only(pick(table, defence=defence, sigma=sigma)) for _, _, table in measured]
        values = [
            value_of(cell, checked, number(cell.accuracy), measured[style][1], kind="mark", style=style)
            for style, cell in enumerate(cells)
            if cell is not None
        ]
        shown.append(Row(defence_name(defence, sigma), values))
    keys = [Key(name, colour, style) for style, (name, colour, _) in enumerate(measured)]
    figure = rows(f"accuracy of {choice.classifier} with each defence", shown)
    return figure, legend(keys), max(0, len(defences) - MAX_ROWS)


def _ranked(rows_: pd.DataFrame, choice: Choice, attacked: pd.DataFrame) -> list[tuple[str, float]]:
    """All defences: none, the chosen one, those attacked through, then by what the strongest attack leaves."""
    score = {(row.defence, row.sigma): row.accuracy for row in strongest(attacked).itertuples()}
    through = attacked.loc[~attacked["shared"], ["defence", "sigma"]].itertuples(index=False, name=None)
    first = [("none", 0.0), choice.chosen and (choice.chosen.defence, choice.chosen.sigma), *through]
    every = list(rows_[["defence", "sigma"]].drop_duplicates().itertuples(index=False, name=None))
    if len(every) <= MAX_ROWS:
        return sorted(every, key=lambda defence: defence[0] != "none")
    by_score = sorted(every, key=lambda defence: -score.get(defence, -1.0))
    return list(dict.fromkeys(defence for defence in [*first, *by_score] if defence in every))
