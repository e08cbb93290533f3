"""The answer first: one sentence and one figure for each classifier, then what to hold against them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
from markupsafe import Markup

from assay.reporting.charts.drawing import ramp
from assay.reporting.charts.heat import heat
from assay.reporting.charts.legend import Key, legend
from assay.reporting.charts.rows import Row, Value, rows
from assay.reporting.choice import Choice, attacks_of, only, strongest, weakest
from assay.reporting.grid import cell_of
from assay.reporting.ladder import ladder, noise_alone, threat_of
from assay.reporting.read import pick
from assay.reporting.trust import Checked, Judge, Judged, Sentence, said
from assay.reporting.words import (
    attack_name,
    count,
    defence_label,
    defence_name,
    eps_label,
    number,
    percent,
    with_interval,
)
from assay.study.model import Study

MAX_ROWS = 13


@dataclass(frozen=True)
class Answer:
    """What the page says first of a classifier: sentences and caveats as the checks judge them, and figures."""

    choice: Choice
    lead: tuple[Sentence, Judged]
    caveats: list[tuple[Sentence, Judged]]
    rungs: Markup
    defences: Markup
    defences_legend: Markup
    left_out: int
    by_eps: Markup | None


def answer(choice: Choice, summary: pd.DataFrame, study: Study, judge: Judge) -> Answer:
    """The answer for one classifier; `summary` as `with_knowledge` returns it."""
    own = pick(summary, classifier=choice.classifier)
    lead = _lead(choice, study)
    caveats = [sentence for sentence in _caveats(choice, own, study) if sentence is not None]
    figure, keys, left_out = _every_defence(choice, own, study, judge.checked)
    return Answer(
        choice,
        lead=(lead, judge(lead.scores)),
        caveats=[(caveat, judge(caveat.scores)) for caveat in caveats],
        rungs=_rungs(choice, judge.checked),
        defences=figure,
        defences_legend=keys,
        left_out=left_out,
        by_eps=_by_eps(choice, own, judge.checked),
    )


# --- sentences --------------------------------------------------------------------------------------------------------


def _lead(choice: Choice, study: Study) -> Sentence:
    """What the classifier's accuracy is, what the attack leaves of it, and what the defence keeps."""
    clean, chosen, bare = choice.clean, choice.chosen, choice.bare
    name = _strong(choice.classifier)
    if clean is None:
        return said(Markup("{} was not measured on clean images.").format(name))
    accuracy = Markup("{} classifies {} of {} correctly").format(
        name, _value(clean), count(clean.images, "clean test image")
    )
    if choice.eps is None:
        return said(accuracy + ". No attack was run, so this study says nothing about protection.", clean)
    if chosen is None:
        text = Markup("{}. The attack {} at eps {} leaves {}. No purifier was tested against it.")
        return said(text.format(accuracy, bare.attack, eps_label(choice.eps), _value(bare)), clean, bare)
    shown = choice.through or choice.known or choice.transfer
    sentence = said(_keeps(choice, shown, study), clean, shown)
    if choice.transfer is not None and shown is not choice.transfer:
        text = Markup(", and {} {}").format(_share(choice.transfer, clean), _clause(choice.transfer, study))
        sentence += said(text, choice.transfer)
    sentence += said(".")
    if bare is not None:
        sentence += said(Markup(" Without a defence {} leaves {}.").format(bare.attack, _value(bare)), bare)
    return sentence


def _keeps(choice: Choice, shown: Any, study: Study) -> Markup:
    bound = "Upper bound, attacked by transfer only: under" if choice.upper_bound else "Under"
    which = shown.attack if choice.upper_bound else f"{shown.attack}, the strongest attack through it that we ran"
    text = Markup("{} attack at eps {}, {} keeps {} of {}’s clean accuracy of {} {} ({})")
    return text.format(
        bound,
        eps_label(choice.eps),
        _strong(defence_label(shown.defence, shown.sigma)),
        _share(shown, choice.clean),
        choice.classifier,
        percent(choice.clean.accuracy),
        _clause(shown, study),
        which,
    )


def _caveats(choice: Choice, rows: pd.DataFrame, study: Study) -> list[Sentence | None]:
    """What to hold against the sentence, where the study can tell."""
    if choice.eps is None or choice.clean is None:
        return []
    if choice.chosen is None:
        return [_control(choice, rows)]
    return [
        _noise_known(choice, study),
        _no_adaptive(choice),
        _selection(choice),
        _price(choice),
        _helps(choice),
        _noise_alone(choice, rows, study),
        _control(choice, rows),
        _doubt(choice, rows),
        said("Each number is what the attacks that we ran leave; a stronger attack may leave less."),
    ]


def _noise_known(choice: Choice, study: Study) -> Sentence | None:
    """How much of what is kept is due to the attacker not knowing the noise."""
    through, known = choice.through, choice.known
    if known is None:
        return None if choice.upper_bound else said("We did not test an attacker who knows the noise.")
    if through is None:
        return said("We did not test an attack through the defence with its noise unknown.")
    difference = 100 * (through.accuracy - known.accuracy)
    text = Markup("{} of that accuracy are due to the attacker not knowing the noise: {} is left {} ({}).")
    if difference <= 0:
        text = Markup("Knowing the noise does not help the attacker ({}): {} is left {} ({}).")
    amount = f"{difference:.0f} points"
    return said(text.format(amount, _value(known), _clause(known, study), known.attack), known, through)


def _no_adaptive(choice: Choice) -> Sentence | None:
    if not choice.upper_bound:
        return None
    name = defence_label(choice.chosen.defence, choice.chosen.sigma)
    return said(f"No attack was made through {name}, nor through any other defence: its accuracy is an upper bound.")


def _selection(choice: Choice) -> Sentence | None:
    if choice.among < 2:
        return None
    text = "The defence is the best of {} by this accuracy on the same {}, so its accuracy is optimistically biased."
    return said(text.format(choice.among, count(choice.chosen.images, "image")))


def _price(choice: Choice) -> Sentence | None:
    if choice.price is None:
        return None
    difference = 100 * (choice.price.accuracy - choice.clean.accuracy)
    text = "On clean images accuracy with the defence is {}: {:.1f} points {} no defence."
    above = "above" if difference > 0 else "below"
    return said(Markup(text).format(_value(choice.price), abs(difference), above), choice.price, choice.clean)


def _helps(choice: Choice) -> Sentence | None:
    if choice.bare is None or choice.transfer is None or choice.transfer.accuracy > choice.bare.accuracy:
        return None
    text = "The defence does not help against transfer: accuracy is {} with it and {} without."
    return said(
        Markup(text).format(_value(choice.transfer), _value(choice.bare)), choice.transfer, choice.bare
    )  # fmt: skip


def _noise_alone(choice: Choice, rows: pd.DataFrame, study: Study) -> Sentence | None:
    noise = noise_alone(study)
    chosen = choice.chosen
    if chosen.defence in noise:
        return said("The best defence is noise alone: no network takes part in it.")
    shown = choice.transfer or chosen
    alone = pick(rows, attack=shown.attack, norm=choice.norm, eps=choice.eps, sigma=chosen.sigma)
    alone = weakest(alone[alone["defence"].isin(noise)])
    if alone is None:
        return None
    difference = 100 * (shown.accuracy - alone.accuracy)
    adds = f"the purifier adds {difference:.1f} points" if difference >= 0 else f"{-difference:.1f} points more"
    text = "Noise of the same sigma alone gives {} under {}: {}."
    return said(Markup(text).format(_value(alone), attack_name(shown), adds), alone, shown)


def _control(choice: Choice, rows: pd.DataFrame) -> Sentence | None:
    found = weakest(pick(rows, control=True, defence="none", norm=choice.norm, eps=choice.eps))
    if found is None:
        return None
    text = "A random perturbation of the same eps ({}) leaves {} without a defence."
    return said(Markup(text).format(found.attack, _value(found)), found)


def _doubt(choice: Choice, rows: pd.DataFrame) -> Sentence | None:
    """An attacker who knows more must leave no more."""
    attacked = pick(attacks_of(rows), norm=choice.norm)
    cell = ["defence", "sigma", "eps"]
    transfer = strongest(pick(attacked, rank=0), *cell).set_index(cell)
    through = strongest(attacked[(attacked["rank"] >= 1) & (attacked["defence"] != "none")], *cell).set_index(cell)
    pairs = through.join(transfer.add_suffix("_transfer"), how="inner")
    worse = pairs[pairs["accuracy"] > pairs["ci_high_transfer"]]
    if worse.empty:
        return None
    (defence, sigma, eps), row = next(iter(worse.iterrows()))
    text = (
        "An attacker who knows the defence should leave no more than one who does not. In {} of {} more is left, beyond "
        "the interval (first {}, eps {}: {} against {}): there the attack through the defence is too weak to be believed."
    )
    numbers = (percent(row["accuracy"]), percent(row["accuracy_transfer"]))
    pairs = count(len(pairs), "pair")
    return said(text.format(len(worse), pairs, defence_label(defence, sigma), eps_label(eps), *numbers))


def _clause(row: Any, study: Study) -> str:
    return threat_of(study, row.attack).clause


def _strong(text: str) -> Markup:
    return Markup("<b>{}</b>").format(text)


def _share(row: Any, clean: Any) -> Markup:
    """A row's accuracy as a share of the clean accuracy."""
    return _strong(percent(row.accuracy / clean.accuracy, 0) if clean.accuracy else "–")


def _value(row: Any) -> Markup:
    return Markup("<b>{}</b>").format(with_interval(row))


# --- figures ----------------------------------------------------------------------------------------------------------


def _rungs(choice: Choice, checked: Checked) -> Markup:
    """One row each: clean images, no defence, and the defence under the strongest attack of each threat model."""
    defence = "" if choice.chosen is None else defence_name(choice.chosen.defence, choice.chosen.sigma)
    found = [("Clean images", "no defence", choice.clean, "c1"), ("Clean images", defence, choice.price, "c1")]
    found += [("Attacked", f"no defence: {choice.bare.attack}", choice.bare, "c2")] if choice.bare is not None else []
    found += [(f"{row.threat.capitalize()} attack", row.attack, row, "c2") for row in choice.strongest]
    shown = [Row(name, [_bar(row, colour, checked)], detail) for name, detail, row, colour in found if row is not None]
    return rows(f"accuracy of {choice.classifier}, step by step", shown)


def _bar(row: Any, colour: str, checked: Checked) -> Value:
    doubted = checked([row.scores]).failed
    return Value(row.accuracy, checked.label(row), with_interval(row), row.ci_low, row.ci_high, colour, doubted=doubted)


def _every_defence(
    choice: Choice, rows_: pd.DataFrame, study: Study, checked: Checked
) -> tuple[Markup, Markup, int]:  # fmt: skip
    """A row for each defence: its accuracy on clean images and under the strongest attack of each threat model."""
    attacked = pick(attacks_of(rows_), norm=choice.norm, eps=choice.eps)
    rungs = [threat.name for threat in ladder(study) if threat.name in set(attacked["threat"])]
    measured = {"clean": pick(rows_, attack="none")}
    measured |= {threat: strongest(pick(attacked, threat=threat)) for threat in rungs}
    defences = list(rows_[["defence", "sigma"]].drop_duplicates().itertuples(index=False, name=None))
    kept = _kept(defences, choice, attacked)
    colours = {"clean": "ink"} | {threat: ramp(place, len(rungs)) for place, threat in enumerate(rungs)}
    shown = []
    for defence, sigma in kept:
        cells = [only(pick(table, defence=defence, sigma=sigma)) for table in measured.values()]
        marks = [
            None if cell is None else
            Value(cell.accuracy, checked.label(cell), number(cell.accuracy), cell.ci_low, cell.ci_high,
                  colours[what], "mark", place, doubted=checked([cell.scores]).failed)
            for place, (what, cell) in enumerate(zip(measured, cells, strict=True))
        ]  # fmt: skip
        shown.append(Row(defence_name(defence, sigma), marks))
    keys = [Key("clean images", "ink", 0)]
    keys += [Key(f"strongest {threat} attack", colours[threat], place + 1) for place, threat in enumerate(rungs)]
    figure = rows(f"accuracy of {choice.classifier} with each defence", shown)
    return figure, legend(keys), len(defences) - len(kept)


def _kept(defences: list[tuple[str, float]], choice: Choice, attacked: pd.DataFrame) -> list[tuple[str, float]]:
    """All defences if they are few; else none, the chosen one, those attacked through, and each purifier's best."""
    defences = sorted(defences, key=lambda defence: defence[0] != "none")
    if len(defences) <= MAX_ROWS:
        return defences
    score = {(row.defence, row.sigma): row.accuracy for row in strongest(attacked).itertuples()}
    ranked = sorted(defences, key=lambda defence: -score.get(defence, -1.0))
    through = set(attacked.loc[attacked["rank"] >= 1, ["defence", "sigma"]].itertuples(index=False, name=None))
    best = {defence[0]: defence for defence in reversed(ranked)}
    chosen = [] if choice.chosen is None else [(choice.chosen.defence, choice.chosen.sigma)]
    order = [defences[0], *chosen, *(d for d in ranked if d in through), *reversed(best.values())]
    wanted = list(dict.fromkeys(order))[:MAX_ROWS]
    return [defence for defence in defences if defence in wanted]


def _by_eps(choice: Choice, rows_: pd.DataFrame, checked: Checked) -> Markup | None:
    """The defence under the strongest attack of each threat model, at every eps; None where there is only one."""
    attacked = pick(attacks_of(rows_), norm=choice.norm)
    epses = sorted(attacked["eps"].unique())
    if choice.chosen is None or len(epses) < 2:
        return None
    own = pick(attacked, defence=choice.chosen.defence, sigma=choice.chosen.sigma)
    found = [("no defence", pick(attacked, defence="none", rank=0))]
    found += [(f"{row.threat} attack", pick(own, threat=row.threat)) for row in choice.strongest]
    cells = [(name, [weakest(pick(table, eps=eps)) for eps in epses]) for name, table in found]
    shown = [(name, [cell_of(row, checked) for row in line]) for name, line in cells]
    title = f"{choice.classifier}: accuracy at each eps"
    return heat(title, "eps", [eps_label(eps) for eps in epses], shown)

