"""Certificates: known answers, guarantees on simulated classifiers, a classifier whose true radii are known, votes that
do not depend on how they are counted, attacks that stay inside."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import binom, binomtest, norm
from statsmodels.stats.proportion import proportion_confint
from torch import Tensor, nn

from assay.artifacts import Wanted
from assay.batches import Part
from assay.evaluation.certificates import certify as stage
from assay.evaluation.certificates.attack import BEYOND, attack_certificates, search
from assay.evaluation.certificates.betting import Verdict, judge, log_wealth
from assay.evaluation.certificates.bounds import (
    is_majority,
    largest_radius,
    lower_bound,
    radius,
    two_class_radius,
    upper_bound,
)
from assay.evaluation.certificates.certify import certify_stack
from assay.evaluation.certificates.cohen import ABSTAIN, certify, predict
from assay.evaluation.certificates.smoothed import SELECTION, Smoothed
from assay.evaluation.certificates.votes import read_votes
from assay.files import AssayError
from assay.inputs import Inputs
from assay.networks.classifier import build_classifier, write_classifier
from assay.study.certificates import AttackCertificatesSpec, CertifySpec
from assay.study.classifiers import Classifier
from stack_files import write_stack

ALPHA = 0.001
RUNS = 40_000
SIMULATED_ALPHA = 0.01  # so that tens of thousands of runs show whether it is kept
CLASSES = ["debris", "mucus", "stroma"]
SIDE = 8

# bounds


@pytest.mark.parametrize(
    ("hits", "draws", "low", "sigmas"),
    [
        (100, 100, 0.933254, 1.5005),
        (99, 100, 0.911373, 1.3493),
        (9_900, 10_000, 0.986531, 2.2124),
        (60_000, 100_000, 0.595201, 0.2409),
    ],
)
def test_bounds_and_radii_have_their_known_values(hits: int, draws: int, low: float, sigmas: float) -> None:
    found = lower_bound(np.array([hits]), draws, ALPHA)
    assert found == pytest.approx(low, abs=1e-6)
    assert radius(found, 0.25) == pytest.approx(0.25 * sigmas, abs=1e-4)


def test_a_bare_majority_is_certified_only_where_the_draws_show_it() -> None:
    low = lower_bound(np.array([550, 501, 0]), 1000, ALPHA)
    assert low[0] == pytest.approx(0.500676, abs=1e-6)
    assert list(radius(low, 1.0) > 0) == [True, False, False]


@pytest.mark.parametrize(("hits", "draws"), [(0, 10), (1, 10), (7, 10), (10, 10), (412, 1000), (99_999, 100_000)])
def test_bounds_equal_statsmodels_clopper_and_pearson(hits: int, draws: int) -> None:
    low, high = proportion_confint(hits, draws, alpha=2 * ALPHA, method="beta")
    assert lower_bound(np.array([hits]), draws, ALPHA) == pytest.approx(low, abs=1e-12)
    assert upper_bound(np.array([hits]), draws, ALPHA) == pytest.approx(high, abs=1e-12)


def test_radii_from_two_classes_have_their_known_values() -> None:
    votes = np.zeros((1, 10), int)
    votes[0, :3] = 7_000, 2_000, 1_000
    found = certify(votes, votes, 1.0, ALPHA)
    assert found.radius == pytest.approx(0.4836, abs=1e-4)
    assert found.two_class == pytest.approx(0.6337, abs=1e-4)
    either = lower_bound(np.array([7_000]), 10_000, ALPHA / 2), upper_bound(np.array([2_000]), 10_000, ALPHA / 2)
    assert two_class_radius(*either, 1.0) == pytest.approx(0.6378, abs=1e-4)


def test_of_two_classes_both_radii_are_one() -> None:
    votes = np.array([[900, 100], [480, 520]])
    found = certify(votes, votes, 0.5, ALPHA)
    assert list(found.two_class) == list(found.radius)


def test_no_draws_certify_more_than_the_largest_radius() -> None:
    votes = np.array([[1000, 0, 0]])
    assert certify(votes, votes, 0.5, ALPHA).radius[0] == pytest.approx(largest_radius(1000, ALPHA, 0.5))
    assert largest_radius(1000, ALPHA, 1.0) == pytest.approx(2.46, abs=5e-3)
    assert largest_radius(100_000, ALPHA, 1.0) == pytest.approx(3.81, abs=5e-3)


# Cohen's procedure


def test_certify_bounds_the_answer_that_other_draws_chose() -> None:
    selection, votes = np.array([[3, 7], [7, 3]]), np.array([[990, 10], [10, 990]])
    found = certify(selection, votes, 1.0, ALPHA)
    assert list(found.chosen) == [1, 0]
    assert list(found.answer) == [ABSTAIN, ABSTAIN]
    assert list(found.radius) == [0, 0]


def test_predict_abstains_where_the_second_may_be_the_more_likely() -> None:
    votes = np.array([[60, 40, 0], [75, 25, 0], [0, 40, 60], [5, 5, 90]])
    assert list(predict(votes, ALPHA)) == [ABSTAIN, 0, ABSTAIN, 2]
    for first, second in ((50, 50), (60, 40), (75, 25), (90, 5), (12, 0)):
        expected = binomtest(first, first + second, 0.5).pvalue
        for alpha in (0.9 * expected, 1.1 * expected):
            assert is_majority(np.array([first]), np.array([second]), alpha)[0] == (expected <= alpha)


@pytest.mark.parametrize("p", [0.35, 0.5, 0.7, 0.9, 0.99])
def test_a_certificate_is_wrong_no_more_often_than_alpha_says(p: float) -> None:
    generator = np.random.default_rng(int(1000 * p))
    chances = np.array([p, 0.6 * (1 - p), 0.4 * (1 - p)])
    selection, votes = (generator.multinomial(n, chances, RUNS) for n in (20, 200))
    found = certify(selection, votes, 1.0, SIMULATED_ALPHA)
    own = chances[found.chosen]
    others = np.array([np.delete(chances, chosen).max() for chosen in range(3)])[found.chosen]
    truly = np.maximum(norm.ppf(own), 0), np.maximum((norm.ppf(own) - norm.ppf(others)) / 2, 0)
    slack = 3 * np.sqrt(SIMULATED_ALPHA / RUNS)
    assert (found.radius > truly[0] + 1e-12).mean() <= SIMULATED_ALPHA + slack
    assert (found.two_class > truly[1] + 1e-12).mean() <= SIMULATED_ALPHA + slack
    answers = predict(votes, SIMULATED_ALPHA)
    wrong = ~np.isin(answers, [ABSTAIN, chances.argmax()])
    assert wrong.mean() <= SIMULATED_ALPHA + 3 * np.sqrt(SIMULATED_ALPHA / len(answers))


def test_a_bound_without_its_correction_would_be_caught() -> None:
    generator = np.random.default_rng(0)
    shares = generator.binomial(200, 0.7, RUNS) / 200
    assert (radius(shares, 1.0) > norm.ppf(0.7)).mean() > 10 * SIMULATED_ALPHA


# the sequential test


@pytest.mark.parametrize(("sigmas", "draws"), [(0, 13), (0.5, 25), (1, 55), (1.5, 145), (2, 459)])
def test_where_all_draws_hit_the_sequential_test_stops_at_its_known_draw(sigmas: float, draws: int) -> None:
    taken = np.arange(1, 1000)
    verdicts = judge(taken, taken, norm.cdf(sigmas), ALPHA)
    assert taken[verdicts == Verdict.CERTIFIED][0] == draws
    assert taken[judge(np.zeros(999), taken, norm.cdf(sigmas), ALPHA) == Verdict.REFUSED][0] <= 13


def test_the_wealth_is_a_fair_bet_at_p0() -> None:
    """After N draws it is 1 on average: the sum over all hits of their probability times the wealth."""
    for p0, draws in ((0.5, 40), (0.84, 150)):
        hits = np.arange(draws + 1)
        assert (binom.pmf(hits, draws, p0) * np.exp(log_wealth(hits, draws, p0))).sum() == pytest.approx(1)


def crossing(p: float, p0: float, alpha: float, most: int, verdict: Verdict) -> float:
    """The exact chance that a test of p0, looked at after each of `most` draws, ever gives a verdict where the truth is
    p: by going through the distribution of the hits."""
    alive, found = np.ones(1), 0.0
    for draws in range(1, most + 1):
        alive = np.append(alive * (1 - p), 0) + np.append(0, alive * p)
        verdicts = judge(np.arange(draws + 1), np.full(draws + 1, draws), p0, alpha)
        found += alive[verdicts == verdict].sum()
        alive = np.where(verdicts == Verdict.OPEN, alive, 0)
    return found


@pytest.mark.parametrize("p0", [0.5, 0.841345, 0.97725])
def test_a_sequential_verdict_is_wrong_with_less_than_alpha_however_often_one_looks(p0: float) -> None:
    assert 0.02 * ALPHA < crossing(p0, p0, ALPHA, 2000, Verdict.CERTIFIED) <= ALPHA
    assert crossing(p0, p0, ALPHA, 2000, Verdict.REFUSED) <= ALPHA
    assert crossing(p0 - 0.01, p0, ALPHA, 1000, Verdict.CERTIFIED) < ALPHA
    # The published code's threshold, 1 / (2 alpha), whose errors are known: 7.8e-4, 4.6e-4 and 1.5e-4 to N = 6,000.
    known = {0.5: 7.8e-4, 0.841345: 4.6e-4, 0.97725: 1.5e-4}[p0]
    loose = crossing(p0, p0, 2 * ALPHA, 2000, Verdict.CERTIFIED)
    assert 0.5 * known < loose < 1.02 * known


def test_simulated_sequential_certificates_are_wrong_no_more_often_than_alpha_and_take_a_third_of_the_draws() -> None:
    generator = np.random.default_rng(1)
    p0, cap = norm.cdf(0.5), 1000
    wrong = run_tests(generator, p0, p0, cap, RUNS // 4)[1]
    assert (wrong == Verdict.CERTIFIED).mean() <= SIMULATED_ALPHA + 3 * np.sqrt(SIMULATED_ALPHA / len(wrong))
    # A classifier as they are: most images are easy, some hopeless, a few near the threshold.
    chances = np.concatenate([generator.beta(30, 1, 1400), generator.beta(1, 3, 500), generator.uniform(0.5, 0.9, 100)])
    draws, verdicts = run_tests(generator, chances, p0, cap, len(chances), ALPHA)
    assert draws.mean() <= cap / 3
    fixed = radius(lower_bound(generator.binomial(cap, chances), cap, ALPHA), 1.0) >= 0.5
    assert abs((verdicts == Verdict.CERTIFIED).mean() - fixed.mean()) < 0.01


def run_tests(
    generator: np.random.Generator,
    p: float | np.ndarray,
    p0: float,
    cap: int,
    runs: int,
    alpha: float = SIMULATED_ALPHA,
) -> tuple[np.ndarray, np.ndarray]:
    """Draws and verdicts of simulated tests, looked at after every round."""
    hits, draws, verdicts = np.zeros(runs), np.zeros(runs), np.zeros(runs)
    while (going := (verdicts == Verdict.OPEN) & (draws < cap)).any():
        hits[going] += generator.binomial(stage.ROUND, np.broadcast_to(p, runs)[going])
        draws[going] += stage.ROUND
        verdicts[going] = judge(hits[going], draws[going], p0, alpha)
    return draws, verdicts


def test_looking_at_the_fixed_bound_while_drawing_would_not_keep_alpha() -> None:
    generator = np.random.default_rng(2)
    hits, peeked = np.zeros(4000), np.zeros(4000, bool)
    for draws in range(16, 1001, 16):
        hits += generator.binomial(16, 0.7, 4000)
        peeked |= lower_bound(hits, draws, SIMULATED_ALPHA) > 0.7
    assert peeked.mean() > 3 * SIMULATED_ALPHA


# the smoothed classifier

NOISE = {"method": "noise", "sigmas": [0.25]}


class Linear(nn.Module):
    """Two classes by the side of a plane, whose distance to each image is its true radius."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.normal = torch.randn(3, SIDE, SIDE, generator=generator)

    def distance(self, x: Tensor) -> Tensor:
        return ((x - 0.5) * self.normal).sum((1, 2, 3)) / self.normal.norm()

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([-self.distance(x), self.distance(x)], dim=1)


def test_the_radius_of_a_linear_classifier_never_exceeds_the_true_one_and_comes_near_it() -> None:
    images, sigma = 64, 0.25
    x = torch.rand(images, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    classifier, keys = Linear(), torch.arange(images)
    smoothed = Smoothed(lambda x, noise: x + sigma * noise(0), classifier, 2, seed=0, room=6400)
    selection, votes = (smoothed.votes(x, keys, name, range(n)).numpy() for name, n in ((SELECTION, 20), ("n", 1000)))
    found = certify(selection, votes, sigma, ALPHA)
    true = classifier.distance(x).numpy()
    assert (found.answer[found.radius > 0] == (true[found.radius > 0] > 0)).all()
    assert (found.radius <= np.abs(true)).all()
    assert (found.radius > 0).mean() > 0.5
    assert np.mean(found.radius[found.radius > 0] / np.abs(true[found.radius > 0])) > 0.6


def test_an_attack_stays_inside_its_ball_and_finds_what_a_linear_classifier_has_beyond_it() -> None:
    x = torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(2)) * 0.2 + 0.4
    classifier, keys = Linear(), torch.tensor([5])
    smoothed = Smoothed(lambda x, noise: x + 0.1 * noise(0), classifier, 2, seed=0, room=64)
    true = classifier.distance(x).item()
    for reach, is_moved in ((0.99, False), (1.2, True)):
        found = search(smoothed, x, keys, int(true > 0), reach * abs(true))
        assert torch.linalg.vector_norm(found - x) <= reach * abs(true) * (1 + 1e-5)
        assert (found >= 0).all()
        assert (found <= 1).all()
        assert (classifier.distance(found).item() * true < 0) is is_moved


def test_votes_do_not_depend_on_the_order_the_pieces_or_the_other_images() -> None:
    x = torch.rand(5, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(3))
    keys = torch.arange(5) + 10
    purify = lambda x, noise: x + 0.25 * noise(0)  # noqa: E731
    whole = Smoothed(purify, Linear(), 2, 7, room=100).votes(x, keys, "estimation", range(50))
    narrow = Smoothed(purify, Linear(), 2, 7, room=3)
    pieces = [narrow.votes(x[[3, 1]], keys[[3, 1]], "estimation", draws) for draws in (range(30, 50), range(30))]
    assert (sum(pieces) == whole[[3, 1]]).all()
    assert (whole.sum(1) == 50).all()
    assert (narrow.votes(x, keys, "sequential", range(50)) != whole).any()


# the stages


@pytest.fixture
def inputs(tmp_path: Path) -> Inputs:
    """Images of three classes, and a classifier with random weights."""
    torch.manual_seed(0)
    tiny = Classifier(network="timm/resnet18", arguments={"layers": [1, 1, 1, 1], "channels": [8, 8, 8, 8]})
    with Wanted(tmp_path / "classifier", "classifier", {}, "", {}).write({}) as draft:
        write_classifier(draft, build_classifier(tiny, 3), tiny, CLASSES)
    pixels = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), np.uint8)
    rows = pd.DataFrame({"id": [f"i{k}" for k in range(6)], "label": [0, 1, 2, 0, 1, 2]})
    with Wanted(tmp_path / "images", "stack", {}, "", {}).write({}) as draft:
        draft.facts["classes"] = CLASSES
        write_stack(draft, pixels, rows)
    return Inputs({"images": tmp_path / "images", "classifier": tmp_path / "classifier"})


def spec(**changes: object) -> CertifySpec:
    keys = {"images": None, "draws": 40, "selection_draws": 10, "alpha": 0.05, "radius": 0.05, "batch_size": 4}
    return CertifySpec(purifier=NOISE, seed=0, **(keys | changes))


@pytest.fixture(autouse=True)
def short_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces so short that a few draws take several."""
    monkeypatch.setattr(stage, "PIECE", 20)
    monkeypatch.setattr(stage, "ROUND", 8)


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_votes_are_kept_for_each_image_and_the_draws_are_as_many_as_asked(inputs: Inputs, tmp_path: Path) -> None:
    certify_stack(spec(), "code", inputs, tmp_path / "out", 1)
    found = read_votes(tmp_path / "out")
    assert found.table["id"].tolist() == [f"i{k}" for k in range(6)]
    assert (found.selection.sum(1) == 10).all()
    assert (found.votes.sum(1) == 40).all()
    assert (found.sigma, found.stretch, found.side, found.classes) == (0.25, 1.0, 16, CLASSES)
    assert found.table["draws"].between(8, 40).all()
    decided = found.table["verdict"] != Verdict.OPEN
    assert (found.table.loc[~decided, "draws"] == 40).all()
    assert (
        judge(found.table["hits"], found.table["draws"], norm.cdf(0.05 / 0.25), 0.05) == found.table["verdict"]
    ).all()


def test_votes_do_not_depend_on_batches_parts_or_interruptions(
    inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certify_stack(spec(), "code", inputs, tmp_path / "whole", 1)
    whole = files_of(tmp_path / "whole")
    certify_stack(spec(batch_size=3), "code", inputs, tmp_path / "other", 1)
    assert {name: data for name, data in files_of(tmp_path / "other").items() if name != "manifest.json"} == {
        name: data for name, data in whole.items() if name != "manifest.json"
    }
    counted, votes = [], Smoothed.votes

    def fail_later(self: Smoothed, x: Tensor, keys: Tensor, purpose: str, draws: range) -> Tensor:
        counted.append((purpose, draws))
        if len(counted) == 6:
            raise KeyboardInterrupt
        return votes(self, x, keys, purpose, draws)

    shutil.rmtree(tmp_path / "whole")
    monkeypatch.setattr(Smoothed, "votes", fail_later)
    with pytest.raises(KeyboardInterrupt):
        certify_stack(spec(), "code", inputs, tmp_path / "whole", 1)
    before = len(counted)
    certify_stack(spec(), "code", inputs, tmp_path / "whole", 1)
    assert (SELECTION, range(10)) in counted[:before]
    assert counted[before:].count((SELECTION, range(10))) == 1, "the first batch's were kept"
    assert files_of(tmp_path / "whole") == whole
    shutil.rmtree(tmp_path / "whole")
    for index in (2, 1):
        certify_stack(spec(), "code", inputs, tmp_path / "whole", 1, Part(index, 2))
        assert not (tmp_path / "whole").exists()
    monkeypatch.setattr(Smoothed, "votes", None)  # all is there
    certify_stack(spec(), "code", inputs, tmp_path / "whole", 1)
    assert files_of(tmp_path / "whole") == whole
    assert not list(tmp_path.glob(".whole*"))


def test_some_of_the_images_are_balanced_and_have_the_votes_that_they_have_among_all(
    inputs: Inputs, tmp_path: Path
) -> None:
    certify_stack(spec(radius=None), "code", inputs, tmp_path / "all", 1)
    certify_stack(spec(radius=None, images=3), "code", inputs, tmp_path / "some", 1)
    every, some = read_votes(tmp_path / "all"), read_votes(tmp_path / "some")
    assert sorted(some.labels) == [0, 1, 2]
    assert "draws" not in some.table
    rows = [every.table["id"].tolist().index(image) for image in some.table["id"]]
    assert (some.votes == every.votes[rows]).all()


def test_votes_that_were_cut_off_are_one_clear_line(inputs: Inputs, tmp_path: Path) -> None:
    certify_stack(spec(), "code", inputs, tmp_path / "out", 1)
    path = tmp_path / "out" / "votes.npy"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(AssayError, match=r"votes\.npy: .* bytes, its manifest says .*; delete .* and run again"):
        read_votes(tmp_path / "out")


def test_attacked_certificates_tell_of_images_inside_and_beyond_their_radius(inputs: Inputs, tmp_path: Path) -> None:
    certify_stack(spec(), "code", inputs, tmp_path / "certificates", 1)
    found = read_votes(tmp_path / "certificates")
    certified = certify(found.selection, found.votes, 0.25, 0.05)
    asked = AttackCertificatesSpec(purifier=NOISE, images=3, draws=30, alpha=0.05, batch_size=4, seed=0)
    more = Inputs({**inputs.folders, "certificates": tmp_path / "certificates"})
    attack_certificates(asked, "code", more, tmp_path / "attacked", 1)
    table = pd.read_csv(tmp_path / "attacked" / "table.csv")
    assert 1 <= len(table) <= 3
    known = dict(zip(found.table["id"], certified.radius, strict=True))
    assert (table["radius"] == table["id"].map(known)).all()
    assert (table["length"] <= table["radius"]).all()
    assert (table["length"] > 0.5 * table["radius"]).all()
    assert BEYOND > 1
