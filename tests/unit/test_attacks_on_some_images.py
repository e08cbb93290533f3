"""Attacks on some of the test images: who is drawn, and that cells are compared on the images that they share."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError

from assay.artifacts import Wanted
from assay.attacks.chosen import chosen_rows
from assay.evaluation.checks import probed
from assay.evaluation.checks.evidence import read_evidence
from assay.evaluation.checks.order import ordered
from assay.evaluation.checks.stored import cell_images, same_images
from assay.evaluation.comparisons import compare_cells
from assay.evaluation.probes.sample import take
from assay.evaluation.resubmission import resubmission_risk
from assay.evaluation.strongest import strongest_attacks
from assay.evaluation.summary import Judged, judge, summarise, write_table
from assay.evaluation.worst_case import worst_cases
from assay.files import AssayError
from assay.planning.cells import attack_at, cells, probed_stacks, rows
from assay.planning.jobs import Jobs
from assay.reporting.inspection import view
from assay.stacks import Stack
from assay.study.model import Study
from stack_files import write_stack
from study_tables import made_up, write_scores

IMAGES, SOME, SIDE = 60, 20, 4
IDS = [f"test-{index:04d}" for index in range(IMAGES)]
LABELS = np.r_[np.zeros(45, int), np.ones(15, int)]
ROWS = chosen_rows(IDS, LABELS, SOME, seed=0)
ALL = np.arange(IMAGES)
ATTACKS = {"through": {"method": "pgd", "threat": "adaptive", "eps": [0.1], "images": SOME}}


def study(**parts: object) -> Study:
    whole = {"evaluation": {"images": IMAGES, "draws": 2, "batch_size": 10, "images_per_job": 20}} | parts
    return made_up({"pgd": "transfer"}, purifiers=("ddpm",), more_attacks=ATTACKS, **whole)


def test_every_class_has_its_share_and_a_smaller_number_is_part_of_a_larger_one() -> None:
    assert np.bincount(LABELS[ROWS]).tolist() == [15, 5]
    assert (np.diff(ROWS) > 0).all()
    for count in range(1, IMAGES):
        fewer, more = (set(chosen_rows(IDS, LABELS, number, seed=0)) for number in (count, count + 1))
        assert len(fewer) == count
        assert fewer < more
        assert abs(sum(LABELS[row] == 0 for row in fewer) - 0.75 * count) <= 1
    assert set(ROWS) != set(chosen_rows(IDS, LABELS, SOME, seed=1))


def test_an_image_is_drawn_wherever_it_stands() -> None:
    turned = np.arange(IMAGES)[::-1]
    again = chosen_rows([IDS[row] for row in turned], LABELS[turned], SOME, seed=0)
    assert {IDS[turned[row]] for row in again} == {IDS[row] for row in ROWS}


def test_more_images_than_there_are_are_refused_by_name() -> None:
    with pytest.raises(ValidationError, match=r"attacks\.through\.images: 20 is more than the 10 test images"):
        study(evaluation={"images": 10})


def test_an_attack_on_all_images_has_the_key_that_it_had_and_sigma_is_chosen_on_all() -> None:
    sweep = {
        "images": 30,
        "purifier": "ddpm",
        "classifier": "resnet",
        "attack": "through",
        "eps": 0.1,
        "sigmas": [0.1, 0.2],
    }
    jobs = Jobs(study(selection=sweep))
    specs = {
        name: json.loads(jobs.attack(role, path).text)["attack"]
        for name, role, path in (
            ("all", "", "resnet/pgd/eps-0.1/undefended"),
            ("some", "", "resnet/through/eps-0.1/ddpm-0.1"),
            ("selection", "selection/", "resnet/through/eps-0.1/ddpm-0.1"),
        )
    }
    assert specs["some"]["images"] == SOME
    assert "images" not in specs["all"]
    assert "images" not in specs["selection"]


def test_a_stack_is_cut_into_the_parts_of_its_own_images() -> None:
    jobs = Jobs(study())
    through, shared = "resnet/through/eps-0.1/ddpm-0.1", "resnet/pgd/eps-0.1/undefended"
    assert len(jobs.parts(jobs.attack("", shared))) == 3
    assert jobs.parts(jobs.attack("", through)) == []
    assert jobs.parts(jobs.purify("", through, "ddpm", "0.1")) == []
    assert len(jobs.parts(jobs.purify("", shared, "ddpm", "0.1"))) == 3
    assert [
        attack_at(f"results/a/{place}") for place in ("purified/clean/pgd/sigma-0.1", f"adversarial/{through}")
    ] == [*(None, "through")]


def sound(seed: int = 3) -> np.ndarray:
    """Verdicts (images, 2 draws)."""
    return np.random.default_rng(seed).random((IMAGES, 2)) < 0.7


@pytest.fixture
def judged(tmp_path: Path) -> list[Judged]:
    """The cells of a study: transfer leaves everything right but the images that the other attack was not made on."""
    made = study()
    for cell in cells(made):
        right = sound() if cell.defence.purifier else sound()[:, :1]
        if cell.attacked and cell.attacked.attack == "pgd" and cell.defence.purifier:
            right = np.isin(np.arange(IMAGES), ROWS)[:, None] & np.ones((1, 2), bool)
        taken = ROWS if cell.attacked and cell.attacked.attack == "through" else np.arange(IMAGES)
        margins = np.where(right, 1.5, -1.5)[taken] * (2 * LABELS[taken, None] - 1)
        logits = np.stack([-margins, margins], axis=-1)
        write_scores(tmp_path / "scores" / cell.path, logits, LABELS[taken], [IDS[row] for row in taken])
    return judge(rows(made), tmp_path / "scores")


def test_measures_are_of_the_images_that_a_cell_has(judged: list[Judged]) -> None:
    table = summarise("made-up", judged).set_index(["attack", "defence"])
    assert table.loc[("through", "ddpm"), "images"] == SOME
    assert table.loc[("through", "ddpm"), "accuracy"] == pytest.approx(sound()[ROWS].mean())
    assert table.loc[("through", "ddpm"), "kept"] == pytest.approx(1.0), "of the same images when clean"
    assert table.loc[("pgd", "ddpm"), "images"] == IMAGES


def test_the_strongest_attack_and_the_worst_case_are_of_images_that_all_attacks_were_made_on(
    tmp_path: Path, judged: list[Judged]
) -> None:
    strongest = strongest_attacks(study(), judged, tmp_path / "scores").set_index("defence").loc["ddpm"]
    assert strongest["images"] == SOME
    assert strongest["accuracy"] == pytest.approx(sound()[ROWS].mean()), "transfer leaves all of these"
    worst = worst_cases("made-up", judged).set_index("defence").loc["ddpm"]
    assert worst["images"] == SOME
    assert worst["all_or_nothing"] == worst["clean"] == pytest.approx(sound()[ROWS].all(1).mean())


def test_clean_images_stand_beside_resubmission_on_the_same_images(judged: list[Judged]) -> None:
    table = resubmission_risk(study(), judged)
    through = table[table["attack"] == "through"]
    assert through["images"].unique() == [SOME]
    assert through["clean"].tolist() == pytest.approx(through["accuracy"].tolist())


def test_cells_of_other_images_are_compared_on_those_that_they_share(judged: list[Judged]) -> None:
    pair = [next(cell for cell in judged if cell.row["attack"] == name and cell.row["defence"] == "ddpm") for name in
            ("through", "pgd")]  # fmt: skip
    same = [Judged(**{**vars(cell), "row": {**cell.row, "attack": "one", "threat": "t"}}) for cell in pair]
    (line,) = compare_cells("made-up", same).to_dict("records")
    assert line["accuracy_b"] == 1.0
    assert line["difference"] == pytest.approx(1 - sound()[ROWS].mean())


def test_scores_of_an_image_that_is_not_tested_are_refused(tmp_path: Path, judged: list[Judged]) -> None:
    cell = next(cell for cell in cells(study()) if cell.attacked and cell.attacked.attack == "through")
    ids = [IDS[row] for row in ROWS]
    for wrong in ([*ids[:-1], "another"], ids[::-1]):
        write_scores(tmp_path / "other" / "scores", np.zeros((SOME, 2, 2)), LABELS[ROWS], wrong)
        place = tmp_path / "scores" / cell.path
        (tmp_path / "other" / "kept").mkdir(exist_ok=True)
        place.rename(tmp_path / "other" / "kept" / wrong[0])
        (tmp_path / "other" / "scores").rename(place)
        with pytest.raises(AssayError, match="its ids are not those of"):
            judge(rows(study()), tmp_path / "scores")


def stack(taken: np.ndarray = ALL) -> Stack:
    images = np.random.default_rng(0).integers(0, 256, (IMAGES, SIDE, SIDE, 3)).astype(np.uint8)
    table = pd.DataFrame({"id": np.array(IDS)[taken], "label": LABELS[taken]})
    return Stack(table, {"facts": {"classes": ["a", "b"]}}, images[taken])


def write(folder: Path, images: Stack, classes: Sequence[str] = ("a", "b")) -> None:
    with Wanted(folder, "stack", {}, "0" * 16, {}).write({}) as draft:
        draft.facts["classes"] = list(classes)
        write_stack(draft, images.images, images.table)


def test_a_look_at_a_stack_shows_its_own_images_beside_their_clean_ones(tmp_path: Path, judged: list[Judged]) -> None:
    through = tmp_path / "adversarial/resnet/through/eps-0.1/ddpm-0.1"
    write(tmp_path / "images/test", stack())
    write(through, stack(ROWS))
    seen = view(through)
    assert seen.ids.tolist() == [IDS[row] for row in ROWS]
    everyone = np.arange(SOME)
    assert np.array_equal(seen.stages["clean"].pixels(everyone), seen.stages["attacked"].pixels(everyone))
    assert seen.stages["clean"].right.tolist() == sound()[ROWS, 0].tolist()


def test_a_check_finds_images_that_are_missing_foreign_or_in_another_order() -> None:
    clean = stack()
    assert same_images(stack(ROWS), clean, SOME, []).status == "PASS"
    assert same_images(stack(ROWS[:-1]), clean, SOME, []).status == "FAIL"
    assert same_images(stack(ROWS[::-1]), clean, SOME, []).status == "FAIL"
    assert cell_images(np.array(["x", *IDS[1:SOME]]), LABELS[:SOME], clean, SOME, []).number == 1
    assert cell_images(np.array(IDS), LABELS, clean, IMAGES, []).status == "PASS"
    assert cell_images(np.array(IDS[::-1]), LABELS[::-1], clean, IMAGES, []).status == "FAIL"


def test_a_probe_shows_an_attack_the_clean_images_of_its_own_points() -> None:
    clean, attacked = stack(), stack(ROWS)
    sample = take(clean, attacked, SOME, torch.device("cpu"))
    assert len(sample.keys) == 15, "as many of each class as there are"
    assert torch.equal(sample.clean, sample.attacked), "the stacks are equal where they have the same image"


def test_checks_compare_attacks_on_the_images_that_they_share(tmp_path: Path, judged: list[Judged]) -> None:
    write(tmp_path / "images/test", stack())
    write_table(worst_cases("made-up", judged), tmp_path / "worst_case.csv")
    evidence = read_evidence(study(), tmp_path)
    found = {
        (cell.judged.row["attack"], cell.judged.row["defence"]): cell
        for cell in evidence.measured
    }  # fmt: skip
    through, transfer = found["through", "ddpm"], found["pgd", "ddpm"]
    assert ordered("adaptive not weaker than transfer", through, transfer, ("a", "b")).status == "PASS"
    assert ordered("the other way", transfer, through, ("a", "b")).number == pytest.approx(
        100 * (1 - sound()[ROWS].mean())
    )
    control = evidence.control_of(through)
    assert control is not None
    assert len(control.judged.ids) == SOME


def test_only_the_named_attacks_are_probed_and_the_others_say_so(tmp_path: Path, judged: list[Judged]) -> None:
    checks = {"gradients": True, "attacks": ["pgd"], "eps": [0.1]}
    assert [attacked.attack for attacked in probed_stacks(study(checks=checks))] == ["pgd"]
    assert probed_stacks(study(checks=checks | {"attacks": ["through"]}))[0].attack == "through"
    write(tmp_path / "images/test", stack())
    write_table(worst_cases("made-up", judged), tmp_path / "worst_case.csv")
    evidence = read_evidence(study(checks=checks | {"attacks": ["through"], "eps": None}), tmp_path)
    evidence.probe = lambda attacked: {}
    found = [finding for finding in probed.find(evidence) if finding.check == "probe of gradients"]
    assert [(finding.status, finding.subjects) for finding in found] == [
        ("NOT RUN", ["adversarial/resnet/pgd/eps-0.1/undefended"])
    ]


@pytest.mark.parametrize(
    ("checks", "line"),
    [
        ({"attacks": ["pgdd"]}, r"checks\.attacks: 'pgdd' is not among"),
        ({"eps": [0.2]}, r"checks\.eps: 0\.2 is not among 0\.1"),
    ],
)
def test_a_probe_of_what_there_is_not_is_refused_by_name(checks: dict, line: str) -> None:
    with pytest.raises(ValidationError, match=line):
        study(checks=checks)


def test_a_probe_does_not_depend_on_what_else_is_probed() -> None:
    keys = [
        json.loads(Jobs(study(checks={"gradients": True} | more)).probe("resnet/pgd/eps-0.1/undefended").text)["checks"]
        for more in ({}, {"attacks": ["pgd"]}, {"eps": [0.1]})
    ]
    assert keys[0] == keys[1] == keys[2]
