"""Black box, all or nothing: what is left of a defender under adversarial images of other classifiers."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from assay.evaluation.black_box import COLUMNS, black_box
from assay.evaluation.checks.run import COLUMNS as CHECKS
from assay.evaluation.statistics.intervals import wilson
from assay.evaluation.summary import Judged, write_table
from assay.reporting.page import _environment
from assay.reporting.read import read_black_box
from assay.reporting.trust import Checked

IMAGES = 200


def cell(attack: str, correct: np.ndarray, defence: str = "none") -> Judged:
    """A cell of two classes whose verdicts (images, draws) are given."""
    row = {"classifier": "net", "attack": attack, "threat": "transfer", "norm": "Linf", "eps": 0.1}
    row |= {"norm": "", "eps": 0.0} if attack == "none" else {}
    row |= {"defence": defence, "sigma": 0.0, "scores": f"net/{attack}"}
    labels = np.zeros(len(correct), int)
    return Judged(
        row, {}, np.arange(len(labels)), 1 - correct.astype(int), correct.all(axis=1), labels, ["a", "b"], None
    )


def verdicts(seed: int, share: float, draws: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).random((IMAGES, draws)) < share


def test_an_image_counts_that_survives_every_attacker_from_elsewhere() -> None:
    right = {f"pgd@net{place}": verdicts(place, share) for place, share in enumerate((0.9, 0.5, 0.8, 0.7, 0.95))}
    cells = [cell("none", verdicts(9, 0.97)), cell("pgd", verdicts(8, 0.1)), *(cell(*each) for each in right.items())]
    (row,) = black_box("mine", cells).to_dict("records")
    survived = [all(right[name][image, 0] for name in right) for image in range(IMAGES)]
    assert row["all_or_nothing"] == sum(survived) / IMAGES
    assert (row["ci_low"], row["ci_high"]) == pytest.approx(wilson(sum(survived), IMAGES))
    assert row["attackers"] == 5, "the attack on the defender itself is no black box"
    assert row["left_out"].split() == ["pgd@net1", "pgd@net3"], "they leave least"
    others = [all(right[f"pgd@net{place}"][image, 0] for place in (0, 2, 4)) for image in range(IMAGES)]
    assert row["of_the_others"] == sum(others) / IMAGES
    assert (row["others_low"], row["others_high"]) == pytest.approx(wilson(sum(others), IMAGES))
    assert row["clean"] == verdicts(9, 0.97).mean()


def test_every_draw_must_be_right() -> None:
    correct = verdicts(1, 0.8, draws=3)
    cells = [cell("none", verdicts(2, 1.0, 3), "noise"), cell("pgd@other", correct, "noise")]
    (row,) = black_box("mine", cells).to_dict("records")
    assert row["all_or_nothing"] == correct.all(axis=1).mean()
    assert (row["left_out"], row["of_the_others"]) == ("none", row["all_or_nothing"])


def test_a_study_without_other_classifiers_has_an_empty_table(tmp_path: Path) -> None:
    table = black_box("mine", [cell("none", verdicts(1, 0.9)), cell("pgd", verdicts(2, 0.5))])
    assert list(table.columns) == COLUMNS
    write_table(table, tmp_path / "black_box.csv")
    assert read_black_box(tmp_path / "black_box.csv") == []
    assert read_black_box(tmp_path / "none.csv") == []
    met = black_box("mine", [cell("none", verdicts(1, 0.9)), cell("pgd@x", verdicts(2, 0.5))])
    write_table(met, tmp_path / "black_box.csv")
    (row,) = read_black_box(tmp_path / "black_box.csv")
    assert row.names == "pgd@x"
    template = _environment(Checked(pd.DataFrame(columns=CHECKS))).get_template("black_box.html.j2")
    assert f"{100 * row.all_or_nothing:.1f}" in template.render(black_box=[row])
    assert template.render(black_box=[]).strip() == ""
