import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from assay.evaluation.statistics import accuracy_interval
from assay.evaluation.summary import COLUMNS, read_scores, summarise, write_summary
from assay.files import AssayError, artifact
from assay.reporting.read import read_summary
from assay.study.parse import parse_study
from assay.study.specs import Specs

ROOT = Path(__file__).parents[2]
LABELS = np.array([0, 1, 1, 0])


def write_scores(folder, correct, labels=LABELS, ids=None, classes=2, change=lambda table: table):
    """An artifact of scores whose draws (images, draws) are right where `correct` says."""
    images, draws = np.shape(correct)
    labels = np.asarray(labels)
    ids = np.arange(images) if ids is None else ids
    predictions = np.where(correct, labels[:, None], (labels[:, None] + 1) % classes)
    logits = np.eye(classes)[predictions.ravel()] + 0.5
    table = pd.DataFrame({"id": np.repeat(ids, draws), "label": np.repeat(labels, draws)})
    table["draw"] = np.tile(np.arange(draws), images)
    for index in range(classes):
        table[f"logit_{index}"] = logits[:, index]
    with artifact(folder, "scores", {}, "code", {}, {}) as draft:
        change(table).to_csv(draft.path("scores.csv"), index=False)
    return folder


def row(place, **changes):
    cell = {"classifier": "resnet", "attack": "none", "threat": "none", "norm": "none", "eps": 0.0}
    return cell | {"defence": "none", "sigma": 0.0, "scores": place} | changes


CLEAN = np.array([[1], [1], [1], [0]], bool)
PURIFIED = np.array([[1, 1, 1], [0, 0, 1], [1, 1, 0], [0, 0, 0]], bool)


@pytest.fixture
def rows(tmp_path):
    write_scores(tmp_path / "clean/none", CLEAN)
    write_scores(tmp_path / "clean/ddpm", PURIFIED)
    return [
        row("clean/ddpm", attack="pgd", threat="transfer", norm="Linf", eps=8 / 255, defence="ddpm", sigma=0.05),
        row("clean/none"),
    ]


def test_each_cell_is_a_row_in_the_given_order(tmp_path, rows):
    summary = summarise("demo", rows, tmp_path)
    assert list(summary.columns) == COLUMNS
    assert summary["study"].tolist() == ["demo", "demo"]
    assert summary["defence"].tolist() == ["ddpm", "none"]
    assert summary["eps"].tolist() == [8 / 255, 0.0]
    assert summary["sigma"].tolist() == [0.05, 0.0]


def test_measures_by_hand(tmp_path, rows):
    purified, clean = summarise("demo", rows, tmp_path).to_dict("records")
    assert (purified["images"], purified["draws"]) == (4, 3)
    assert purified["accuracy"] == pytest.approx(6 / 12)
    assert (purified["ci_low"], purified["ci_high"]) == pytest.approx(accuracy_interval(PURIFIED)[1:])
    assert purified["sensitivity"] == pytest.approx(3 / 6)
    assert purified["specificity"] == pytest.approx(3 / 6)
    assert purified["majority_accuracy"] == pytest.approx(2 / 4)
    assert purified["worst_accuracy"] == pytest.approx(1 / 4)
    assert (clean["draws"], clean["sensitivity"], clean["specificity"]) == (1, 1.0, 0.5)
    assert clean["accuracy"] == clean["majority_accuracy"] == clean["worst_accuracy"] == 0.75


def test_sensitivity_is_blank_beyond_two_classes_and_where_a_class_is_absent(tmp_path):
    write_scores(tmp_path / "three", CLEAN, labels=[0, 1, 2, 0], classes=3)
    write_scores(tmp_path / "negatives", CLEAN, labels=[0, 0, 0, 0])
    three = summarise("s", [row("three")], tmp_path)
    assert three[["sensitivity", "specificity"]].isna().all(axis=None)
    negatives = summarise("s", [row("negatives")], tmp_path)
    assert negatives["sensitivity"].isna().all()
    assert negatives["specificity"].tolist() == [0.75]


@pytest.mark.parametrize(
    ("what", "changes"),
    [("ids", {"ids": [0, 1, 2, 9]}), ("labels", {"labels": [1, 1, 1, 0]}), ("ids", {"ids": [3, 2, 1, 0]})],
)
def test_cells_on_other_images_are_refused(tmp_path, rows, what, changes):
    write_scores(tmp_path / "clean/other", CLEAN, **changes)
    with pytest.raises(AssayError, match=rf"clean/other: its {what} are not those of .*clean/ddpm"):
        summarise("demo", [*rows, row("clean/other")], tmp_path)


def test_corrupt_scores_are_one_clear_error(tmp_path, rows):
    path = tmp_path / "clean/none/scores.csv"
    path.write_bytes(path.read_bytes().replace(b"1.5", b"1.6", 1))
    with pytest.raises(AssayError, match=r"clean/none/scores.csv: .*\(corrupt\)"):
        summarise("demo", rows, tmp_path)


def test_missing_scores_are_one_clear_error(tmp_path):
    with pytest.raises(AssayError, match=r"gone/manifest.json: not found"):
        summarise("demo", [row("gone")], tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.drop(columns="logit_1"), "has no column logit_1"),
        (lambda table: table.iloc[:0], "rows are not draws"),
        (lambda table: table.iloc[::-1], "rows are not draws"),
        (lambda table: table.iloc[:-1], "rows are not draws"),
        (lambda table: table.assign(label=[0, 0, 1] * 4), "rows are not draws"),
        (lambda table: table.assign(id=range(12)), "rows are not draws"),
        (lambda table: table.assign(logit_0=np.nan), "not finite"),
        (lambda table: table.assign(logit_0=np.inf), "not finite"),
    ],
)
def test_scores_in_another_shape_are_refused(tmp_path, change, message):
    with pytest.raises(AssayError, match=message):
        read_scores(write_scores(tmp_path, PURIFIED, change=change))


def test_ids_are_text_whatever_they_look_like(tmp_path):
    scores = read_scores(write_scores(tmp_path, CLEAN, ids=["007", "1e5", "nan", "None"]))
    assert scores.ids.tolist() == ["007", "1e5", "nan", "None"]
    assert scores.logits.shape == (4, 1, 2)


def test_a_summary_on_disk_is_the_same_bytes_each_time_and_reads_back(tmp_path, rows):
    for name in ("a.csv", "b.csv"):
        write_summary(summarise("demo", rows, tmp_path), tmp_path / name)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert "0.03137254902" in (tmp_path / "a.csv").read_text()
    pd.testing.assert_frame_equal(
        read_summary(tmp_path / "a.csv"), summarise("demo", rows, tmp_path), rtol=1e-9, check_dtype=False
    )


STUDY = {
    "study": "demo",
    "images": {"source": "phantom", "train": 2, "validation": 2},
    "classifiers": {"resnet": {"network": "timm/resnet18"}},
    "purifiers": {"noise": {"method": "noise", "sigmas": [0.05]}},
    "attacks": {"fgsm": {"method": "fgsm", "eps": ["8/255"]}},
    "evaluation": {"images": 4},
}


@pytest.fixture
def spec(tmp_path):
    """The spec of a study of four cells whose scores are there."""
    specs = Specs(parse_study(STUDY, "config"))
    for row in specs.rows():
        write_scores(tmp_path / row["scores"], CLEAN if row["defence"] == "none" else PURIFIED)
    return specs.whole()


def run_program(folder, spec):
    command = [sys.executable, "scripts/summarise.py", "--scores", folder, "--spec", spec, "--out"]
    return subprocess.run([*command, folder / "summary.csv"], cwd=ROOT, capture_output=True, text=True)


def test_the_program_writes_the_summary_of_all_cells(tmp_path, spec):
    done = run_program(tmp_path, spec)
    assert (done.returncode, done.stderr) == (0, "")
    summary = read_summary(tmp_path / "summary.csv")
    assert summary["attack"].tolist() == ["none", "none", "fgsm", "fgsm"]
    assert summary["defence"].tolist() == ["none", "noise", "none", "noise"]
    assert summary["accuracy"].tolist() == [0.75, 0.5, 0.75, 0.5]


def test_the_program_fails_in_one_line_and_leaves_nothing(tmp_path, spec):
    (tmp_path / "resnet/clean/none/sigma-0/scores.csv").unlink()
    done = run_program(tmp_path, spec)
    assert done.returncode != 0
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "summary.csv").exists()
