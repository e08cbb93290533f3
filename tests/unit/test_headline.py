"""The report's answer: one choice of the defence, and what it keeps under the strongest attack."""

import re
from typing import Any

import pandas as pd
import pytest

from assay.reporting.answer import Answer, answer
from assay.reporting.choice import Choice, choices
from assay.reporting.trust import Checked, Judge
from study_tables import as_the_page_reads, made_up

ATTACKS = {"pgd": "transfer", "random": "random", "adaptive": "adaptive", "bpda": "bpda", "locked": "locked"}
SQUARE = {"square": {"method": "square", "threat": "blackbox", "eps": [0.1]}}
STUDY = made_up(ATTACKS, ("noise", "ddpm", "oneshot"), SQUARE)
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
    (found,) = choices(*as_the_page_reads(pd.DataFrame(rows), STUDY), STUDY)
    return found


def found(rows: list[dict], findings: list[dict] | None = None) -> Answer:
    checks = pd.DataFrame(findings, columns=["status", "meaning", "subject"])
    tables = as_the_page_reads(pd.DataFrame(rows), STUDY)
    return answer(chosen(rows), *tables, STUDY, Judge(Checked(checks)))


def said(rows: list[dict]) -> str:
    """The sentence and its caveats."""
    answered = found(rows)
    sentences = [answered.lead, *answered.caveats]
    return " ".join(re.sub("<[^>]*>", "", str(sentence.text)) for sentence, _ in sentences)


def test_the_strongest_attack_counts_and_randomness_gets_its_share() -> None:
    text = said([*BASE, *AWARE, row("locked", "locked", "ddpm", 0.24)])
    assert text.startswith(
        "At eps 8/255, ddpm at sigma 0.1 keeps 50% of resnet’s clean accuracy of 96.0% under adaptive, the strongest "
        "of 3 attacks (48.0% [43, 53]), and 75% when the attacker does not know of it. Without a defence pgd leaves 1"
    )
    assert "24 points of that accuracy are due to the attacker not knowing the noise: 24.0% [19, 29] is left" in text


def test_nothing_is_due_to_randomness_where_knowing_the_noise_helps_no_attacker() -> None:
    assert "Knowing the noise does not help" in said([*BASE, *AWARE, row("locked", "locked", "ddpm", 0.50)])


def test_a_defence_attacked_by_transfer_only_is_an_upper_bound() -> None:
    text = said(BASE)
    assert text.startswith("Upper bound, attacked by transfer only: at eps 8/255, oneshot at sigma 0.1 keeps 83% of")
    assert "under pgd (≤ 80.0% [75, 85]). Without a defence pgd leaves 1.0%" in text, "transfer is not told twice"
    assert "We did not test an attacker who knows the noise." in said([*BASE, *AWARE])
    assert "Upper bound" not in said([*BASE, *AWARE])


def test_a_control_that_wipes_images_out_is_not_what_is_spoken_of() -> None:
    text = said([*BASE, *AWARE, row("adaptive", "adaptive", "ddpm", 0.0, eps=0.5)])
    assert text == said([*BASE, *AWARE])
    control = [row("pgd", "transfer", name, 0.0, eps=0.5) for name in ("none", "ddpm")]
    assert chosen(BASE + control).eps == EPS
    assert chosen(BASE[:2] + control).eps == 0.5, "unless there is nothing else"


def test_an_attack_that_knows_the_noise_does_not_make_a_number_of_fresh_noise() -> None:
    locked = row("locked", "locked", "ddpm", 0.24)
    text = said([*BASE[:3], BASE[4], locked])
    assert text.startswith("Upper bound, attacked by transfer only: at eps 8/255, ddpm at sigma 0.1 keeps 75%")
    assert "24.0% [19, 29] is left when the attacker attacks through it and knows its noise (locked). We did" in text
    assert "due to the attacker not knowing the noise" not in text, "what knowing of the defence costs is in it too"
    alone = said([*BASE[:3], locked])
    assert (
        "keeps 25% of resnet’s clean accuracy of 96.0% under locked when the attacker attacks through it and" in alone
    )
    assert "We did not test an attack through the defence with its noise unknown." in alone


def test_an_attack_without_gradients_leaves_an_upper_bound() -> None:
    text = said([*BASE[:5], row("square", "blackbox", "ddpm", 0.55)])
    assert text.startswith("Upper bound, not attacked through its gradients with fresh noise: at eps 8/255, ddpm")
    assert "keeps 57% of resnet’s clean accuracy of 96.0% under square, the strongest of 2 attacks" in text


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


def test_images_that_were_attacked_on_another_classifier_count_but_are_no_direct_attack() -> None:
    foreign = row("pgd", "transfer", "ddpm", 0.3) | {"attack": "pgd@other"}
    assert "under pgd@other, the strongest of 4 attacks (30.0% [25, 35])" in said([*BASE, *AWARE, foreign])
    assert said([*BASE[:4], foreign]).startswith("Upper bound, attacked by transfer only: at eps 8/255, ddpm")


def test_a_classifier_that_only_foreign_images_were_shown_to_has_an_upper_bound() -> None:
    foreign = [row("pgd", "transfer", name, share) | {"attack": "pgd@other"} for name, share in
               (("none", 0.4), ("ddpm", 0.7))]  # fmt: skip
    text = said([*BASE[:2], *foreign])
    assert text.startswith("Upper bound, attacked by transfer only: at eps 8/255, ddpm at sigma 0.1 keeps 73% of")
    assert "Without a defence pgd@other leaves 40.0%" in text


def test_noise_alone_is_held_against_the_purifier_under_the_strongest_attack_on_each() -> None:
    adaptive = row("adaptive", "adaptive", "noise", 0.20)
    assert (
        "Noise of the same sigma alone keeps 20.0% [15, 25] under adaptive, the strongest of 2 attacks: the purif"
        in (said([*BASE, *AWARE, adaptive]))
    )
    assert "the purifier adds 28.0 points" in said([*BASE, *AWARE, adaptive])
    weak = [cell for cell in BASE if cell["defence"] != "noise"] + [row("pgd", "transfer", "noise", 0.30)]
    assert "keeps ≤ 30.0% [25, 35] under pgd: the purifier adds at least 18.0 points" in said([*weak, *AWARE])
    assert "≤ 95.0% [90, 100] under pgd: what the purifier adds under a direct attack is not known" in said(
        [*BASE, *AWARE]
    )


def test_every_defence_stands_in_its_order_with_upper_bounds_below() -> None:
    answered = found([*BASE, *AWARE, row("adaptive", "adaptive", "noise", 0.20)])
    names = re.findall(r'<div class="name">([a-z0-9. ]*)(?:<span class="soft">([a-z ]*))?', str(answered.defences))
    assert [(name.strip(), detail) for name, detail in names] == [
        *[("no defence", ""), ("ddpm 0.1", ""), ("noise 0.1", ""), ("oneshot 0.1", "upper bound")],
    ]
    assert "≤ 80.0" in str(answered.defences)


def test_what_was_not_checked_is_said_of_the_answer() -> None:
    missing = {"status": "NOT RUN", "meaning": "Nobody asked; add checks: {gradients: true}."}
    subject = {"subject": "scores/resnet/adaptive/ddpm/sigma-0.1"}
    (_, judged) = found([*BASE, *AWARE], [missing | subject]).lead
    assert judged.note == "Not wholly checked: Nobody asked; add checks: {gradients: true}."


def test_the_figure_has_a_row_for_the_strongest_attack_of_each_threat() -> None:
    figure = str(found([*BASE, *AWARE, row("locked", "locked", "ddpm", 0.24)]).rungs)
    names = re.findall(r'<div class="name">([a-z ]*)', figure)
    assert [name.strip() for name in names] == [
        *["clean images", "clean images", "attacked", "attacked"],
        *["transfer attack", "bpda attack", "adaptive attack", "locked attack"],
    ]
