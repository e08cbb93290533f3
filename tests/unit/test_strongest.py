"""The strongest attack on each image: chosen on some draws and judged on others, over all attacks that count."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from assay.evaluation.bounds import upper_bounds, with_claims
from assay.evaluation.comparisons import compare_cells
from assay.evaluation.knowledge import is_direct
from assay.evaluation.scores import read_scores
from assay.evaluation.statistics.intervals import accuracy_interval
from assay.evaluation.strongest import ALL, COLUMNS, EACH, judged_by_choice, margins_of, strongest_attacks
from assay.evaluation.summary import Judged, judge, write_table
from assay.reporting.read import read_strongest
from study_tables import logits_of, made_up, write_scores

IMAGES, DRAWS, EPS = 8, 3, 0.1
LABELS = np.arange(IMAGES) % 2
THREATS = {"pgd": "transfer", "random": "random", "through": "adaptive", "locked": "locked", "identity": "bpda"}
MORE = {
    "square": {"method": "square", "threat": "blackbox", "eps": [EPS]},
    "aimed": {"method": "pgd", "target": "random", "eps": [EPS]},
}
STUDY = made_up(THREATS, more_attacks=MORE)


def right(images: str, draws: int = DRAWS) -> np.ndarray:
    """Verdicts (images, draws): a digit for each image, how many of its first draws are right."""
    return np.arange(draws) < np.array([[int(digit)] for digit in images])


def cells(folder: Path, verdicts: dict[tuple[str, str], np.ndarray], sigma: float = 0.1, **more: Any) -> list[Judged]:
    """The cells of attacks on defences, by (attack, defence), with these verdicts (images, draws)."""
    rows = []
    for (attack, defence), correct in verdicts.items():
        place = f"resnet/{attack}/{defence}"
        write_scores(folder / place, logits_of(correct, LABELS), LABELS)
        row = {"classifier": "resnet", "attack": attack, "threat": attack, "norm": "Linf", "eps": EPS}
        rows.append(row | {"defence": defence, "sigma": sigma if defence != "none" else 0.0, "scores": place})
    return judge(rows, folder, **more)


def strongest(folder: Path, verdicts: dict[tuple[str, str], np.ndarray], **more: Any) -> pd.DataFrame:
    return strongest_attacks(STUDY, cells(folder, verdicts, **more), folder)


def test_each_image_meets_the_attack_that_its_other_draws_choose(tmp_path: Path) -> None:
    """Where an attack wins an image in every draw, so it does in all but one."""
    table = strongest(tmp_path, {("pgd", "ddpm"): right("33330000"), ("through", "ddpm"): right("00330033")})
    (row,) = table.to_dict("records")
    assert table.columns.tolist() == COLUMNS
    assert (row["attack_count"], row["attacks"], row["images"], row["draws"]) == (2, "pgd through", IMAGES, DRAWS)
    assert (row["accuracy"], row["chosen_for"]) == (0.25, EACH)
    assert (row["alone"], row["alone_accuracy"]) == ("pgd", 0.5)
    assert (row["ci_low"], row["ci_high"]) == pytest.approx(accuracy_interval(right("00330000"))[1:])


def test_the_luck_of_a_draw_is_not_the_attacks() -> None:
    """Two attacks of pure chance: the draws on which each was chosen say nothing of the one on which it is judged."""
    generator = np.random.default_rng(0)
    verdicts = generator.random((6, 4000, 4)) < 0.5
    margins = generator.standard_normal(verdicts.shape)
    assert judged_by_choice(verdicts, margins).mean() == pytest.approx(0.5, abs=0.015)
    in_hindsight = np.take_along_axis(verdicts, verdicts.sum(axis=2).argmin(axis=0)[None, :, None], axis=0)
    assert in_hindsight.mean() < 0.3


def test_the_mean_over_the_draws_is_that_of_an_attacker_who_chooses_on_one_draw_fewer() -> None:
    generator = np.random.default_rng(1)
    chances = generator.random((2, 3000, 1))
    verdicts = generator.random((2, 3000, 3)) < chances
    fair = np.where(np.arange(2)[:, None, None] == 0, 1.0, 0.0) * np.ones(verdicts.shape)  # ties go to the second
    counts = generator.binomial(2, np.broadcast_to(chances, (2, 3000, 400)))
    expected = np.where(counts[0] < counts[1], chances[0], chances[1]).mean()
    assert judged_by_choice(verdicts, fair).mean() == pytest.approx(expected, abs=0.01)


def test_among_equal_counts_the_smaller_mean_margin_of_the_other_draws_decides() -> None:
    verdicts = np.array([[[True, True]], [[True, False]]])
    judged = judged_by_choice(verdicts, np.array([[[3.0, 1.0]], [[2.0, -1.0]]]))
    assert judged.tolist() == [[True, False]], "draw 0 is chosen by draw 1, and draw 1 by the margins of draw 0"
    judged = judged_by_choice(verdicts, np.array([[[1.0, 1.0]], [[2.0, -1.0]]]))
    assert judged.tolist() == [[True, True]]


def test_a_margin_is_that_over_the_highest_other_class(tmp_path: Path) -> None:
    logits = np.array([[[3.0, 1.0, 2.0]], [[0.0, 1.0, 4.0]]])
    scores = read_scores(write_scores(tmp_path / "scores", logits, [0, 1]))
    assert margins_of(scores).tolist() == [[1.0], [-3.0]]


def test_without_a_defence_every_attack_counts_on_its_one_draw(tmp_path: Path) -> None:
    table = strongest(tmp_path, {("pgd", "none"): right("00111111", 1), ("aimed", "none"): right("11001111", 1)})
    (row,) = table.to_dict("records")
    assert (row["accuracy"], row["alone_accuracy"], row["chosen_for"], row["direct"]) == (0.5, 0.75, EACH, 1)


def test_of_one_draw_of_a_defence_one_attack_is_chosen_for_all_images(tmp_path: Path) -> None:
    table = strongest(tmp_path, {("pgd", "ddpm"): right("00001111", 1), ("through", "ddpm"): right("11100001", 1)})
    (row,) = table.to_dict("records")
    assert (row["accuracy"], row["alone"], row["chosen_for"]) == (0.5, "pgd", ALL)


def test_a_choice_that_few_draws_make_worse_than_one_attack_is_not_taken(tmp_path: Path) -> None:
    """The first attack is a little stronger on every image, which two draws cannot tell."""
    one, two = (np.tile(pattern, (IMAGES, 1)).astype(bool) for pattern in ([0, 1], [1, 0]))
    table = strongest(tmp_path, {("pgd", "ddpm"): one, ("through", "ddpm"): two})
    assert table[["accuracy", "chosen_for"]].to_numpy().tolist() == [[0.5, ALL]]


def test_controls_and_attackers_who_know_the_noise_do_not_count_and_the_carried_and_the_aimed_do(
    tmp_path: Path,
) -> None:
    none_right = right("00000000")
    counted = {(name, "ddpm"): right("33333333") for name in ("pgd", "through", "pgd@other", "aimed", "square")}
    table = strongest(tmp_path, {("random", "ddpm"): none_right, ("locked", "ddpm"): none_right[:, :1], **counted})
    (row,) = table.to_dict("records")
    assert row["attacks"] == "pgd through pgd@other aimed square"
    assert row["accuracy"] == 1


@pytest.mark.parametrize(
    ("attack", "direct"),
    [("through", 1), ("identity", 1), ("pgd", 0), ("aimed", 0), ("square", 0), ("through@other", 0)],
)
def test_direct_is_an_attack_that_follows_gradients_through_this_very_defence(
    tmp_path: Path, attack: str, direct: int
) -> None:
    table = strongest(tmp_path, {(attack, "ddpm"): right("33330000")})
    assert table["direct"].tolist() == [direct]
    assert len(upper_bounds(table)) == 1 - direct


def test_an_attack_whose_queries_all_meet_the_same_noise_is_not_direct() -> None:
    for fresh in (False, True):
        threat = SimpleNamespace(shared=False, fresh=fresh, judged_draws=None)
        attack = SimpleNamespace(control=False, follows="gradients", threat=threat)
        assert is_direct(attack, defended=True, carried=False) is fresh


def test_a_purifier_without_noise_is_attacked_by_what_attacks_the_classifier(tmp_path: Path) -> None:
    table = strongest(tmp_path, {("pgd", "noise"): right("33330000")}, sigma=0.0)
    assert table["direct"].tolist() == [1]


def test_slides_widen_the_interval(tmp_path: Path) -> None:
    verdicts = {("pgd", "ddpm"): right("33330000"), ("through", "ddpm"): right("33330000")}
    slides = {str(image): str(image // 2) for image in range(IMAGES)}
    alone, together = (strongest(tmp_path, verdicts, slides=known).iloc[0] for known in (None, slides))
    assert alone["accuracy"] == together["accuracy"]
    assert together["ci_low"] < alone["ci_low"]


def test_too_few_slides_have_no_interval_and_are_read(tmp_path: Path) -> None:
    slides = {str(image): str(image // 4) for image in range(IMAGES)}
    table = strongest(tmp_path, {("pgd", "ddpm"): right("33330000")}, slides=slides)
    write_table(table, tmp_path / "strongest.csv")
    (row,) = read_strongest(tmp_path / "strongest.csv").to_dict("records")
    assert row["accuracy"] == 0.5
    assert np.isnan([row["ci_low"], row["ci_high"]]).all()


def test_an_upper_bound_is_no_winner_over_what_was_attacked_directly(tmp_path: Path) -> None:
    good, bad = np.tile([True] * DRAWS, (IMAGES, 1)), np.tile([False] * DRAWS, (IMAGES, 1))
    found = cells(
        tmp_path,
        {
            ("pgd", "oneshot"): good,
            ("pgd", "ddpm"): bad,
            ("through", "ddpm"): bad,
            ("pgd", "noise"): bad,
            ("pgd", "none"): bad[:, :1],
        },
    )
    table = strongest_attacks(STUDY, found, tmp_path)
    assert {cell[4] for cell in upper_bounds(table)} == {"oneshot", "noise"}
    compared = with_claims(compare_cells("s", found), table).set_index(["a", "b"])[["winner", "claim"]]
    assert compared.loc[("oneshot", "ddpm")].tolist() == ["a", "upper bound"]
    assert compared.loc[("oneshot", "none")].tolist() == ["a", "upper bound"]
    assert compared.loc[("oneshot", "noise")].tolist() == ["a", "a"], "both are upper bounds under the same attack"
    assert compared.loc[("ddpm", "noise")].tolist() == ["none", "none"]


def test_what_was_attacked_directly_may_be_called_better_than_an_upper_bound(tmp_path: Path) -> None:
    good, bad = right("33333333"), right("00000000")
    found = cells(tmp_path, {("pgd", "ddpm"): good, ("through", "ddpm"): good, ("pgd", "noise"): bad})
    (row,) = with_claims(compare_cells("s", found), strongest_attacks(STUDY, found, tmp_path)).to_dict("records")
    assert (row["winner"], row["claim"]) == ("a", "a")
