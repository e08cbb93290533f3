"""What a finished study holds on disk."""

import numpy as np
import pandas as pd
import pytest
from checkout import Checkout

from assay.evaluation.scores import read_scores
from assay.evaluation.summary import KEYS
from assay.stacks import read_stack

SUMMARY = (
    "study,classifier,attack,threat,norm,eps,defence,sigma,images,draws,accuracy,ci_low,ci_high,"
    "sensitivity,specificity,majority_accuracy,worst_accuracy"
)


def test_every_adversarial_stack_lies_in_its_ball_in_integers_with_the_clean_ids_and_labels(finished: Checkout) -> None:
    clean = read_stack(finished.results / "images/test")
    folders = sorted(path.parent for path in (finished.results / "adversarial").rglob("manifest.json"))
    assert len(folders) == 2
    for folder in folders:
        stack = read_stack(folder)
        facts = stack.manifest["facts"]
        assert facts["norm"] == "Linf"
        assert stack.images.dtype == np.uint8
        delta = stack.images.astype(int) - clean.images.astype(int)
        assert 0 < np.abs(delta).max() <= round(255 * facts["eps"])
        assert stack.ids == clean.ids
        assert (stack.labels == clean.labels).all()
        assert stack.table["linf"].to_numpy() == pytest.approx(np.abs(delta).max((1, 2, 3)) / 255)


def test_purified_stacks_hold_every_draw_of_every_image(finished: Checkout) -> None:
    clean = read_stack(finished.results / "images/test")
    stack = read_stack(finished.results / "purified/clean/ddpm/sigma-0.2")
    assert stack.images.dtype == np.uint16
    assert stack.ids == [image for image in clean.ids for _ in range(2)]
    assert stack.table["draw"].tolist() == [0, 1] * len(clean.ids)
    assert (stack.images[0] != stack.images[1]).any()


def test_the_summary_has_one_row_a_cell_and_its_scores_every_logit(finished: Checkout) -> None:
    summary = pd.read_csv(finished.results / "summary.csv", keep_default_na=False)
    assert ",".join(summary.columns).startswith(SUMMARY)
    cells = list((finished.results / "scores").rglob("logits.npy"))
    assert len(summary) == len(cells)
    clean = summary[(summary["attack"] == "none") & (summary["defence"] == "none")].iloc[0]
    assert (clean["eps"], clean["sigma"], clean["draws"]) == (0, 0, 1)
    defended = read_scores(finished.results / "scores/resnet/clean/ddpm/sigma-0.2")
    assert defended.logits.shape == (8, 2, 2)
    assert defended.classes == ["normal", "tumour"]


def test_classes_have_tables_of_their_own_by_name(finished: Checkout) -> None:
    summary, per_class, confusion = (
        pd.read_csv(finished.results / f"{name}.csv", keep_default_na=False)
        for name in ("summary", "per_class", "confusion")
    )
    assert len(per_class) == 2 * len(summary)
    assert set(per_class["class"]) == {"normal", "tumour"}
    assert confusion.groupby([*KEYS, "label"])["share"].sum().to_numpy() == pytest.approx(1)


def test_the_report_needs_nothing_else(finished: Checkout) -> None:
    page = (finished.results / "report.html").read_text()
    assert "Does purifying protect the classifier?" in page
    assert 'src="http' not in page
    assert 'href="http' not in page
