"""The risk of resubmission: what is left of a cell after so many submissions of one image, and its figure."""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from assay.evaluation.resubmission import COLUMNS, MOST_SUBMISSIONS, resubmission_risk
from assay.evaluation.statistics.intervals import accuracy_interval, mean_interval
from assay.evaluation.summary import Judged, judge, write_table
from assay.files import AssayError
from assay.reporting.read import read_resubmission
from assay.reporting.resubmission import resubmissions
from assay.reporting.trust import Checked
from study_tables import finding, logits_of, made_up, write_scores

IMAGES, DRAWS, EPS = 6, 4, 0.1
LABELS = np.arange(IMAGES) % 2
STUDY = made_up({"pgd": "transfer", "random": "random", "through": "adaptive", "locked": "locked"})
VERDICTS = np.arange(DRAWS) < np.array([4, 4, 3, 2, 1, 0])[:, None]


def cells(folder: Path, verdicts: dict[tuple[str, str], np.ndarray]) -> list[Judged]:
    """The cells of attacks on defences at sigma 0.1, by (attack, defence), with these verdicts (images, draws)."""
    rows = []
    for (attack, defence), correct in verdicts.items():
        place = f"resnet/{attack}/{defence}/sigma-0.1"
        write_scores(folder / place, logits_of(correct, LABELS), LABELS)
        eps, norm = (0.0, "none") if attack == "none" else (EPS, "Linf")
        row = {"classifier": "resnet", "attack": attack, "threat": attack, "norm": norm, "eps": eps}
        rows.append(row | {"defence": defence, "sigma": 0.1 if defence != "none" else 0.0, "scores": place})
    return judge(rows, folder)


def test_the_risk_is_the_mean_over_all_choices_of_so_many_draws_beside_the_clean_control(tmp_path: Path) -> None:
    clean = np.ones_like(VERDICTS)
    clean[0, 0] = False
    table = resubmission_risk(STUDY, cells(tmp_path, {("none", "ddpm"): clean, ("pgd", "ddpm"): VERDICTS}))
    assert table.columns.tolist() == COLUMNS
    assert table["submissions"].tolist() == [1, 2, 3, 4]
    assert set(table["attack"]) == {"pgd"}
    for row in table.itertuples():
        for verdicts, left in ((VERDICTS, row.accuracy), (clean, row.clean)):
            chosen = [verdicts[:, list(of)].all(1) for of in itertools.combinations(range(DRAWS), row.submissions)]
            assert left == pytest.approx(np.mean(chosen))
    chances = np.array([1, 1, 3 / 6, 1 / 6, 0, 0])
    interval = ["accuracy", "ci_low", "ci_high"]
    assert table.loc[1, interval].tolist() == pytest.approx(mean_interval(chances, draws=2))
    assert table.loc[0, interval].tolist() == pytest.approx(accuracy_interval(VERDICTS)), "as the summary says"


def test_the_estimate_is_unbiased_and_ends_at_the_stored_draws() -> None:
    generator = np.random.default_rng(0)
    chances = generator.beta(2, 1, 40_000)
    verdicts = generator.random((len(chances), 5)) < chances[:, None]
    labels = np.zeros(len(chances), int)
    row = {"classifier": "c", "attack": "pgd", "threat": "t", "norm": "Linf", "eps": EPS, "defence": "d", "sigma": 0.1}
    cell = Judged(row, {}, np.arange(len(labels)), (~verdicts).astype(int), verdicts.all(1), labels, ["a", "b"], None)
    table = resubmission_risk(STUDY, [cell])
    assert len(table) == 5
    for submissions, left in table[["submissions", "accuracy"]].itertuples(index=False):
        assert left == pytest.approx((chances**submissions).mean(), abs=0.01)
    assert table[["clean", "clean_low", "clean_high"]].isna().all(axis=None)


def test_no_more_submissions_are_told_than_people_ask_for() -> None:
    predicted = np.zeros((3, MOST_SUBMISSIONS + 20), int)
    row = {"classifier": "c", "attack": "pgd", "threat": "t", "norm": "Linf", "eps": EPS, "defence": "d", "sigma": 0.1}
    cell = Judged(row, {}, np.arange(3), predicted, np.ones(3, bool), np.zeros(3, int), ["a", "b"], None)
    assert resubmission_risk(STUDY, [cell])["submissions"].tolist() == list(range(1, MOST_SUBMISSIONS + 1))


def test_controls_attacks_on_known_noise_and_cells_of_one_draw_have_no_such_risk(tmp_path: Path) -> None:
    verdicts = {(attack, "ddpm"): VERDICTS for attack in ("none", "random", "locked", "through")}
    judged = cells(tmp_path, verdicts | {("pgd", "none"): VERDICTS[:, :1], ("none", "none"): VERDICTS[:, :1]})
    assert set(resubmission_risk(STUDY, judged)["attack"]) == {"through"}
    empty = resubmission_risk(STUDY, judged[:1])
    assert (len(empty), empty.columns.tolist()) == (0, COLUMNS)


def drawn(folder: Path, findings: list[dict], **more: float) -> list:
    """The figures of the made-up study, read back from its table."""
    verdicts = {("none", "ddpm"): np.ones_like(VERDICTS), ("pgd", "ddpm"): VERDICTS, ("through", "ddpm"): ~VERDICTS}
    judged = cells(folder, verdicts)
    write_table(resubmission_risk(STUDY, judged), folder / "resubmission.csv")
    table = read_resubmission(folder / "resubmission.csv")
    summary = pd.DataFrame([cell.row for cell in judged if not cell.clean]).assign(upper_bound=False, **more)
    checked = Checked(pd.DataFrame(findings, columns=["status", "meaning", "subject"]))
    return resubmissions(table, summary, checked, [])


def test_the_figure_shows_the_attack_that_leaves_least_and_the_clean_control(tmp_path: Path) -> None:
    (figure,) = drawn(tmp_path, [])
    assert figure.title == "resnet, Linf, eps 0.1"
    assert "ddpm at sigma 0.1, 1 submission, through: 41.7%" in figure.panel
    assert "ddpm at sigma 0.1, 4 submissions, through: 16.7%" in figure.panel
    assert "ddpm at sigma 0.1, 4 submissions, clean images: 100.0%" in figure.panel
    assert "pgd:" not in figure.panel
    assert "ddpm at sigma 0.1: through" in figure.notes[0]
    assert len(figure.notes) == 1


def test_a_failed_check_greys_the_curve(tmp_path: Path) -> None:
    (figure,) = drawn(tmp_path, [finding("scores/resnet/through/ddpm/sigma-0.1", "FAIL")])
    assert "Hollow grey points failed a check." in figure.notes


def test_a_table_of_another_summary_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(AssayError, match=r"resubmission\.csv: has pgd on ddpm, summary.csv has not; run summarise"):
        drawn(tmp_path, [], sigma=0.2)
