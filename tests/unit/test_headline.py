"""The report's first sentence: what a defence keeps under each kind of threat, and what is owed to randomness."""

from typing import Any

import pandas as pd
from assay.reporting.headline import Headline, headline

from assay.reporting.answer import answers

CONFIG: dict[str, Any] = {
    "purifiers": {
        "noise": {"method": "noise"},
        "ddpm": {"method": "ddpm", "diffusion": "unet"},
        "oneshot": {"method": "oneshot", "diffusion": "unet"},
    },
    "attacks": {
        "pgd": {"method": "pgd"},
        "random": {"method": "random_sign"},
        **{name: {"method": "apgd", "threat": name} for name in ("adaptive", "bpda", "locked")},
    },
}
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


def found(rows: list[dict]) -> Headline | None:
    summary = pd.DataFrame(rows)
    (answer,) = answers(summary, CONFIG)
    return headline(summary, answer, CONFIG)


def said(rows: list[dict]) -> str:
    return str(found(rows).sentence.striptags().replace("\u00a0", " "))


def test_the_strongest_attack_through_the_defence_counts_and_randomness_gets_its_share() -> None:
    text = said([*BASE, *AWARE, row("locked", "locked", "ddpm", 0.24)])
    assert "ddpm at sigma 0.1 keeps 75 % of resnet's accuracy of 96.0 %" in text
    assert "and 50 % under the strongest attack through it that was found (adaptive)" in text
    assert "24 points of that are owed to its noise being unknown: with it known 24.0 % is left" in text


def test_nothing_is_owed_to_randomness_where_knowing_the_noise_helps_no_attacker() -> None:
    assert "none of that is owed to its noise" in said([*BASE, *AWARE, row("locked", "locked", "ddpm", 0.50)])


def test_what_was_not_measured_is_said() -> None:
    assert "nobody attacked through it" in said(BASE)
    assert "owed to its noise being unknown was not measured" in said([*BASE, *AWARE])


def test_a_control_that_wipes_images_out_is_not_what_is_spoken_of() -> None:
    text = said([*BASE, *AWARE, row("adaptive", "adaptive", "ddpm", 0.0, eps=0.5)])
    assert text == said([*BASE, *AWARE])
    assert "at eps 0.5," in said([*BASE, row("adaptive", "adaptive", "ddpm", 0.0, eps=0.5)]), "but for want of others"


def test_an_attack_that_knows_the_noise_is_one_through_the_defence() -> None:
    locked = row("locked", "locked", "ddpm", 0.24)
    assert "keeps 25 % when its noise is known too (locked); with its noise unknown, nobody" in said(
        [*BASE[:2], locked]
    )
    both = said([*BASE[:3], BASE[4], locked])
    assert "keeps 75 % of resnet's accuracy of 96.0 % when the attacker does not know of it, and 25 % when" in both


def test_without_an_attack_through_it_the_best_under_transfer_is_spoken_of_but_never_noise_alone() -> None:
    assert "oneshot at sigma 0.1 keeps 83 %" in said(BASE)


def test_the_selected_sigma_is_spoken_of_even_if_another_defence_did_better_on_the_test_images() -> None:
    selected = row("adaptive", "adaptive", "ddpm", 0.40, token="selected")
    better = row("adaptive", "adaptive", "oneshot", 0.70)
    assert "ddpm" in said([*BASE, better, selected])


def test_controls_are_no_attacks_and_a_study_without_attacks_has_no_headline() -> None:
    assert found(BASE[:2]) is None
    assert all("random" not in rung.name for rung in found([*BASE, *AWARE]).rungs)


def test_the_answer_speaks_of_the_largest_eps_at_which_a_defence_was_attacked_through() -> None:
    larger = [row("pgd", "transfer", name, 0.0, eps=16 / 255) for name in ("none", "ddpm")]
    for rows, eps in ((BASE + AWARE + larger, EPS), (BASE + larger, 16 / 255)):
        (answer,) = answers(pd.DataFrame(rows), CONFIG)
        assert answer.eps == eps


def test_the_answer_does_not_speak_of_a_control_that_wipes_images_out() -> None:
    control = [row("pgd", "transfer", name, 0.0, eps=0.5) for name in ("none", "ddpm")]
    (answer,) = answers(pd.DataFrame(BASE + control), CONFIG)
    assert answer.eps == EPS
    (answer,) = answers(pd.DataFrame(BASE[:2] + control), CONFIG)
    assert answer.eps == 0.5, "unless there is nothing else"
