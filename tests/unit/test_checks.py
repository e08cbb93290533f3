"""Every check passes on a sound study, and fails where a fault is planted that it is there to find."""

from __future__ import annotations

import copy
import dataclasses
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from assay.artifacts import Wanted
from assay.attacks.ball import project, to_stored
from assay.evaluation.checks import probed
from assay.evaluation.checks.evidence import read_evidence
from assay.evaluation.checks.run import COLUMNS, run_checks
from assay.evaluation.summary import judge, summarise, write_table
from assay.evaluation.worst_case import worst_cases
from assay.files import AssayError, write_json
from assay.planning.cells import Attacked, Cell, attacked_stacks, cells, probed_stacks, rows
from assay.stacks import to_pixels
from assay.study.attacks import PgdAttack
from assay.study.model import Study
from stack_files import write_stack
from study_tables import write_scores

ROOT = Path(__file__).parents[2]
IMAGES, SIDE, DRAWS = 200, 4, 3
LABELS = np.arange(IMAGES) % 2
IDS = [f"test-{index:04d}" for index in range(IMAGES)]
MADE_BY = {"versions": {"python": "3.11", "torch": "2.13"}, "device": "cpu"}

SMALL, LARGE = 2 / 255, 8 / 255
STUDY = {
    "study": "checked",
    "images": {"source": "phantom", "size": 16, "train": 2, "validation": 2},
    "classifiers": {"resnet": {"network": "timm/resnet18"}},
    "diffusions": {"unet": {"channels": [16], "norm_groups": 8, "steps": 1}},
    "purifiers": {
        "ddpm": {"method": "ddpm", "diffusion": "unet", "sigmas": [0.1], "steps": 4},
        "noise": {"method": "noise", "sigmas": [0.0]},
    },
    "attacks": {
        "random": {"method": "random_sign", "eps": [SMALL, LARGE]},
        "fgsm": {"method": "fgsm", "eps": [SMALL, LARGE]},
        "pgd": {"method": "pgd", "eps": [SMALL, LARGE, 0.5], "step_size": "1/255", "steps": 300},
        "l2": {"method": "pgdl2", "eps": [0.5]},
        "square": {"method": "square", "eps": [SMALL, LARGE]},
        "bpda": {"method": "pgd", "threat": "bpda", "eps": [LARGE]},
        "surrogate": {"method": "pgd", "threat": {"method": "surrogate", "steps": 2}, "eps": [LARGE]},
        "adaptive": {"method": "pgd", "threat": "adaptive", "eps": [LARGE], "draws": 2},
        "locked": {"method": "pgd", "threat": "locked", "eps": [LARGE]},
        "blackbox": {"method": "square", "threat": "blackbox", "eps": [LARGE]},
    },
    "cross": [
        {"attacks": ["random", "fgsm", "pgd", "l2", "square"], "purifiers": ["ddpm"]},
        {"attacks": ["bpda", "surrogate", "adaptive", "locked", "blackbox"], "purifiers": ["ddpm"]},
        {"attacks": ["pgd"], "purifiers": ["noise"]},
    ],
    "evaluation": {"images": IMAGES, "draws": DRAWS},
}
# The share of images that are wrong in a sound study; the harder an image, the sooner it is wrong.
WRONG = {
    "bare": {
        "clean": 0.04,
        "random": {SMALL: 0.05, LARGE: 0.06},
        "fgsm": {SMALL: 0.5, LARGE: 0.8},
        "square": {SMALL: 0.55, LARGE: 0.9},
        "pgd": {SMALL: 0.6, LARGE: 0.97, 0.5: 1.0},
        "l2": {0.5: 0.96},
    },
    "ddpm": {
        "clean": 0.1,
        "random": {SMALL: 0.1, LARGE: 0.12},
        "fgsm": {SMALL: 0.12, LARGE: 0.2},
        "square": {SMALL: 0.12, LARGE: 0.2},
        "pgd": {SMALL: 0.15, LARGE: 0.3, 0.5: 0.9},
        "l2": {0.5: 0.3},
        "bpda": {LARGE: 0.4},
        "surrogate": {LARGE: 0.42},
        "blackbox": {LARGE: 0.35},
        "adaptive": {LARGE: 0.5},
        "locked": {LARGE: 0.56},
    },
}
ROLES = {"images": {"train": 2, "test": IMAGES}, "duplicates": {"train": 0, "test": 0}, "overlaps": 0}
DIFFICULTY = (np.random.default_rng(0).permutation(IMAGES) + 0.5) / IMAGES

Verdicts = Callable[[Cell], np.ndarray]  # (images, draws) of bool
Images = Callable[[Attacked, np.ndarray, np.ndarray], np.ndarray]  # of the stack, its sound images and the clean ones


def sound_verdicts(cell: Cell, wrong: dict[str, Any] = WRONG) -> np.ndarray:
    """What a sound study finds: images are nested by their difficulty."""
    defence = "ddpm" if cell.defence.purifier == "ddpm" else "bare"
    share = wrong[defence][cell.attacked.attack if cell.attacked else "clean"]
    share = share[cell.attacked.eps] if cell.attacked else share
    draws = 1 if cell.defence.purifier is None or (cell.attacked and cell.attacked.attack == "locked") else DRAWS
    return np.repeat((DIFFICULTY + share <= 1)[:, None], draws, axis=1)


def leaving(attack: str, eps: float, share: float, defence: str = "ddpm") -> Verdicts:
    """A study in which one attack at one eps gets another share of the images wrong."""
    wrong = copy.deepcopy(WRONG)
    wrong[defence][attack][eps] = share
    return lambda cell: sound_verdicts(cell, wrong)


def leaving_clean(cell: Cell) -> np.ndarray:
    """Every stack is as good as the clean images."""
    return sound_verdicts(dataclasses.replace(cell, attacked=None))


def only(where: Callable[[Cell], bool], verdicts: Verdicts) -> Verdicts:
    """A sound study but for some cells."""
    return lambda cell: verdicts(cell) if where(cell) else sound_verdicts(cell)


def write_study(
    results: Path,
    study: Study,
    verdicts: Verdicts = sound_verdicts,
    images: Images = lambda attacked, sound, clean: sound,
    scale: Callable[[np.ndarray], np.ndarray] = lambda logits: logits,
    score_ids: list[str] = IDS,
    table: pd.DataFrame | None = None,
    spec: dict[str, Any] | None = None,
    worst: Callable[[pd.DataFrame], pd.DataFrame] = lambda table: table,
) -> Path:
    """A study's folder as the checks read it; each argument is the place for a fault."""
    generator = np.random.default_rng(1)
    clean = generator.integers(30, 200, (IMAGES, SIDE, SIDE, 3)).astype(np.uint8)
    own = pd.DataFrame({"id": IDS, "label": LABELS})
    write_images(results / "images/test", clean, own)
    write_json(results / "images/roles/roles.json", ROLES)
    inputs = {"images": results / "images/test/manifest.json"}
    for attacked in attacked_stacks(study):
        attack = study.attacks[attacked.attack]
        signs = generator.choice([-1, 1], clean.shape).transpose(0, 3, 1, 2)
        unit = signs if attack.ball == "Linf" else signs / np.sqrt(clean[0].size)
        pixels = torch.from_numpy(to_pixels(clean))
        moved = project(pixels + attacked.eps * torch.from_numpy(unit), pixels, attack.ball, attacked.eps)
        stored = to_stored(moved, attack.ball, attacked.eps)
        folder = results / "adversarial" / attacked.path
        shown = own if table is None else table
        write_images(folder, images(attacked, stored, clean), shown, inputs, {"seed": 0} if spec is None else spec)
    for cell in cells(study):
        correct = verdicts(cell)
        draws = correct.shape[1]
        margin = np.where(correct, 1.5, -1.5) * (2 * LABELS[:, None] - 1)
        logits = scale(np.stack([-margin, margin], axis=-1).reshape(-1, 2)).reshape(IMAGES, draws, 2)
        write_scores(results / "scores" / cell.path, logits, LABELS, score_ids)
    judged = judge(rows(study), results / "scores")
    write_table(worst(worst_cases(study.study, judged)), results / "worst_case.csv")
    return results


def write_images(folder, images, table, inputs=None, spec=None):
    with Wanted(folder, "stack", spec or {}, "0" * 16, inputs or {}).write(MADE_BY) as draft:
        write_stack(draft, images, table)


def checked(results: Path, study: Study | None = None, **faults: Any) -> pd.DataFrame:
    study = study or Study.model_validate(STUDY)
    return run_checks(read_evidence(study, write_study(results, study, **faults)))


def of(table: pd.DataFrame, check: str) -> pd.DataFrame:
    found = table[table["check"] == check]
    assert len(found), f"no check is called '{check}'"
    return found


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    return checked(tmp_path_factory.mktemp("sound") / "checked")


STORED = [
    *("range and format", "inside the ball", "images perturbed", "budget used", "values at the eps bound"),
    *("same ids and labels", "same images in every cell", "provenance", "logits, not probabilities"),
    *("no image has two roles", "no image is tested twice"),
]
ORDER = [
    *("falls with eps", "a large eps leaves nothing", "attack works undefended", "many steps beat one"),
    *("attack beats random noise", "black box not stronger than white box"),
    *("bpda not weaker than transfer", "surrogate not weaker than transfer", "adaptive not weaker than transfer"),
    *("locked not weaker than transfer", "adaptive not weaker than bpda", "adaptive not weaker than surrogate"),
    *("locked not weaker than bpda", "locked not weaker than surrogate", "locked not weaker than adaptive"),
]
CONTROLS = [
    *("better than chance", "clean control has the draws", "majority no better than clean"),
    *(
        "worst draw no better than clean",
        "sigma 0 is no defence",
        "worst case below every attack",
        "gap to known noise",
    ),
]


@pytest.mark.parametrize("check", [*STORED, *ORDER, *CONTROLS, "ball within reach"])
def test_a_sound_study_passes(sound: pd.DataFrame, check: str) -> None:
    found = of(sound, check)
    assert set(found["status"]) == {"PASS"}, found["meaning"].tolist()


def test_nothing_else_is_found_in_a_sound_study(sound: pd.DataFrame) -> None:
    assert sound.columns.tolist() == COLUMNS
    rest = sound[sound["status"] != "PASS"].groupby("status")["check"].agg(set).to_dict()
    assert rest == {
        "NOT RUN": {f"probe of {name}" for name in ("gradients", "convergence", "blinder", "active")},
        "WARN": {"defence attacked directly"},
    }


def test_a_line_says_what_it_is_about(sound: pd.DataFrame) -> None:
    line = of(sound, "adaptive not weaker than transfer").iloc[0]
    assert line["subject"] == "scores/resnet/resnet/adaptive/eps-8_255/ddpm-0.1/ddpm/sigma-0.1"
    assert line[["classifier", "attack", "threat", "norm", "eps", "defence", "sigma"]].tolist() == [
        *("resnet", "adaptive", "adaptive", "Linf", LARGE, "ddpm", 0.1)
    ]
    assert line["number"] == pytest.approx(-20)
    assert line["meaning"] == ("adaptive (adaptive) leaves 50.0% of ddpm at sigma 0.1, pgd (transfer) 70.0%.")


def test_a_stacks_line_names_the_classifier_that_it_was_made_on(tmp_path: Path) -> None:
    two = {"resnet": STUDY["classifiers"]["resnet"], "other": STUDY["classifiers"]["resnet"]}
    carried = {"classifiers": ["other"], "sources": ["resnet"], "attacks": ["pgd"], "purifiers": []}
    own = {"classifiers": ["resnet"], "attacks": ["pgd"], "purifiers": ["ddpm"]}
    found = of(
        checked(tmp_path / "checked", Study.model_validate(STUDY | {"classifiers": two, "cross": [own, carried]})),
        "inside the ball",
    )
    assert set(found["subject"].str.split("/").str[1]) == {"resnet"}
    assert set(zip(found["classifier"], found["attack"], strict=True)) == {("resnet", "pgd")}


def stack(name: str, change: Callable[[np.ndarray, np.ndarray], np.ndarray], eps: float = LARGE) -> dict[str, Images]:
    """A fault in the stacks of one attack at one eps: a function of its sound images and the clean ones."""

    def images(attacked: Attacked, sound: np.ndarray, clean: np.ndarray) -> np.ndarray:
        return change(sound.copy(), clean) if (attacked.attack, attacked.eps) == (name, eps) else sound

    return {"images": images}


def one_level_out(sound: np.ndarray, clean: np.ndarray) -> np.ndarray:
    sound[7, 1, 2, 0] = clean[7, 1, 2, 0] + 9
    return sound


def out_in_l2(sound: np.ndarray, clean: np.ndarray) -> np.ndarray:
    sound[7] = clean[7].astype(np.uint16) * 257 + 6000
    return sound


def left_clean(share: float) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    def change(sound: np.ndarray, clean: np.ndarray) -> np.ndarray:
        sound[: int(share * IMAGES)] = clean[: int(share * IMAGES)]
        return sound

    return change


def shortened(factor: float) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    def change(sound: np.ndarray, clean: np.ndarray) -> np.ndarray:
        return (clean + np.rint(factor * (sound.astype(int) - clean))).astype(np.uint8)

    return change


def one_value_at_the_wall(sound: np.ndarray, clean: np.ndarray) -> np.ndarray:
    moved = clean + 1
    moved[:, 0, 0, 0] = clean[:, 0, 0, 0] + 8
    return moved


def probabilities(logits: np.ndarray) -> np.ndarray:
    odds = np.exp(logits)
    return odds / odds.sum(axis=1, keepdims=True)


def coins(cell: Cell) -> np.ndarray:
    """Verdicts of pure label noise."""
    seed = sum(map(ord, cell.path))
    return np.random.default_rng(seed).random((IMAGES, DRAWS)) < 0.5


def defended(cell: Cell) -> bool:
    return cell.defence.purifier == "ddpm"


FAULTS = [
    ("inside the ball", "FAIL", stack("pgd", one_level_out)),
    ("inside the ball", "FAIL", stack("l2", out_in_l2, 0.5)),
    ("range and format", "FAIL", stack("pgd", lambda sound, clean: sound.astype(np.uint16) * 257)),
    ("range and format", "FAIL", stack("pgd", lambda sound, clean: np.repeat(sound, 2, axis=1))),
    ("images perturbed", "WARN", stack("square", left_clean(0.1))),
    ("images perturbed", "FAIL", stack("square", left_clean(0.6))),
    ("budget used", "WARN", stack("fgsm", shortened(0.75))),
    ("budget used", "FAIL", stack("fgsm", shortened(0.25))),
    ("values at the eps bound", "WARN", stack("pgd", one_value_at_the_wall)),
    ("values at the eps bound", "FAIL", stack("pgd", shortened(0.75))),
    ("same ids and labels", "FAIL", {"table": pd.DataFrame({"id": IDS, "label": 1 - LABELS})}),
    ("same ids and labels", "FAIL", {"table": pd.DataFrame({"id": IDS[::-1], "label": LABELS})}),
    ("same images in every cell", "FAIL", {"score_ids": IDS[::-1]}),
    ("provenance", "FAIL", {"spec": {"no": "seed"}}),
    ("logits, not probabilities", "FAIL", {"scale": probabilities}),
    ("falls with eps", "FAIL", {"verdicts": leaving("pgd", LARGE, 0.05)}),
    ("falls with eps", "FAIL", {"verdicts": leaving("fgsm", SMALL, 0.02)}),
    ("a large eps leaves nothing", "FAIL", {"verdicts": leaving("pgd", 0.5, 0.4, "bare")}),
    ("a large eps leaves nothing", "WARN", {"verdicts": leaving("pgd", 0.5, 0.8, "bare")}),
    ("attack works undefended", "FAIL", {"verdicts": leaving("pgd", 0.5, 0.4, "bare")}),
    ("attack works undefended", "WARN", {"verdicts": leaving("pgd", 0.5, 0.8, "bare")}),
    ("many steps beat one", "FAIL", {"verdicts": leaving("pgd", LARGE, 0.7, "bare")}),
    ("attack beats random noise", "FAIL", {"verdicts": leaving("random", LARGE, 0.4)}),
    ("black box not stronger than white box", "FAIL", {"verdicts": leaving("blackbox", LARGE, 0.6)}),
    ("black box not stronger than white box", "FAIL", {"verdicts": leaving("square", SMALL, 0.7, "bare")}),
    ("adaptive not weaker than transfer", "FAIL", {"verdicts": leaving("adaptive", LARGE, 0.2)}),
    ("adaptive not weaker than transfer", "WARN", {"verdicts": leaving("adaptive", LARGE, 0.275)}),
    ("bpda not weaker than transfer", "FAIL", {"verdicts": leaving("bpda", LARGE, 0.2)}),
    ("surrogate not weaker than transfer", "FAIL", {"verdicts": leaving("surrogate", LARGE, 0.2)}),
    ("adaptive not weaker than bpda", "FAIL", {"verdicts": leaving("adaptive", LARGE, 0.35)}),
    ("adaptive not weaker than surrogate", "FAIL", {"verdicts": leaving("adaptive", LARGE, 0.35)}),
    ("locked not weaker than adaptive", "FAIL", {"verdicts": leaving("locked", LARGE, 0.45)}),
    ("locked not weaker than transfer", "FAIL", {"verdicts": leaving("locked", LARGE, 0.2)}),
    ("locked not weaker than bpda", "FAIL", {"verdicts": leaving("locked", LARGE, 0.3)}),
    ("locked not weaker than surrogate", "FAIL", {"verdicts": leaving("locked", LARGE, 0.3)}),
    ("gap to known noise", "WARN", {"verdicts": leaving("locked", LARGE, 0.7)}),
    ("better than chance", "FAIL", {"verdicts": only(defended, coins)}),
    (
        "better than chance",
        "WARN",
        {"verdicts": only(defended, lambda cell: np.repeat((DIFFICULTY < 0.6)[:, None], DRAWS, 1))},
    ),
    (
        "clean control has the draws",
        "FAIL",
        {"verdicts": only(lambda c: defended(c) and not c.attacked, lambda cell: sound_verdicts(cell)[:, :1])},
    ),
    ("majority no better than clean", "FAIL", {"verdicts": leaving("fgsm", SMALL, 0.02)}),
    ("worst draw no better than clean", "FAIL", {"verdicts": leaving("fgsm", SMALL, 0.02)}),
    (
        "sigma 0 is no defence",
        "FAIL",
        {"verdicts": only(lambda c: c.defence.purifier == "noise" and not c.attacked, lambda c: ~sound_verdicts(c))},
    ),
    (
        "worst case below every attack",
        "FAIL",
        {"worst": lambda table: table.assign(all_or_nothing=table["all_or_nothing"] + 0.01)},
    ),
    ("worst case below every attack", "FAIL", {"worst": lambda table: table.iloc[:1]}),
]


@pytest.mark.parametrize(
    ("check", "status", "faults"), FAULTS, ids=[f"{check}-{status}" for check, status, _ in FAULTS]
)
def test_a_planted_fault_is_found(tmp_path: Path, check: str, status: str, faults: dict[str, Any]) -> None:
    found = of(checked(tmp_path / "checked", **faults), check)
    assert status in set(found["status"]), found[["status", "number", "meaning"]].to_string()
    if status == "WARN":
        assert "FAIL" not in set(found["status"])


def test_a_fault_is_found_where_it_is_and_nowhere_else(tmp_path: Path) -> None:
    found = of(checked(tmp_path / "checked", **stack("pgd", one_level_out)), "inside the ball")
    (failed,) = found[found["status"] == "FAIL"].to_dict("records")
    assert failed["subject"] == "adversarial/resnet/pgd/eps-8_255/undefended"
    assert (failed["number"], failed["threshold"]) == (9, 8)
    assert failed["meaning"] == "The furthest stored image lies 9 of 255 levels from its clean one; the ball allows 8."


def test_an_attack_that_fails_undefended_takes_its_stack_with_it(tmp_path: Path) -> None:
    """What a defence keeps of an attack that does not work says nothing of the defence."""
    found = of(checked(tmp_path / "checked", verdicts=leaving("pgd", 0.5, 0.4, "bare")), "attack works undefended")
    (failed,) = found[found["status"] == "FAIL"].to_dict("records")
    stack = "resnet/pgd/eps-0.5/undefended"
    assert failed["subject"].split() == [f"scores/resnet/{stack}/none/sigma-0", f"adversarial/{stack}"]


def test_a_classifier_that_was_trained_on_attacked_images_is_no_control_of_the_attacks(tmp_path: Path) -> None:
    robust = STUDY["classifiers"]["resnet"] | {"objective": {"method": "adversarial", "eps": LARGE}}
    study = Study.model_validate(STUDY | {"classifiers": {"resnet": robust}})
    found = of(
        checked(tmp_path / "checked", study, verdicts=leaving("pgd", 0.5, 0.4, "bare")), "attack works undefended"
    )
    assert set(found["status"]) == {"DOES NOT APPLY"}
    assert "resnet was trained on attacked images" in found["meaning"].item()


@pytest.mark.parametrize(
    ("roles", "check", "status"),
    [
        ({"overlaps": 3}, "no image has two roles", "FAIL"),
        ({"duplicates": {"test": 1}}, "no image is tested twice", "WARN"),
        ({"duplicates": {"test": 40}}, "no image is tested twice", "FAIL"),
        (None, "no image has two roles", "NOT RUN"),
    ],
)
def test_an_image_that_is_tested_twice_or_was_trained_on_is_found(tmp_path, roles, check, status) -> None:
    study = Study.model_validate(STUDY)
    results = write_study(tmp_path / "checked", study)
    if roles is None:
        (results / "images/roles/roles.json").unlink()
    else:
        write_json(results / "images/roles/roles.json", ROLES | roles)
    found = of(run_checks(read_evidence(study, results)), check).iloc[0]
    assert (found["status"], found["subject"]) == (status, "images/test")


def test_a_corrupt_stack_is_a_finding_and_not_the_end(tmp_path: Path) -> None:
    study = Study.model_validate(STUDY)
    results = write_study(tmp_path / "checked", study)
    path = results / "adversarial/resnet/pgd/eps-8_255/undefended/table.csv"
    path.write_text(path.read_text().replace("test-0000", "test-1000"))
    table = run_checks(read_evidence(study, results))
    assert of(table, "stack is whole")["status"].tolist() == ["FAIL"]
    assert set(of(table, "falls with eps")["status"]) == {"PASS"}


def test_a_rise_that_chance_explains_is_no_violation(tmp_path: Path) -> None:
    """Three images more of two hundred, each in its own way: nothing."""
    generator = np.random.default_rng(0)

    def verdicts(cell: Cell) -> np.ndarray:
        correct = sound_verdicts(cell).copy()
        if cell.attacked and cell.attacked.attack == "fgsm" and defended(cell) and cell.attacked.eps == SMALL:
            correct = sound_verdicts(Cell("resnet", None, cell.defence)).copy()
            correct[generator.choice(IMAGES, 20, replace=False)] ^= True
            correct[np.flatnonzero(~correct[:, 0])[:20]] = True
        return correct

    found = of(checked(tmp_path / "checked", verdicts=verdicts), "falls with eps")
    assert set(found["status"]) == {"PASS"}
    assert found["number"].max() > 0


def test_checks_that_too_few_slides_cannot_tell_are_not_run_and_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = Study.model_validate(STUDY)
    worse = leaving("adaptive", LARGE, 0.2)
    for slides, status in ((3, "NOT RUN"), (50, "FAIL")):
        monkeypatch.setattr(
            "assay.evaluation.checks.evidence.read_slides",
            lambda _, slides=slides: {image: str(int(image[5:]) % slides) for image in IDS},
        )
        table = checked(tmp_path / f"checked{slides}", study, verdicts=worse)
        (found,) = of(table, "adaptive not weaker than transfer").to_dict("records")
        assert found["status"] == status
        assert found["meaning"].startswith("The images come from too few slides to tell") == (slides == 3)
        expected = "NOT RUN" if slides == 3 else "PASS"
        assert set(of(table, "better than chance")["status"]) == {expected}
        assert ("NOT RUN" in set(of(table, "black box not stronger than white box")["status"])) == (slides == 3)


def test_label_noise_keeps_all_of_its_accuracy_and_earns_nothing(tmp_path: Path) -> None:
    """What is left of a coin under attack is what it had; the check says that this was worth nothing."""
    study = Study.model_validate(STUDY)
    results = write_study(tmp_path / "checked", study, verdicts=only(defended, coins))
    summary = summarise("s", judge(rows(study), results / "scores"))
    noisy = summary[(summary["defence"] == "ddpm") & (summary["attack"] != "none")]
    assert noisy["kept"].to_numpy() == pytest.approx(1, abs=0.25)
    assert (noisy["worst_of_2"].dropna() < 0.35).all()
    table = run_checks(read_evidence(study, results))
    chance = of(table, "better than chance")
    (failed,) = chance[chance["status"] == "FAIL"].to_dict("records")
    assert failed["defence"] == "ddpm"
    assert len(failed["subject"].split()) == 1 + len(noisy)
    assert "what it keeps under attack is worth nothing" in failed["meaning"]
    for check in ("majority no better than clean", "worst draw no better than clean"):
        assert (of(table, check)["status"] == "FAIL").mean() < 0.1


def test_a_single_step_may_carry_over_better_than_many(tmp_path: Path) -> None:
    """Many steps are held against one where both were made, not on a defence that both are shown."""
    found = of(checked(tmp_path / "checked", verdicts=leaving("fgsm", LARGE, 0.5)), "many steps beat one")
    assert set(found["status"]) == {"PASS"}
    assert set(found["defence"]) == {"none"}


def test_a_study_without_what_a_check_needs_says_so(tmp_path: Path) -> None:
    bare = STUDY | {"attacks": {"fgsm": STUDY["attacks"]["fgsm"]}, "cross": [{"purifiers": []}]}
    table = checked(tmp_path / "checked", Study.model_validate(bare))
    lacking = table[table["status"] == "NOT RUN"]
    assert set(lacking.loc[lacking["subject"] == "", "check"]) == {
        *("a large eps leaves nothing", "many steps beat one", "attack beats random noise"),
        *("black box not stronger than white box",),
    }, "what the study lacks altogether is in doubt of no cell"
    assert lacking["meaning"].str.contains(r"; add [^;]*\.$").all(), "each says what to add"
    assert set(table.loc[table["status"] == "DOES NOT APPLY", "check"]) == {
        *("sigma 0 is no defence", "adaptive not weaker than transfer", "gap to known noise"),
    }
    at_zero = {"attacks": {"pgd": {"method": "pgd", "eps": [0.0]}}, "cross": [{"purifiers": []}]}
    table = checked(tmp_path / "zero", Study.model_validate(STUDY | at_zero), verdicts=leaving_clean)
    assert set(of(table, "attack works undefended")["status"]) == {"NOT RUN"}, "in a ball of eps 0 nothing can work"
    no_attack = Study.model_validate(STUDY | {"attacks": {}, "cross": [{"purifiers": []}]})
    table = checked(tmp_path / "clean", no_attack)
    assert set(of(table, "attack works undefended")["status"]) == {"NOT RUN"}


def rungs(folder: Path, attacks: list[str], purifiers: tuple[str, ...] = ("ddpm",)) -> pd.DataFrame:
    """The findings about direct attacks of a study with some attacks, each at the large eps, on some purifiers."""
    named = {name: STUDY["attacks"][name] | {"eps": [LARGE]} for name in attacks}
    study = Study.model_validate(STUDY | {"attacks": named, "cross": [{"purifiers": list(purifiers)}]})
    return checked(folder / "checked", study, verdicts=leaving_clean).query("check == 'defence attacked directly'")


@pytest.mark.parametrize(
    ("attacks", "says"),
    [
        (["pgd"], "Upper bound: at eps 8/255 ddpm at sigma 0.1 was attacked by transfer only; add an attack with"),
        (["fgsm", "pgd", "random"], "attacked by transfer only; add an attack with threat: adaptive at this eps."),
        (["pgd", "blackbox"], "not attacked through its gradients with fresh noise; add an attack with threat: adapt"),
        (["pgd", "locked"], "attacked by transfer only"),
    ],
)
def test_a_defence_that_was_not_attacked_directly_is_an_upper_bound(tmp_path: Path, attacks: list, says: str) -> None:
    (found,) = rungs(tmp_path, attacks).to_dict("records")
    assert (found["status"], found["number"], found["threshold"]) == ("WARN", 0, 1)
    assert says in found["meaning"]
    shown = [place.split("/")[3] for place in found["subject"].split()]
    assert shown == [name for name in attacks if name not in ("random", "locked")]
    assert all(place.endswith("ddpm/sigma-0.1") for place in found["subject"].split()), "the bare classifier is not"


@pytest.mark.parametrize("attack", ["adaptive", "bpda", "surrogate"])
def test_whoever_follows_gradients_through_a_defence_attacks_it_directly(tmp_path: Path, attack: str) -> None:
    (found,) = rungs(tmp_path, ["pgd", attack]).to_dict("records")
    assert (found["status"], found["number"]) == ("PASS", 1)
    assert found["meaning"] == f"Direct: at eps 8/255 ddpm at sigma 0.1 was attacked through its gradients by {attack}."


def test_a_purifier_without_noise_need_not_be_attacked_directly(tmp_path: Path) -> None:
    assert rungs(tmp_path, ["pgd"], ("noise",)).empty


def test_a_direct_attack_without_one_by_transfer_lacks_its_comparison(tmp_path: Path) -> None:
    study = Study.model_validate(STUDY | {"cross": [{"attacks": ["adaptive", "locked"], "purifiers": ["ddpm"]}]})
    found = of(checked(tmp_path / "checked", study), "adaptive not weaker than transfer").iloc[0]
    assert (found["status"], found["attack"]) == ("NOT RUN", "adaptive")
    assert found["meaning"].endswith("not attacked by transfer; add an attack with threat: transfer at this eps.")


def test_a_probe_that_nobody_asked_for_is_missing_from_every_attack_that_follows_gradients(
    sound: pd.DataFrame,
) -> None:
    missing = of(sound, "probe of gradients")
    assert set(missing["status"]) == {"NOT RUN"}
    assert set(missing["meaning"]) == {
        "The study does not ask for the probe of gradients; add checks: {gradients: true}."
    }
    assert set(missing["subject"].str.split("/").str[2]) == {
        *("fgsm", "pgd", "l2", "bpda", "surrogate", "adaptive", "locked"),
    }


@pytest.mark.parametrize(("size", "status"), [(0.9, "FAIL"), (1.5, "WARN"), (2.5, "PASS")])
def test_steps_that_cannot_cross_the_ball_are_found(size: float, status: str) -> None:
    attack = PgdAttack(method="pgd", eps=[LARGE], steps=10, step_size=size * LARGE / 10)
    (found,) = probed.reach(attack, LARGE, ["a"])
    assert (found.check, found.status) == ("ball within reach", status)
    assert found.number == pytest.approx(size)


PROBE = {
    "gradients": dict.fromkeys(["zero_start", "zero_end", "not_finite_start", "not_finite_end", "replay", "batch"], 0.0)
    | {"zero_entries": 0.0, "halves": 0.7, "rose": 1.0, "training_modules": 0, "probabilities": 0.0}
    | {key: {"all": 1.0, "band": 0.99, "colour": 1.0} for key in ("captured_start", "captured_end")},
    "convergence": {
        "accuracy": 0.5,
        "images": 128,
        "again": {"accuracy": 0.48, "gain": 0.02, "p": 0.3, "at_most": 0.04},
        "more": {"accuracy": 0.49, "gain": 0.01, "p": 0.2, "at_most": 0.04},
        "parameters_changed": 0,
    },
    "blinder": {
        "accuracy": 0.5,
        "images": 128,
        "identity": {"accuracy": 0.5, "gain": 0.0, "p": 1.0, "at_most": 0.02},
        "answers": {"accuracy": 0.49, "gain": 0.01, "p": 0.2, "at_most": 0.03},
    },
    "active": {"planted": 0.9, "found": 1.0, "random": 0.0},
}
ADAPTIVE = Study.model_validate(STUDY).attacks["adaptive"]
NAN = float("nan")


def gained(gain: float, p: float, at_most: float = 0.5) -> dict[str, float]:
    """What an attack that goes on leaves, of half of the images."""
    return {"accuracy": 0.5 - gain, "gain": gain, "p": p, "at_most": at_most}


def of_probe(family: str, attack=ADAPTIVE, **changes: Any) -> dict[str, str]:
    judge = {
        "gradients": probed.gradients,
        "convergence": probed.convergence,
        "blinder": probed.blinder,
        "active": probed.active,
    }[family]
    return {found.check: found.status for found in judge(PROBE[family] | changes, attack, ["a"])}


@pytest.mark.parametrize("family", PROBE)
def test_a_sound_attack_passes_its_probes(family: str) -> None:
    assert set(of_probe(family).values()) == {"PASS"}


@pytest.mark.parametrize(
    ("family", "changes", "check", "status"),
    [
        ("gradients", {"zero_start": 0.05}, "zero gradients at the start", "WARN"),
        ("gradients", {"zero_start": 1.0}, "zero gradients at the start", "FAIL"),
        ("gradients", {"zero_end": 1.0}, "zero gradients at the end", "FAIL"),
        ("gradients", {"not_finite_start": 0.01}, "finite gradients at the start", "FAIL"),
        ("gradients", {"not_finite_end": 0.01}, "finite gradients at the end", "FAIL"),
        ("gradients", {"captured_end": {"all": 0.93, "band": 1, "colour": 1}}, "gradient is the loss's slope", "WARN"),
        ("gradients", {"captured_end": {"all": 0.89, "band": 1, "colour": 1}}, "gradient is the loss's slope", "FAIL"),
        ("gradients", {"captured_start": {"all": 1, "band": 0.1, "colour": 1}}, "gradient has every frequency", "FAIL"),
        ("gradients", {"captured_start": {"all": 1, "band": 1, "colour": 0.9}}, "gradient has every colour", "WARN"),
        ("gradients", {"zero_entries": 0.2}, "few zeros in the gradient", "PASS"),
        ("gradients", {"zero_entries": 0.3}, "few zeros in the gradient", "WARN"),
        ("gradients", {"zero_entries": 1.0}, "few zeros in the gradient", "WARN"),
        ("gradients", {"halves": 0.1}, "gradient above its noise", "WARN"),
        ("gradients", {"halves": 0.0}, "gradient above its noise", "FAIL"),
        ("gradients", {"rose": 0.8}, "loss rose", "WARN"),
        ("gradients", {"rose": 0.3}, "loss rose", "FAIL"),
        ("gradients", {"rose": None}, "loss rose", "NOT RUN"),
        ("gradients", {"replay": 0.1}, "same noise, same answer", "FAIL"),
        ("gradients", {"batch": 0.1}, "answers do not depend on the batch", "FAIL"),
        ("gradients", {"training_modules": 3}, "evaluation mode", "FAIL"),
        ("gradients", {"probabilities": 1.0}, "the victim gives logits", "FAIL"),
        ("gradients", {"captured_start": {"all": NAN, "band": 1, "colour": 1}}, "gradient is the loss's slope", "FAIL"),
        ("gradients", {"captured_end": {"all": NAN, "band": 1, "colour": 1}}, "gradient is the loss's slope", "FAIL"),
        ("gradients", {"captured_end": {"all": 1, "band": NAN, "colour": 1}}, "gradient has every frequency", "FAIL"),
        ("gradients", {"captured_end": {"all": 1, "band": 1, "colour": NAN}}, "gradient has every colour", "FAIL"),
        ("convergence", {"more": gained(0.2, p=0.001)}, "attack converged", "FAIL"),
        ("convergence", {"more": gained(0.04, p=0.03)}, "attack converged", "WARN"),
        ("convergence", {"more": gained(0.0, p=1, at_most=0.09)}, "attack converged", "NOT RUN"),
        ("convergence", {"again": gained(-0.2, p=1)}, "another start leaves as much", "WARN"),
        ("blinder", {"identity": gained(0.2, p=0.001)}, "identity leaves no less", "FAIL"),
        ("blinder", {"identity": None}, "identity leaves no less", "DOES NOT APPLY"),
        ("blinder", {"answers": gained(0.1, p=0.001)}, "answers alone leave no less", "FAIL"),
        ("blinder", {"answers": gained(0.03, p=0.04)}, "answers alone leave no less", "WARN"),
        ("convergence", {"parameters_changed": 2}, "attack leaves the networks alone", "FAIL"),
        ("active", {"found": 0.5}, "finds a planted image", "FAIL"),
        ("active", {"found": 0.9}, "finds a planted image", "WARN"),
        ("active", {"random": 0.3}, "random noise misses the planted image", "WARN"),
        ("active", {"random": 0.8}, "finds a planted image", "DOES NOT APPLY"),
        ("active", {"random": 0.8, "found": 0.1}, "finds a planted image", "DOES NOT APPLY"),
        ("active", {"planted": 0.2}, "finds a planted image", "DOES NOT APPLY"),
    ],
)
def test_what_a_probe_found_has_its_verdict(family: str, changes: dict, check: str, status: str) -> None:
    assert of_probe(family, **changes)[check] == status


def test_bpda_is_not_blamed_for_a_gradient_that_is_not_the_losss() -> None:
    found = of_probe("gradients", Study.model_validate(STUDY).attacks["bpda"])
    assert {found[check] for check in probed.CAPTURES.values()} == {"DOES NOT APPLY"}


def test_probes_reach_the_table(tmp_path: Path) -> None:
    study = Study.model_validate(STUDY | {"checks": {"active": True}})
    results = write_study(tmp_path / "checked", study)
    assert "resnet/adaptive/eps-8_255/ddpm-0.1" in [attacked.path for attacked in probed_stacks(study)]
    for attacked in probed_stacks(study):
        with Wanted(results / "probes" / attacked.path, "probe", {}, "", {}).write({}) as draft:
            share = 0.1 if attacked.attack == "adaptive" else 1.0
            draft.path("probe.json").write_text(f'{{"active": {{"planted": 1.0, "found": {share}, "random": 0.0}}}}')
    found = of(run_checks(read_evidence(study, results)), "finds a planted image")
    (failed,) = found[found["status"] == "FAIL"].to_dict("records")
    assert failed["subject"] == "adversarial/resnet/adaptive/eps-8_255/ddpm-0.1"
    assert failed["attack"] == "adaptive"
    assert len(found) == len(probed_stacks(study))


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda place: place.unlink(), r"probe\.json: missing; delete .* and run again"),
        (
            lambda place: place.write_text(place.read_text()[:-9]),
            r"probe\.json: .* \(truncated\?\); delete .* and run again",
        ),
        (lambda place: shutil.rmtree(place.parent), r"manifest\.json: not found; run the stage that makes it"),
    ],
)
def test_a_probe_that_is_gone_or_not_whole_is_one_clear_line(tmp_path: Path, fault: Any, message: str) -> None:
    study = Study.model_validate(STUDY | {"checks": {"active": True}})
    results = write_study(tmp_path / "checked", study)
    for attacked in probed_stacks(study):
        with Wanted(results / "probes" / attacked.path, "probe", {}, "", {}).write({}) as draft:
            draft.path("probe.json").write_text('{"active": {"planted": 1.0, "found": 1.0, "random": 0.0}}')
    fault(results / "probes/resnet/adaptive/eps-8_255/ddpm-0.1/probe.json")
    with pytest.raises(AssayError, match=message) as caught:
        run_checks(read_evidence(study, results))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("cut", [1, 7, 200])
def test_a_truncated_table_of_worst_cases_is_one_clear_line(tmp_path: Path, cut: int) -> None:
    study = Study.model_validate(STUDY)
    path = write_study(tmp_path / "checked", study) / "worst_case.csv"
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(AssayError, match=r"worst_case\.csv: ends too early \(truncated\?\); delete it and run again"):
        read_evidence(study, path.parent)


def test_the_program_writes_the_same_table_each_time_without_torch(tmp_path: Path) -> None:
    study = Study.model_validate(STUDY)
    results = write_study(tmp_path / "checked", study)
    places = {"images": "images/test", "roles": "images/roles", "tables": "summary.manifest.json"}
    for kind, name in (("roles", "roles.json"), ("tables", "worst_case.csv")):
        place = results / places[kind]
        content = ((place if kind == "roles" else results) / name).read_bytes()
        with Wanted(place, kind, {}, "", {}).write({}) as draft:
            draft.path(name).write_bytes(content)
    places |= {"scores": "scores", "adversarial": "adversarial"}
    inputs = {role: str(results / place) for role, place in places.items()}
    program = "runpy.run_path('workflow/stages/check.py', run_name='__main__')"
    code = f"import runpy, sys; {program}; assert 'torch' not in sys.modules"
    command = [sys.executable, "-c", code, "--spec", study.model_dump_json(), "--inputs", json.dumps(inputs), "--out"]
    written = []
    for _ in range(2):
        subprocess.run([*command, results / "checks.manifest.json"], check=True, cwd=ROOT)
        written.append((results / "checks.csv").read_bytes())
        (results / "checks.manifest.json").unlink()
    assert written[0] == written[1]
    assert set(pd.read_csv(results / "checks.csv")["status"]) == {"PASS", "WARN", "NOT RUN"}
