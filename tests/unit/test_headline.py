"""The report's answer: one choice of the defence, and the sentence that says what it keeps under each threat."""

import re
from typing import Any

import pandas as pd
import pytest

from assay.reporting.answer import Answer, answer
from assay.reporting.choice import Choice, choices
from assay.reporting.ladder import with_knowledge
from assay.reporting.trust import Checked, Judge
from study_tables import made_up

ATTACKS = {"pgd": "transfer", "random": "random", "adaptive": "adaptive", "bpda": "bpda", "locked": "locked"}
STUDY = made_up(ATTACKS, ("noise", "ddpm", "oneshot"))
EPS = 8 / 255


def row(attack: str, threat: str, defence: str, accuracy: float, eps: float = EPS, token: str = "0.1") -> dict:
    place = "none/sigma-0" if defence == "none" else f"{defence}/sigma-{token}"
    return {
        "classifier": "resnet",
        "attack": attack,
        "threat": threat,
        "defence": defence,
        "accuracy": accuracy,
        "norm": "none" if attack == "none" else "Linf",
        "eps": 0.0 if attack == "none" else eps,
        "sigma": 0.0 if defence == "none" else 0.1,
        "images": 100,
        "draws": 3,
        "ci_low": accuracy - 0.05,
        "ci_high": accuracy + 0.05,
        "scores": f"resnet/{attack}/{place}",
    }


BASE = [
    row("none", "none", "none", 0.96),
    row("none", "none", "ddpm", 0.90),
    row("pgd", "transfer", "none", 0.01),
    row("random", "transfer", "ddpm", 0.89),
    row("pgd", "transfer", "ddpm", 0.72),
    row("pgd", "transfer", "oneshot", 0.80),
    row("pgd", "transfer", "noise", 0.95),
]
AWARE = [row("bpda", "bpda", "ddpm", 0.60), row("adaptive", "adaptive", "ddpm", 0.48)]


def chosen(rows: list[dict]) -> Choice:
    (found,) = choices(with_knowledge(pd.DataFrame(rows), STUDY), STUDY)
    return found


def found(rows: list[dict]) -> Answer:
    checks = pd.DataFrame(columns=["status", "meaning", "subject"])
    summary = with_knowledge(pd.DataFrame(rows), STUDY)
    return answer(chosen(rows), summary, STUDY, Judge(Checked(checks)))


def said(rows: list[dict]) -> str:
    """The sentence and its caveats."""
    answered = found(rows)
    sentences = [answered.lead, *answered.caveats]
    return " ".join(re.sub("<[^>]*>", "", str(sentence.text)) for sentence, _ in sentences)


def test_the_strongest_attack_through_the_defence_counts_and_randomness_gets_its_share() -> None:
    text = said([*BASE, *AWARE, row("locked", "locked", "ddpm", 0.24)])
    assert "ddpm at sigma 0.1 keeps 50% of resnet’s clean accuracy of 96.0% when the attacker attacks" in text
    assert "(adaptive, the strongest attack through it that we ran), and 75% when the attacker does not know" in text
    assert "24 points of that accuracy are due to the attacker not knowing the noise: 24.0% [19, 29] is left" in text


def test_nothing_is_due_to_randomness_where_knowing_the_noise_helps_no_attacker() -> None:
    assert "Knowing the noise does not help" in said([*BASE, *AWARE, row("locked", "locked", "ddpm", 0.50)])


def test_a_defence_attacked_by_transfer_only_is_an_upper_bound() -> None:
    text = said(BASE)
    assert text.startswith("Upper bound, attacked by transfer only: under attack at eps 8/255, oneshot at sigma 0.1")
    assert "We did not test an attacker who knows the noise." in said([*BASE, *AWARE])
    assert "Upper bound" not in said([*BASE, *AWARE])


def test_a_control_that_wipes_images_out_is_not_what_is_spoken_of() -> None:
    text = said([*BASE, *AWARE, row("adaptive", "adaptive", "ddpm", 0.0, eps=0.5)])
    assert text == said([*BASE, *AWARE])
    control = [row("pgd", "transfer", name, 0.0, eps=0.5) for name in ("none", "ddpm")]
    assert chosen(BASE + control).eps == EPS
    assert chosen(BASE[:2] + control).eps == 0.5, "unless there is nothing else"


def test_an_attack_that_knows_the_noise_is_one_through_the_defence() -> None:
    locked = row("locked", "locked", "ddpm", 0.24)
    text = said([*BASE[:3], BASE[4], locked])
    assert "keeps 25% of resnet’s clean accuracy of 96.0% when the attacker attacks through it and knows" in text
    assert "and 75% when the attacker does not know of it" in text
    assert "We did not test an attack through the defence with its noise unknown." in text
    assert not chosen([*BASE[:3], BASE[4], locked]).upper_bound


def test_the_defence_is_the_best_under_the_strongest_attack_through_each() -> None:
    better = [row("bpda", "bpda", "oneshot", 0.90), row("adaptive", "adaptive", "oneshot", 0.50)]
    assert chosen([*BASE, *AWARE]).chosen.defence == "ddpm", "oneshot was attacked by transfer only"
    assert chosen([*BASE, *AWARE, *better]).chosen.defence == "oneshot"
    weaker = [row("bpda", "bpda", "oneshot", 0.90), row("adaptive", "adaptive", "oneshot", 0.40)]
    assert chosen([*BASE, *AWARE, *weaker]).chosen.defence == "ddpm"


def test_noise_alone_is_never_the_defence_where_there_is_another() -> None:
    assert chosen(BASE).chosen.defence == "oneshot"
    only_noise = [cell for cell in BASE if cell["defence"] in ("none", "noise")]
    assert chosen(only_noise).chosen.defence == "noise"
    assert "The best defence is noise alone" in said(only_noise)


def test_the_selected_sigma_is_spoken_of_even_if_another_defence_did_better_on_the_test_images() -> None:
    selected = row("adaptive", "adaptive", "ddpm", 0.40, token="selected")
    better = row("adaptive", "adaptive", "oneshot", 0.70)
    assert chosen([*BASE, better, selected]).chosen.defence == "ddpm"


def test_choosing_among_several_on_the_test_images_is_said() -> None:
    assert "the best of 2 by this accuracy on the same 100 images, so its accuracy is optimistically biased" in said(
        BASE
    )


def test_controls_are_no_attacks_and_a_study_without_attacks_has_no_defence() -> None:
    assert chosen(BASE[:2]).chosen is None
    assert "this study says nothing about protection" in said(BASE[:2])
    assert all(attack != "random" for attack, _ in chosen([*BASE, *AWARE]).speaks_of)
    assert "random perturbation" in said([*BASE, *AWARE, row("random", "transfer", "none", 0.95)])


@pytest.mark.parametrize(("attacked", "eps"), [(AWARE, EPS), ([], 16 / 255)])
def test_the_answer_is_at_the_largest_eps_at_which_a_defence_was_attacked_through(
    attacked: list[dict[str, Any]], eps: float
) -> None:
    larger = [row("pgd", "transfer", name, 0.0, eps=16 / 255) for name in ("none", "ddpm")]
    assert chosen(BASE + attacked + larger).eps == eps


def test_attacks_made_on_another_classifier_do_not_count() -> None:
    foreign = row("pgd", "transfer", "ddpm", 0.0) | {"attack": "pgd@other"}
    assert said([*BASE, *AWARE, foreign]) == said([*BASE, *AWARE])


def test_the_figure_has_a_row_for_the_strongest_attack_of_each_threat() -> None:
    figure = str(found([*BASE, *AWARE, row("locked", "locked", "ddpm", 0.24)]).rungs)
    names = re.findall(r'<div class="name">([a-z ]*)', figure)
    assert [name.strip() for name in names] == [
        *["clean images", "clean images", "attacked"],
        *["transfer attack", "bpda attack", "adaptive attack", "locked attack"],
    ]
