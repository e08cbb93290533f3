"""Classifiers that are trained several times: names, spread, and equivalence within a margin."""

import copy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.weightstats import ttost_ind

from assay.evaluation.checks.run import COLUMNS as CHECKS
from assay.evaluation.statistics.equivalence import Spread, equivalence, spread_of
from assay.evaluation.summary import Judged, write_table
from assay.evaluation.trainings import EQUIVALENCE, SPREAD, equivalences, families, spreads
from assay.files import AssayError
from assay.reporting.page import _environment
from assay.reporting.read import read_equivalence, read_seeds
from assay.reporting.trust import Checked
from assay.study.model import Study
from assay.study.parse import parse_study
from study_tables import made_up

NETWORK = {"network": "timm/resnet18"}
CONFIG = {
    "study": "mine",
    "images": {"source": "phantom", "size": 32, "train": 64, "validation": 64},
    "classifiers": {
        "plain": NETWORK | {"seeds": 3, "seed": 5},
        "null": NETWORK | {"denoise": {"operation": "null"}, "seeds": 2},
        "mean": NETWORK | {"denoise": {"operation": "mean"}},
    },
    "attacks": {"pgd": {"method": "pgd", "eps": [0.1]}},
    "cross": [{"classifiers": ["plain", "mean"]}, {"classifiers": ["null"], "sources": ["plain"]}],
    "evaluation": {"images": 100},
}


def study(**evaluation: object) -> Study:
    config = copy.deepcopy(CONFIG)
    config["evaluation"] |= evaluation
    return parse_study(config, "mine.yaml")


def test_each_seed_is_a_classifier_wherever_it_is_named() -> None:
    found = study()
    assert list(found.classifiers) == ["plain", "plain-2", "plain-3", "null", "null-2", "mean"]
    assert [classifier.seed for classifier in found.classifiers.values()] == [5, 6, 7, 0, 1, 0]
    assert found.cross[0].classifiers == ["plain", "plain-2", "plain-3", "mean"]
    assert found.cross[1].classifiers == ["null", "null-2"]
    assert found.cross[1].sources == ["plain", "plain-2", "plain-3"]
    assert families(found) == {
        "plain": ["plain", "plain-2", "plain-3"],
        "null": ["null", "null-2"],
        "mean": ["mean"],
    }
    assert parse_study(found.model_dump(mode="json"), "again") == found
    assert "seeds" not in found.model_dump()["classifiers"]["plain"]


@pytest.mark.parametrize(
    ("keys", "fault"),
    [
        ({"seeds": 0}, "classifiers.plain.seeds: must be greater than 0, found 0"),
        ({"seeds": 1000}, "classifiers.plain.seeds: must be at most 100, found 1000"),
        ({"seeds": "many"}, "classifiers.plain.seeds: must be a whole number, found 'many'"),
        ({"seeds": 2, "seed": "x"}, "classifiers.plain.seed: must be a whole number, found 'x'"),
    ],
)
def test_seeds_that_are_no_number_are_refused(keys: dict, fault: str) -> None:
    config = copy.deepcopy(CONFIG) | {"cross": [{}]}
    config["classifiers"]["plain"] = NETWORK | keys
    with pytest.raises(AssayError, match=fault):
        parse_study(config, "mine.yaml")


def test_a_name_that_is_taken_is_refused() -> None:
    config = copy.deepcopy(CONFIG)
    config["classifiers"]["plain-2"] = NETWORK
    with pytest.raises(AssayError, match=r"plain.seeds: 'plain-2' is the name of another classifier"):
        parse_study(config, "mine.yaml")


def test_the_reference_must_be_there() -> None:
    with pytest.raises(AssayError, match=r"equivalence.reference: 'plian' is not among .* did you mean 'plain'"):
        study(equivalence={"reference": "plian", "margin": 0.01})


# the test


def test_without_variance_between_images_it_is_welchs_two_one_sided_tests() -> None:
    rng = np.random.default_rng(0)
    for margin in (0.02, 0.05):
        a, b = 0.8 + 0.02 * rng.standard_normal(5), 0.81 + 0.01 * rng.standard_normal(4)
        many = [np.broadcast_to(group[:, None], (len(group), 2_000_000)) for group in (a, b)]
        found = equivalence(*many, margin, Spread(0, 0))
        p, *_ = ttost_ind(b, a, -margin, margin, usevar="unequal")
        assert found.p == pytest.approx(p, rel=0.03)
        assert found.difference == pytest.approx(b.mean() - a.mean())
        assert (found.high < margin and found.low > -margin) == (p < 0.05)


def test_one_training_each_is_judged_by_the_images_and_the_spread_of_others() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.random((1, 400)) < 0.8, rng.random((1, 400)) < 0.8
    d = (b[0] - a[0].astype(float)).astype(float)
    alone = equivalence(a.astype(float), b.astype(float), 0.05, Spread(0.0, 0))
    assert alone.high - alone.low == pytest.approx(2 * 1.6486 * d.std(ddof=1) / 20, rel=1e-3)
    wider = equivalence(a.astype(float), b.astype(float), 0.05, Spread(0.03**2, 4))
    assert wider.high - wider.low > alone.high - alone.low
    assert spread_of([np.array([0.1, 0.3]), np.array([0.5, 0.5, 0.5]), np.array([0.9])]) == (pytest.approx(0.02 / 3), 3)


def test_slides_count_as_the_independent_units() -> None:
    rng = np.random.default_rng(2)
    slides = np.repeat(np.arange(10), 20)
    shift = np.repeat(rng.choice([-0.3, 0.3], 10), 20)
    a, b = np.full((2, 200), 0.5), np.clip(0.5 + shift, 0, 1)[None].repeat(2, 0)
    by_image, by_slide = (equivalence(a, b, 0.1, Spread(0, 0), clusters) for clusters in (None, slides))
    assert by_slide.high - by_slide.low > 3 * (by_image.high - by_image.low)


@pytest.mark.parametrize(("trainings", "most"), [(3, 0.07), (1, 0.09)])
def test_a_difference_of_the_margin_is_called_equivalent_no_more_often_than_the_level(
    trainings: int, most: float
) -> None:
    """True accuracies that differ by just the margin; seeds shift all images alike."""
    rng, margin, wrong, runs = np.random.default_rng(3), 0.03, 0, 600
    for _ in range(runs):
        hard = rng.random(300)
        groups = [
            np.stack([(hard + shift < accuracy) for shift in 0.01 * rng.standard_normal(count)]).astype(float)
            for accuracy, count in ((0.7, 3), (0.7 + margin, trainings))
        ]
        pooled = spread_of([group.mean(1) for group in groups])
        wrong += equivalence(*groups, margin, pooled).p <= 0.05
    assert wrong / runs <= most


def test_equal_trainings_are_equivalent() -> None:
    right = (np.random.default_rng(4).random((3, 2000)) < 0.9).astype(float)
    assert equivalence(right, right, 0.02, Spread(0, 0)).p < 0.05
    assert equivalence(right[:1], right[:1], 0.02, Spread(0, 0)).p < 0.05


def test_few_images_that_all_agree_show_nothing() -> None:
    """To rule out 1% at 5% one must see about 300 images without any difference (the rule of three)."""
    for images, shown in ((150, False), (500, True)):
        right = np.ones((1, images))
        assert (equivalence(right, right, 0.01, Spread(0, 0)).p < 0.05) == shown


# the tables


def cell(classifier: str, share: float, seed: int, attack: str = "none") -> Judged:
    correct = np.random.default_rng(seed).random((400, 1)) < share
    row = {"classifier": classifier, "attack": attack, "threat": "transfer", "norm": "Linf", "eps": 0.1}
    row |= {"defence": "none", "sigma": 0.0, "scores": f"{classifier}/{attack}"}
    labels = np.zeros(len(correct), int)
    ids = np.arange(len(labels))
    return Judged(row, {}, ids, 1 - correct.astype(int), correct[:, 0], labels, ["a", "b"], None)


def test_the_tables_have_a_row_for_each_family_and_cell(tmp_path: Path) -> None:
    described = study(equivalence={"reference": "plain-2", "margin": 0.05})
    shares = {"plain": 0.9, "plain-2": 0.91, "plain-3": 0.89, "null": 0.9, "null-2": 0.9, "mean": 0.5}
    cells = [
        cell(name, share - 0.2 * (attack == "pgd"), place, attack)
        for attack in ("none", "pgd")
        for place, (name, share) in enumerate(shares.items())
    ]
    spread = spreads(described, cells)
    assert list(spread.columns) == SPREAD
    assert list(spread["classifier"]) == ["plain", "null"] * 2
    own = [one.correct.mean() for one in cells[:3]]
    first = spread.iloc[0]
    assert (first["trainings"], first["accuracy"]) == (3, pytest.approx(np.mean(own)))
    assert first["spread"] == pytest.approx(np.std(own, ddof=1))
    table = equivalences(described, cells)
    assert list(table.columns) == EQUIVALENCE
    assert set(table["reference"]) == {"plain"}
    assert list(table["classifier"]) == ["null", "mean"] * 2
    assert list(table["equivalent"][[1, 3]]) == [0, 0], "forty points are no small difference"
    for made, read, name in ((spread, read_seeds, "trainings"), (table, read_equivalence, "equivalence")):
        write_table(made, tmp_path / f"{name}.csv")
        assert len(read(tmp_path / f"{name}.csv")) == len(made)


def test_the_report_says_what_is_equivalent() -> None:
    described = study(equivalence={"reference": "plain", "margin": 0.2})
    shares = {"plain": 0.9, "plain-2": 0.91, "null": 0.9, "null-2": 0.9, "mean": 0.5}
    cells = [cell(name, share, place) for place, (name, share) in enumerate(shares.items())]
    tables = {"seeds": spreads(described, cells), "equivalence": equivalences(described, cells)}
    template = _environment(Checked(pd.DataFrame(columns=CHECKS))).get_template("seeds.html.j2")
    page = template.render({name: list(table.itertuples()) for name, table in tables.items()})
    assert "As good as plain, within 20.0 points?" in page
    assert page.count("<td>equivalent</td>") == page.count("<td>not shown</td>") == 1
    assert "was trained once is given the spread" in page
    assert "Trained several times" in page
    assert template.render(seeds=[], equivalence=[]).strip() == ""


def test_a_study_of_single_trainings_has_empty_tables() -> None:
    plain = made_up({"pgd": "transfer"})
    assert spreads(plain, [cell("resnet", 0.9, 0)]).empty
    table = equivalences(plain, [cell("resnet", 0.9, 0)])
    assert list(table.columns) == EQUIVALENCE
    assert table.empty
