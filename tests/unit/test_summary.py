import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import study_tables
from assay.artifacts import Draft, Wanted
from assay.evaluation.classes import CONFUSION, PER_CLASS, accuracy_by_class, confusion
from assay.evaluation.comparisons import COLUMNS as COMPARED
from assay.evaluation.comparisons import compare_cells
from assay.evaluation.scores import read_scores, read_slides
from assay.evaluation.scores import write_scores as write_scores_of_rows
from assay.evaluation.statistics.intervals import accuracy_interval, mean_interval
from assay.evaluation.statistics.paired import sign_flip
from assay.evaluation.statistics.power import detectable
from assay.evaluation.statistics.ratios import kept_interval
from assay.evaluation.summary import COLUMNS, judge, summarise, write_table
from assay.evaluation.worst_case import COLUMNS as WORST
from assay.evaluation.worst_case import worst_cases
from assay.files import AssayError, canonical_json
from assay.planning.cells import rows as rows_of
from assay.reporting.read import read_summary
from assay.study.model import Study
from study_tables import logits_of

ROOT = Path(__file__).parents[2]
LABELS = np.array([0, 1, 1, 0])


def write_scores(folder, correct, labels=LABELS, ids=None, classes=2):
    """An artifact of scores whose draws (images, draws) are right where `correct` says."""
    return study_tables.write_scores(folder, logits_of(correct, labels, classes) + 0.5, labels, ids)


def write_images(folder, **columns):
    """The table of the test images, as far as the summary reads it."""
    with Wanted(folder, "stack", {}, "", {}).write({}) as draft:
        pd.DataFrame({"id": np.arange(4), "label": LABELS} | columns).to_csv(draft.path("table.csv"), index=False)
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


@pytest.mark.parametrize("order", [("sigma-0.1", "sigma-selected"), ("sigma-selected", "sigma-0.1")])
def test_a_sigma_that_is_both_named_and_selected_is_one_defence(tmp_path, order):
    for name in order:
        write_scores(tmp_path / name, PURIFIED)
    sigmas = {"sigma-0.1": 0.1, "sigma-selected": "selected"}
    cells = judge([row(name, defence="ddpm", sigma=sigmas[name]) for name in order], tmp_path, selected=0.1)
    assert [(cell.row["sigma"], cell.row["scores"]) for cell in cells] == [(0.1, "sigma-selected")]
    assert compare_cells("demo", cells).empty


def test_each_cell_is_a_row_in_the_given_order(tmp_path, rows):
    summary = summarise("demo", judge(rows, tmp_path))
    assert list(summary.columns) == COLUMNS
    assert summary["study"].tolist() == ["demo", "demo"]
    assert summary["defence"].tolist() == ["ddpm", "none"]
    assert summary["eps"].tolist() == [8 / 255, 0.0]
    assert summary["sigma"].tolist() == [0.05, 0.0]


def test_measures_by_hand(tmp_path, rows):
    purified, clean = summarise("demo", judge(rows, tmp_path)).to_dict("records")
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
    three = summarise("s", judge([row("three")], tmp_path))
    assert three[["sensitivity", "specificity"]].isna().all(axis=None)
    assert three[["balanced_accuracy", "auroc"]].notna().all(axis=None)
    negatives = summarise("s", judge([row("negatives")], tmp_path))
    assert negatives[["sensitivity", "auroc"]].isna().all(axis=None)
    assert negatives[["specificity", "balanced_accuracy"]].to_numpy().tolist() == [[0.75, 0.75]]


@pytest.mark.parametrize(
    ("what", "changes"),
    [("ids", {"ids": [0, 1, 2, 9]}), ("labels", {"labels": [1, 1, 1, 0]}), ("ids", {"ids": [3, 2, 1, 0]})],
)
def test_cells_on_other_images_are_refused(tmp_path, rows, what, changes):
    write_scores(tmp_path / "clean/other", CLEAN, **changes)
    with pytest.raises(AssayError, match=rf"clean/other: its {what} are not those of .*clean/ddpm"):
        summarise("demo", judge([*rows, row("clean/other")], tmp_path))


def test_cells_of_other_classes_are_refused(tmp_path):
    for name, classes in (("one", "ab"), ("other", "ba")):
        study_tables.write_scores(tmp_path / name, logits_of(CLEAN, LABELS), LABELS, classes=list(classes))
    with pytest.raises(AssayError, match=r"other: its classes are not those of .*one"):
        judge([row("one"), row("other")], tmp_path)


def test_corrupt_scores_are_one_clear_error(tmp_path, rows):
    path = tmp_path / "clean/none/logits.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(AssayError, match=r"clean/none/logits.npy: .*\(corrupt\)"):
        summarise("demo", judge(rows, tmp_path))


def test_missing_scores_are_one_clear_error(tmp_path):
    with pytest.raises(AssayError, match=r"gone/manifest.json: not found"):
        summarise("demo", judge([row("gone")], tmp_path))


def written(folder, logits, table):
    """An artifact of scores of three classes, its files as given."""
    with Wanted(folder, "scores", {}, "code", {}).write({}) as draft:
        draft.facts["classes"] = ["a", "b", "c"]
        with open(draft.path("logits.npy"), "wb") as file:
            np.save(file, logits, allow_pickle=True)
        table.to_csv(draft.path("table.csv"), index=False)
    return folder


GOOD = np.zeros((4, 2, 3), np.float32)
TABLE = pd.DataFrame({"id": ["p", "q", "r", "s"], "label": [0, 1, 2, 0]})


@pytest.mark.parametrize(
    ("logits", "table", "message"),
    [
        (GOOD, TABLE.drop(columns="label"), "table.csv: has no column label"),
        (GOOD, TABLE.iloc[:3], "logits of 4 images and 3 classes, but table.csv has 3 images and the manifest 3"),
        (GOOD[..., :2], TABLE, "logits of 4 images and 2 classes"),
        (GOOD.astype(float), TABLE, "is float64 .* expected float32"),
        (GOOD[:, 0], TABLE, "expected float32 .images, draws, classes. in C order"),
        (np.asfortranarray(GOOD), TABLE, "in C order"),
        (GOOD[:, :0], TABLE, "expected float32"),
        (GOOD.astype(object), TABLE, "not a readable array"),
        (GOOD, TABLE.assign(label=[0, 1, 3, 0]), "label that is no class"),
        (GOOD, TABLE.assign(label=[0, 1, -1, 0]), "label that is no class"),
        (GOOD, TABLE.assign(label=[0, 1, 0.5, 0]), "label that is no class"),
        (GOOD, TABLE.assign(id=["p", "q", "r", "p"]), "an image stands there twice"),
        (np.where(np.arange(24).reshape(4, 2, 3) == 7, np.nan, GOOD), TABLE, "not finite"),
        (np.where(np.arange(24).reshape(4, 2, 3) == 7, -np.inf, GOOD), TABLE, "not finite"),
    ],
)
def test_scores_in_another_shape_are_refused(tmp_path, logits, table, message):
    logits = logits.astype(np.float32) if "finite" in message else logits
    with pytest.raises(AssayError, match=message):
        read_scores(written(tmp_path, logits, table))


def test_scores_keep_every_logit_in_float32_and_the_same_scores_are_the_same_bytes(tmp_path):
    logits = np.random.default_rng(0).normal(size=(4, 3, 5)).astype(np.float32)
    one, other = (study_tables.write_scores(tmp_path / name, logits, LABELS) for name in ("one", "other"))
    scores = read_scores(one)
    assert isinstance(scores.logits, np.memmap)
    assert np.array_equal(scores.logits, logits)
    assert scores.classes == ["a", "b", "c", "d", "e"]
    assert np.array_equal(scores.predicted, logits.argmax(axis=-1))
    for name in ("logits.npy", "table.csv", "manifest.json"):
        assert (one / name).read_bytes() == (other / name).read_bytes()


@pytest.mark.parametrize(
    "rows",
    [
        {"id": list("ppqq"), "label": [0, 0, 1, 1], "draw": [1, 0, 0, 1]},
        {"id": list("pqpq"), "label": [0, 1, 0, 1], "draw": [0, 0, 1, 1]},
        {"id": list("ppqq"), "label": [0, 1, 1, 1], "draw": [0, 1, 0, 1]},
        {"id": list("ppq"), "label": [0, 0, 1], "draw": [0, 1, 0]},
    ],
)
def test_rows_that_are_not_the_draws_of_one_image_after_the_other_are_not_written(tmp_path, rows):
    with pytest.raises(AssayError, match="rows are not draws 0, 1"):
        write_scores_of_rows(Draft(tmp_path), pd.DataFrame(rows), ["a", "b"], [np.zeros((len(rows["id"]), 2))])


def test_logits_of_other_shape_than_announced_are_not_written(tmp_path):
    rows = pd.DataFrame({"id": ["p", "q"], "label": [0, 1]})
    with pytest.raises(ValueError, match="were announced"):
        write_scores_of_rows(Draft(tmp_path), rows, ["a", "b"], [np.zeros((2, 3))])


def test_ids_are_text_whatever_they_look_like(tmp_path):
    scores = read_scores(write_scores(tmp_path, CLEAN, ids=["007", "1e5", "nan", "None"]))
    assert scores.ids.tolist() == ["007", "1e5", "nan", "None"]
    assert scores.logits.shape == (4, 1, 2)


def test_a_summary_on_disk_is_the_same_bytes_each_time_and_reads_back(tmp_path, rows):
    for name in ("a.csv", "b.csv"):
        write_table(summarise("demo", judge(rows, tmp_path)), tmp_path / name)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert "0.03137254902" in (tmp_path / "a.csv").read_text()
    pd.testing.assert_frame_equal(
        read_summary(tmp_path / "a.csv"), summarise("demo", judge(rows, tmp_path)), rtol=1e-9, check_dtype=False
    )


ATTACKED = {"attack": "pgd", "threat": "transfer", "norm": "Linf", "eps": 8 / 255}
DDPM = {"defence": "ddpm", "sigma": 0.05}


def test_the_worst_of_k_is_blank_beyond_the_draws(tmp_path, rows):
    purified, clean = summarise("demo", judge(rows, tmp_path)).to_dict("records")
    assert purified["worst_of_1"] == purified["accuracy"]
    assert purified["worst_of_2"] == pytest.approx((1 + 0 + 1 / 3 + 0) / 4)
    for k in (5, 10, 20, 50, 100):
        assert np.isnan([purified[f"worst_of_{k}"], clean[f"worst_of_{k}"]]).all()
    assert np.isnan(clean["worst_of_2"])
    assert clean["worst_of_1"] == 0.75


def test_more_measures_by_hand(tmp_path, rows):
    purified = summarise("demo", judge(rows, tmp_path)).iloc[0]
    verdicts = np.array([1.0, 0, 1, 0])
    assert purified[["majority_low", "majority_high"]].tolist() == pytest.approx(mean_interval(verdicts)[1:])
    assert purified[["sensitivity_low", "sensitivity_high"]].tolist() == pytest.approx(
        accuracy_interval(PURIFIED[LABELS == 1])[1:]
    )
    assert purified[["specificity_low", "specificity_high"]].tolist() == pytest.approx(
        accuracy_interval(PURIFIED[LABELS == 0])[1:]
    )
    # positives' scores by draw -1 -1 1 and 1 1 -1, negatives' -1 -1 -1 and 1 1 1: 3/8, 3/8, 1/2, ties half
    assert purified["auroc"] == pytest.approx(np.mean([0.5, 0.5, 0.5]))
    assert purified["auroc_low"] < 0.5 < purified["auroc_high"]
    assert purified["draw_variance"] == pytest.approx(np.mean([0, 1 / 3, 1 / 3, 0]))


def test_classes_by_hand(tmp_path):
    labels = [0, 2, 2, 0]
    logits = np.zeros((4, 2, 4))
    said = np.array([[0, 0], [2, 1], [1, 1], [0, 2]])
    np.put_along_axis(logits, said[..., None], 1.0, axis=-1)
    study_tables.write_scores(tmp_path / "cell", logits, labels, classes=["debris", "mucus", "stroma", "tumour"])
    cells = judge([row("cell", **DDPM)], tmp_path)
    table = accuracy_by_class("s", cells)
    assert table.columns.tolist() == PER_CLASS
    assert table[["study", "classifier", "defence", "sigma"]].drop_duplicates().to_numpy().tolist() == [
        ["s", "resnet", "ddpm", 0.05]
    ]
    assert table["class"].tolist() == ["debris", "mucus", "stroma", "tumour"]
    assert table["images"].tolist() == [2, 0, 2, 0]
    assert table["accuracy"].tolist() == pytest.approx([0.75, np.nan, 0.25, np.nan], nan_ok=True)
    expected = accuracy_interval(np.array([[True, True], [True, False]]))
    assert table.loc[0, ["accuracy", "ci_low", "ci_high"]].tolist() == pytest.approx(expected)
    found = confusion("s", cells)
    assert found.columns.tolist() == CONFUSION
    assert found[["label", "predicted", "images", "share"]].to_numpy().tolist() == [
        ["debris", "debris", 2, 0.75],
        ["debris", "stroma", 2, 0.25],
        ["stroma", "mucus", 2, 0.75],
        ["stroma", "stroma", 2, 0.25],
    ]
    assert cells[0].measures["balanced_accuracy"] == 0.5


@pytest.fixture
def on_slides(tmp_path):
    """The rows of two cells, one under attack, of 60 images, and the images' slides: six."""
    generator = np.random.default_rng(0)
    many = {"labels": np.arange(60) % 2, "ids": np.arange(60)}
    clean = generator.random((60, 2)) < generator.beta(6, 2, 6)[np.arange(60) % 6][:, None]
    for name, correct in (("right", clean), ("left", clean & (generator.random((60, 2)) < 0.5))):
        write_scores(tmp_path / name, correct, **many)
    return [row("right", **DDPM), row("left", **ATTACKED, **DDPM)], {str(index): str(index % 6) for index in range(60)}


def test_accuracy_by_class_goes_by_slide_and_says_nothing_of_too_few(tmp_path, on_slides):
    rows, slides = on_slides
    (cell,) = judge(rows[:1], tmp_path, slides=slides)
    measures = ["accuracy", "ci_low", "ci_high"]
    assert accuracy_by_class("s", [cell])["ci_low"].isna().all()  # each class is on three slides
    slides = {image: str(int(image) // 10) for image in slides}
    (cell,) = judge(rows[:1], tmp_path, slides=slides)
    expected = [accuracy_interval(cell.correct[k::2], clusters=np.arange(k, 60, 2) // 10) for k in (0, 1)]
    assert accuracy_by_class("s", [cell])[measures].to_numpy() == pytest.approx(np.array(expected))


def test_kept_is_what_the_same_defence_has_on_clean_images(tmp_path):
    write_scores(tmp_path / "clean", PURIFIED)
    write_scores(tmp_path / "attacked", PURIFIED[[3, 1, 2, 3]] & (LABELS == 1)[:, None])
    rows = [row("clean", **DDPM), row("attacked", **ATTACKED, **DDPM), row("clean", **ATTACKED)]
    assert summarise("s", judge(rows, tmp_path))["kept"].tolist() == pytest.approx([np.nan, 0.5, np.nan], nan_ok=True)


def test_kept_has_an_interval_by_image_or_by_slide(tmp_path, on_slides):
    rows, slides = on_slides
    clean, attacked = (cell.correct.mean(axis=1) for cell in judge(rows, tmp_path))
    for known, clusters in ((None, None), (slides, np.arange(60) % 6)):
        cells = judge(rows, tmp_path, slides=known)
        found = summarise("s", cells)[["kept", "kept_low", "kept_high"]].to_numpy()
        assert np.isnan(found[0]).all()
        assert found[1] == pytest.approx(kept_interval(attacked, clean, (2, 2), clusters=clusters))
        every = [cell.correct.all(axis=1).astype(float) for cell in cells[::-1]]
        worst = worst_cases("s", cells)[["kept", "kept_low", "kept_high"]].to_numpy()[0]
        assert worst == pytest.approx(kept_interval(*every, (1, 1), clusters=clusters), nan_ok=True)


def test_who_beats_whom_is_paired_by_image_and_counted_over_the_study(tmp_path):
    generator = np.random.default_rng(0)
    good, bad = generator.random((2, 60, 1)) < [[[0.95]], [[0.4]]]
    many = {"labels": np.arange(60) % 2, "ids": np.arange(60)}
    for name, correct in (("good", good), ("bad", bad), ("same", bad)):
        write_scores(tmp_path / name, correct, **many)
    defences = [{"defence": name, "sigma": 0.1, "scores": name} for name in ("good", "bad", "same")]
    attacked = [row("", **defence, **ATTACKED) for defence in defences[1:]]
    cells = judge([row("", **defence) for defence in defences] + attacked, tmp_path)
    table = compare_cells("s", cells)
    assert table.columns.tolist() == COMPARED
    assert table[["a", "b", "winner"]].to_numpy().tolist() == [
        ["good", "bad", "a"],
        ["good", "same", "a"],
        ["bad", "same", "none"],
        ["bad", "same", "none"],
    ]
    first = table.iloc[0]
    assert first["p"] == sign_flip(good, bad)
    assert first["p_holm"] == pytest.approx(4 * first["p"])
    assert first["detectable"] == pytest.approx(detectable(good, bad, 0.05 / 2))  # two pairs are not significant
    assert 0 < table["detectable"].iloc[2] < first["detectable"] < abs(first["difference"])
    assert first["difference"] == pytest.approx(first["accuracy_b"] - first["accuracy_a"])
    assert first["low"] < first["difference"] < first["high"] < 0
    assert table["p"].iloc[2] == table["p_holm"].iloc[2] == 1


@pytest.mark.usefixtures("on_slides")
def test_there_is_no_winner_where_there_are_too_few_slides(tmp_path):
    cells = [row("right", **DDPM), row("left")]
    table = compare_cells("s", judge(cells, tmp_path, slides={str(index): str(index % 3) for index in range(60)}))
    assert table[["low", "high", "p", "p_holm", "detectable"]].isna().all(axis=None)
    assert table["winner"].tolist() == ["none"]
    assert compare_cells("s", judge(cells, tmp_path))["winner"].tolist() == ["a"]


def test_all_or_nothing_is_over_every_attack_and_draw_beside_its_clean_control(tmp_path):
    one = np.array([[1, 1, 1], [1, 1, 1], [1, 1, 0], [0, 0, 0]], bool)
    other = np.array([[1, 1, 1], [0, 0, 1], [1, 1, 1], [0, 0, 0]], bool)
    for name, correct in (("clean", one), ("one", one), ("other", other)):
        write_scores(tmp_path / name, correct)
    rows = [row("clean", **DDPM), row("one", **ATTACKED, **DDPM)]
    rows += [row("other", **(ATTACKED | {"attack": "square"}), **DDPM)]
    rows += [row("one", **(ATTACKED | {"norm": "L2"}), **DDPM)]
    table = worst_cases("s", judge(rows, tmp_path))
    assert table.columns.tolist() == WORST
    both, alone = table.to_dict("records")
    assert (both["attacks"], both["draws"], both["strongest"]) == ("pgd square", 3, "pgd")
    assert (both["all_or_nothing"], both["clean"], both["kept"]) == (0.25, 0.5, 0.5)
    assert (both["majority"], both["majority_clean"], both["strongest_worst"]) == (0.5, 0.75, 0.5)
    assert (both["ci_low"], both["ci_high"]) == pytest.approx(mean_interval(np.array([1.0, 0, 0, 0]))[1:])
    assert (alone["attacks"], alone["all_or_nothing"], alone["kept"]) == ("pgd", 0.5, 1.0)


def test_slides_widen_the_intervals_and_too_few_have_none(tmp_path, rows, on_slides):
    slides = read_slides(write_images(tmp_path / "images", slide=["a", "a", "b", "b"]))
    assert read_slides(write_images(tmp_path / "plain")) is None
    refused = summarise("s", judge(rows, tmp_path, slides=slides)).iloc[0]
    assert refused["accuracy"] == 0.5
    assert refused[["ci_low", "ci_high", "balanced_low", "auroc_high", "majority_low", "kept_low"]].isna().all()
    rows, slides = on_slides
    by_image, by_slide = (summarise("s", judge(rows, tmp_path, slides=known)) for known in (None, slides))
    measures = ["accuracy", "kept"]
    assert by_slide[measures].equals(by_image[measures])
    clean = judge(rows, tmp_path)[0].correct
    expected = accuracy_interval(clean, clusters=np.arange(60) % 6)[1:]
    assert by_slide.loc[0, ["ci_low", "ci_high"]].tolist() == pytest.approx(expected)
    for measure in ("ci", "majority", "balanced", "auroc"):
        width = [table[f"{measure}_high"] - table[f"{measure}_low"] for table in (by_slide, by_image)]
        assert (width[0] > width[1]).all()
    rows = [row("clean/ddpm", **DDPM)]
    with pytest.raises(AssayError, match="image 3 is not in the table of the test images"):
        judge(rows, tmp_path, slides={"0": "a", "1": "a", "2": "b"})


def test_an_image_without_a_slide_is_refused(tmp_path):
    with pytest.raises(AssayError, match=r"table.csv: an image has no slide"):
        read_slides(write_images(tmp_path / "images", slide=["a", None, "b", "b"]))


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
    study = Study.model_validate(STUDY)
    for row in rows_of(study):
        write_scores(tmp_path / row["scores"], CLEAN if row["defence"] == "none" else PURIFIED)
    write_images(tmp_path / "images")
    return canonical_json(study.model_dump(mode="json"))


def run_program(folder, spec):
    inputs = json.dumps({"scores": str(folder), "images": str(folder / "images")})
    command = [sys.executable, "workflow/stages/summarise.py", "--inputs", inputs, "--spec", spec, "--out"]
    return subprocess.run([*command, folder / "summary.manifest.json"], cwd=ROOT, capture_output=True, text=True)


def test_the_program_writes_the_summary_of_all_cells(tmp_path, spec):
    done = run_program(tmp_path, spec)
    assert (done.returncode, done.stderr) == (0, "")
    summary = read_summary(tmp_path / "summary.csv")
    assert summary["attack"].tolist() == ["none", "none", "fgsm", "fgsm"]
    assert summary["defence"].tolist() == ["none", "noise", "none", "noise"]
    assert summary["accuracy"].tolist() == [0.75, 0.5, 0.75, 0.5]
    compared = pd.read_csv(tmp_path / "comparisons.csv", keep_default_na=False)
    assert compared[["attack", "claim"]].to_numpy().tolist() == [["none", "none"], ["fgsm", "none"]]
    strongest = pd.read_csv(tmp_path / "strongest.csv", keep_default_na=False)
    assert strongest[["defence", "accuracy", "direct"]].to_numpy().tolist() == [["none", 0.75, 1], ["noise", 0.5, 0]]
    assert pd.read_csv(tmp_path / "worst_case.csv")["all_or_nothing"].tolist() == [0.75, 0.25]
    assert pd.read_csv(tmp_path / "per_class.csv")["accuracy"].tolist() == [0.5, 1.0, 0.5, 0.5] * 2
    assert pd.read_csv(tmp_path / "confusion.csv")["share"].tolist() == [0.5, 0.5, 1.0, 0.5, 0.5, 0.5, 0.5] * 2


def test_the_program_fails_in_one_line_and_leaves_nothing(tmp_path, spec):
    (tmp_path / "resnet/clean/none/sigma-0/logits.npy").unlink()
    done = run_program(tmp_path, spec)
    assert done.returncode != 0
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.glob("*.csv")) == []
