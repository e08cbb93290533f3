import itertools
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from scipy.stats import binom, binomtest, mannwhitneyu, norm, t, ttest_1samp
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from assay.evaluation.statistics import measures, slides
from assay.evaluation.statistics.intervals import (
    accuracy_interval,
    auroc_interval,
    balanced_interval,
    mean_interval,
    wilson,
)
from assay.evaluation.statistics.measures import log_odds, majority, placements, variance_parts, worst_of
from assay.evaluation.statistics.multiple import holm
from assay.evaluation.statistics.paired import paired_difference, paired_test, sign_flip, unpaired_difference
from assay.evaluation.statistics.power import detectable
from assay.evaluation.statistics.ratios import kept_interval
from assay.planning.power import planned


def simulate(generator, images, draws, accuracy, spread):
    """Verdicts (images, draws): each image's chance of being right is beta distributed around the accuracy."""
    chances = generator.beta(accuracy * spread, (1 - accuracy) * spread, size=(images, 1))
    return generator.random((images, draws)) < chances


def coverage(interval_of, truth, make, repeats=2000, seed=0):
    generator = np.random.default_rng(seed)
    hits = 0
    for _ in range(repeats):
        low, high = interval_of(make(generator))
        hits += low <= truth <= high
    return hits / repeats


# one proportion


@pytest.mark.parametrize(("successes", "trials"), [(0, 1), (1, 1), (0, 1000), (3, 10), (97, 100), (256, 256), (1, 7)])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.999])
def test_wilson_equals_scipy_and_statsmodels(successes, trials, confidence):
    ours = wilson(successes, trials, confidence)
    scipy = binomtest(successes, trials).proportion_ci(confidence, method="wilson")
    assert ours == pytest.approx((scipy.low, scipy.high), abs=1e-12)
    assert ours == pytest.approx(proportion_confint(successes, trials, 1 - confidence, "wilson"), abs=1e-12)


def test_wilson_by_hand():
    # z = 1.96, half of 100: centre 1/2, half width z/(1+z²/n) * sqrt(1/(4n) + z²/(4n²)) = 0.0962
    assert wilson(50, 100) == pytest.approx((0.4038, 0.5962), abs=1e-4)


def test_wilson_takes_effective_counts_that_are_not_whole():
    assert wilson(7.5, 10.0)[0] < 0.75 < wilson(7.5, 10.0)[1]
    assert wilson(7, 10)[0] < wilson(7.5, 10.0)[0] < wilson(8, 10)[0]


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (3, 2), (-1, 2)])
def test_wilson_refuses_what_is_no_proportion(successes, trials):
    with pytest.raises(ValueError, match="no proportion"):
        wilson(successes, trials)


# accuracy over images and draws


@pytest.mark.parametrize(("right", "images"), [(0, 5), (5, 5), (1, 1), (0, 1), (70, 100), (99, 100)])
def test_with_one_draw_the_interval_is_wilsons(right, images):
    correct = (np.arange(images) < right)[:, None]
    assert accuracy_interval(correct) == pytest.approx((right / images, *wilson(right, images)), abs=1e-12)


def test_draws_that_always_agree_add_nothing():
    once = np.random.default_rng(0).random((80, 1)) < 0.7
    assert accuracy_interval(np.repeat(once, 9, axis=1)) == pytest.approx(accuracy_interval(once), abs=1e-12)


def test_draws_that_are_all_there_is_to_chance_count_in_full():
    # every image is right in exactly half of its draws: no spread between images at all
    correct = np.tile([[True, False]], (50, 1))
    assert accuracy_interval(correct) == pytest.approx((0.5, *wilson(50, 100)), abs=1e-12)


def test_one_image_counts_once_however_often_it_is_drawn():
    assert accuracy_interval(np.array([[True, False, True]]))[1:] == pytest.approx(wilson(2 / 3, 1))


@pytest.mark.parametrize("value", [False, True])
def test_at_zero_and_one_the_images_count_not_the_draws(value):
    correct = np.full((100, 10), value)
    assert accuracy_interval(correct) == pytest.approx((float(value), *wilson(100 * value, 100)), abs=1e-12)


def test_effective_sample_size_by_hand():
    # means 1, 1, 0.5, 0: p = 0.625, variance of the mean = 0.2292/4; p(1-p)/0.0573 = 4.0909 of the 8 verdicts
    correct = np.array([[True, True], [True, True], [True, False], [False, False]])
    size = 0.625 * 0.375 / (np.var([1, 1, 0.5, 0], ddof=1) / 4)
    assert size == pytest.approx(4.0909, abs=1e-4)
    assert accuracy_interval(correct) == pytest.approx((0.625, *wilson(0.625 * size, size)), abs=1e-12)


@pytest.mark.parametrize(
    ("images", "draws", "accuracy", "spread"),
    [
        (256, 3, 0.70, 1.0),  # most images are either easy or hard
        (256, 3, 0.70, 20.0),  # images are much alike
        (100, 1, 0.70, 1.0),
        (256, 3, 0.97, 1.0),
        (100, 10, 0.50, 0.5),
    ],
)
def test_the_interval_covers_the_truth_as_often_as_it_says(images, draws, accuracy, spread):
    found = coverage(
        lambda correct: accuracy_interval(correct)[1:],
        accuracy,
        lambda generator: simulate(generator, images, draws, accuracy, spread),
    )
    assert 0.93 <= found <= 0.985


def test_pooling_the_draws_as_if_independent_would_cover_too_seldom():
    found = coverage(
        lambda correct: wilson(correct.sum(), correct.size),
        0.7,
        lambda generator: simulate(generator, 256, 3, 0.7, 1.0),
    )
    assert found < 0.85


@pytest.mark.parametrize("correct", [np.ones((0, 3), bool), np.ones(3, bool), np.ones((3, 1))])
def test_what_is_no_matrix_of_verdicts_is_refused(correct):
    with pytest.raises(ValueError, match=r"\(images, draws\) of bool"):
        accuracy_interval(correct)


# majority


def test_majority_counts_votes_not_logits():
    logits = np.array([[[0.0, 1.0], [0.0, 1.0], [99.0, 0.0]]])
    assert majority(logits).tolist() == [1]


def test_mean_logits_break_ties_among_the_tied_only():
    two = [[0.0, 1.0], [5.0, 0.0]]  # one vote each; means 2.5 and 0.5
    assert majority(np.array([two])).tolist() == [0]
    # classes 0 and 1 have one vote each; class 2 has the highest mean and no vote
    three = [[10.0, -50.0, 9.9], [-50.0, 10.0, 9.9]]
    assert majority(np.array([three, three])).tolist() == [0, 0]


def test_majority_equals_counting_by_hand_for_many_classes():
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(300, 5, 6)) + generator.normal(size=(300, 1, 6))
    for image, found in zip(logits, majority(logits), strict=True):
        votes = Counter(image.argmax(axis=1).tolist())
        tied = [k for k, count in votes.items() if count == max(votes.values())]
        assert found == max(tied, key=lambda k: image[:, k].mean())


def test_of_classes_tied_in_votes_and_means_the_first_is_taken():
    assert majority(np.array([[[0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]])).tolist() == [1]


def test_majority_of_one_draw_is_its_prediction():
    logits = np.random.default_rng(0).normal(size=(50, 1, 4))
    assert np.array_equal(majority(logits), logits[:, 0].argmax(axis=-1))


# paired comparisons


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 0), (0, 1), (3, 3), (10, 2), (0, 20), (7, 30)])
def test_the_test_of_one_verdict_an_image_is_mcnemars_by_statsmodels(only_a, only_b):
    both, neither = 40, 5
    a = np.repeat([True, True, False, False], [both, only_a, only_b, neither])[:, None]
    b = np.repeat([True, False, True, False], [both, only_a, only_b, neither])[:, None]
    expected = statsmodels_mcnemar([[both, only_a], [only_b, neither]], exact=True).pvalue if only_a + only_b else 1.0
    assert sign_flip(a, b) == pytest.approx(expected, abs=1e-12)
    assert sign_flip(b, a) == pytest.approx(expected, abs=1e-12)


def test_sign_flip_by_hand():
    # five discordant images, all won by b: 2 * (1/2)^5
    assert sign_flip(np.zeros((5, 1), bool), np.ones((5, 1), bool)) == pytest.approx(1 / 16)


def test_a_cell_does_not_differ_from_itself_as_far_as_its_images_tell():
    few, many = (np.random.default_rng(0).random((images, 3)) < 0.5 for images in (50, 5000))
    difference, low, high = paired_difference(few, few)
    assert difference == 0
    assert -0.05 < low < 0 < high < 0.05
    assert paired_difference(many, many)[2] < high / 10


def test_paired_difference_has_a_sign_and_any_numbers_of_draws():
    a, b = np.zeros((40, 1), bool), np.repeat([[True, True, False], [False, False, False]], 20, axis=0)
    difference, low, high = paired_difference(a, b)
    assert difference == pytest.approx(1 / 3)
    assert 0 < low < 1 / 3 < high
    assert paired_difference(b, a) == pytest.approx((-difference, -high, -low))


def test_paired_interval_is_that_of_the_plain_bootstrap():
    generator = np.random.default_rng(3)
    a, b = simulate(generator, 300, 3, 0.6, 1.0), simulate(generator, 300, 2, 0.7, 1.0)
    by_image = b.mean(axis=1) - a.mean(axis=1)
    means = by_image[generator.integers(300, size=(20_000, 300))].mean(axis=1)
    _, low, high = paired_difference(a, b)
    assert (low, high) == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.004)


def test_the_paired_interval_covers_the_truth_and_uses_the_pairing():
    def pair(generator):
        chances = generator.beta(0.7, 0.3, size=(256, 1))
        a = generator.random((256, 3)) < chances
        b = generator.random((256, 3)) < 0.9 * chances
        return a, b

    found = coverage(lambda both: paired_difference(*both)[1:], -0.1 * 0.7, pair, repeats=1000)
    assert 0.93 <= found <= 0.985

    a, b = pair(np.random.default_rng(5))
    _, low, high = paired_difference(a, b)
    widths = [interval[2] - interval[1] for interval in (accuracy_interval(a), accuracy_interval(b))]
    assert high - low < 0.8 * np.hypot(*widths)


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 6), (1, 8), (2, 9), (2, 10), (4, 13), (30, 52), (60, 85)])
def test_the_paired_interval_holds_zero_where_the_exact_test_does_not_reject(only_a, only_b):
    a = np.repeat([True, False, True], [only_a, only_b, 300])[:, None]
    b = np.repeat([False, True, True], [only_a, only_b, 300])[:, None]
    _, low, high = paired_difference(a, b)
    assert (low <= 0 <= high) == (sign_flip(a, b) > 0.05)


def test_the_paired_interval_is_the_score_interval_of_mcnemars_test():
    # 12 images of 100 were won by b and 3 by a; at a difference d the 17 squares (two unseen) become 17 - 18 d + 100 d²
    a, b = np.repeat([False, True, True], [12, 3, 85])[:, None], np.repeat([True, False, True], [12, 3, 85])[:, None]
    _, low, high = paired_difference(a, b)
    square = t.ppf(0.975, 99) ** 2
    largest = 100 * square / (square + 99)
    for end in (low, high):
        assert (9 - 100 * end) ** 2 == pytest.approx(largest * (17 - 18 * end + 100 * end**2))


def test_other_images_are_refused():
    with pytest.raises(ValueError, match="not the same images: 3 against 4"):
        paired_difference(np.ones((3, 1), bool), np.ones((4, 1), bool))


@pytest.mark.parametrize(("right_a", "right_b"), [(70, 80), (100, 100), (0, 12), (40, 10)])
def test_unpaired_interval_equals_statsmodels_newcombe(right_a, right_b):
    a, b = ((right / trials, *wilson(right, trials)) for right, trials in ((right_a, 100), (right_b, 200)))
    expected = confint_proportions_2indep(right_b, 200, right_a, 100, method="newcomb", compare="diff")
    assert unpaired_difference(a, b)[1:] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("draws", [(1, 1), (2, 2), (1, 3), (2, 3)])
def test_sign_flip_is_the_share_of_all_ways_to_exchange_a_and_b(draws):
    generator = np.random.default_rng(sum(draws))
    a, b = (generator.random((9, count)) < chance for count, chance in zip(draws, (0.4, 0.7), strict=True))
    by_image = b.mean(axis=1) - a.mean(axis=1)
    ways = np.array(list(itertools.product([-1, 1], repeat=9))) @ by_image
    both = np.mean(np.abs(ways) >= abs(by_image.sum()) - 1e-12)
    one = np.mean(ways >= by_image.sum() - 1e-12)
    assert sign_flip(a, b) == paired_test(a, b) == pytest.approx(both, abs=1e-12)
    assert sign_flip(a, b, "greater") == paired_test(a, b, alternative="greater") == pytest.approx(one, abs=1e-12)


def test_sign_flip_sees_small_chances():
    a, b = np.zeros((40, 3), bool), np.ones((40, 3), bool)
    assert sign_flip(a, b) == pytest.approx(2.0**-39, rel=1e-3)
    assert sign_flip(b, a, alternative="greater") == pytest.approx(1.0)


@pytest.mark.parametrize("count", [1, 2, 7, 40])
def test_holm_equals_statsmodels(count):
    p_values = np.random.default_rng(count).random(count) ** 3
    p_values[count // 2 :] = p_values[count // 2]
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1], abs=1e-15)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert len(holm([])) == 0


# the worst of k draws


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_worst_of_k_is_the_share_of_all_choices_of_k_draws_that_are_all_right(k):
    correct = np.random.default_rng(0).random((30, 5)) < np.linspace(0.2, 1, 30)[:, None]
    choices = list(itertools.combinations(range(5), k))
    expected = np.mean([correct[:, list(choice)].all(axis=1) for choice in choices], axis=0)
    assert worst_of(correct, k) == pytest.approx(expected, abs=1e-12)


def test_worst_of_one_is_accuracy_and_worst_of_all_is_right_in_every_draw():
    correct = np.random.default_rng(0).random((50, 4)) < 0.8
    assert worst_of(correct, 1).mean() == pytest.approx(correct.mean())
    assert np.array_equal(worst_of(correct, 4), correct.all(axis=1))


def test_worst_of_k_is_unbiased():
    chances = np.random.default_rng(1).beta(4, 1, size=200_000)[:, None]
    correct = np.random.default_rng(2).random((200_000, 5)) < chances
    assert worst_of(correct, 3).mean() == pytest.approx((chances**3).mean(), abs=0.003)
    assert (correct.mean(axis=1) ** 3).mean() > (chances**3).mean() + 0.02  # what one might take in its place


@pytest.mark.parametrize("k", [0, 4])
def test_more_draws_than_there_are_tell_nothing(k):
    with pytest.raises(ValueError, match=f"the worst of {k} is not defined for 3 draws"):
        worst_of(np.ones((2, 3), bool), k)


# noise is no defence


def test_a_defence_of_pure_label_noise_gains_nothing_by_voting_or_repeating():
    """What is left under attack must never be significantly more than what the same measure says of clean images."""
    generator = np.random.default_rng(0)
    labels = np.arange(400) % 2
    found = []
    for _ in range(200):
        clean, attacked = (generator.normal(size=(400, 5, 2)) for _ in range(2))
        right = [logits.argmax(axis=-1) == labels[:, None] for logits in (clean, attacked)]
        votes = [(majority(logits) == labels)[:, None] for logits in (clean, attacked)]
        every = [correct.all(axis=1, keepdims=True) for correct in right]
        found.append([sign_flip(*pair, alternative="greater") for pair in (right, votes, every)])
        assert accuracy_interval(right[1])[0] < 0.6
    assert (np.array(found) < 0.01).mean(axis=0) == pytest.approx([0.01] * 3, abs=0.02)


def test_repeating_takes_from_a_noisy_defence_and_not_from_a_steady_one():
    generator = np.random.default_rng(0)
    noisy = generator.random((2000, 10)) < 0.9
    steady = np.repeat(generator.random((2000, 1)) < 0.9, 10, axis=1)
    assert worst_of(noisy, 10).mean() == pytest.approx(0.9**10, abs=0.03)
    assert worst_of(steady, 10).mean() == steady.mean()


# where the variance comes from


def test_variance_parts_by_simulation():
    generator = np.random.default_rng(0)
    chances = generator.beta(2, 1, size=(100_000, 1))
    of_images, of_draws = variance_parts(generator.random((100_000, 3)) < chances)
    assert of_images == pytest.approx(chances.var(), abs=0.003)
    assert of_draws == pytest.approx((chances * (1 - chances)).mean(), abs=0.003)
    assert of_images + of_draws == pytest.approx(2 / 3 * 1 / 3, abs=0.003)


def test_one_draw_cannot_tell_images_from_draws():
    assert np.isnan(variance_parts(np.ones((5, 1), bool))).all()


# AUROC


def two(scores):
    """Logits (images, draws, 2) whose difference is the score."""
    return np.stack([np.zeros_like(scores), scores], axis=-1)


def area_of(scores, positive):
    """AUROC of one draw by its definition: the share of pairs in which the positive image scores higher, ties half."""
    one, other = scores[positive][:, None], scores[~positive][None]
    return np.mean((one > other) + 0.5 * (one == other))


@pytest.mark.parametrize("digits", [0, 1, 6])
def test_auroc_equals_its_definition_and_scipy(digits):
    generator = np.random.default_rng(digits)
    positive = generator.random(60) < 0.4
    scores = np.round(generator.normal(size=(60, 3)) + positive[:, None], digits)
    by_draw = [area_of(draw, positive) for draw in scores.T]
    pairs = positive.sum() * (~positive).sum()
    for draw, area in zip(scores.T, by_draw, strict=True):
        assert mannwhitneyu(draw[positive], draw[~positive]).statistic / pairs == pytest.approx(area, abs=1e-12)
    assert auroc_interval(two(scores), positive.astype(int))[0] == pytest.approx(np.mean(by_draw), abs=1e-12)
    placed = placements(scores, positive)
    assert placed[positive].mean() == pytest.approx(np.mean(by_draw), abs=1e-12)
    assert placed[~positive].mean() == pytest.approx(np.mean(by_draw), abs=1e-12)


@pytest.mark.parametrize("digits", [0, 6])
def test_placements_are_the_share_of_the_other_class_on_the_wrong_side(digits):
    generator = np.random.default_rng(digits)
    positive = generator.random(40) < 0.3
    scores = np.round(generator.normal(size=(40, 2)) + positive[:, None], digits)
    expected = np.zeros(40)
    for image, draw in itertools.product(range(40), range(2)):
        others = scores[positive != positive[image], draw]
        sign = 1 if positive[image] else -1
        expected[image] += np.mean((np.sign(sign * (scores[image, draw] - others)) + 1) / 2) / 2
    assert placements(scores, positive) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_log_odds_are_those_of_the_softmax(classes, scale):
    logits = scale * np.random.default_rng(classes).normal(size=(20, 3, classes))
    for k, odds in enumerate(log_odds(logits)):
        rest = np.delete(logits, k, axis=-1)
        expected = logits[..., k] - np.logaddexp.reduce(rest, axis=-1)
        assert odds == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_log_odds_of_confident_logits_are_finite_and_keep_their_order():
    logits = np.array([[[0.0, 900.0, -900.0]], [[0.0, 901.0, -900.0]], [[-2000.0, 901.0, 901.0]]])
    odds = np.stack(list(log_odds(logits)), axis=-1)
    assert np.isfinite(odds).all()
    assert odds[0, 0, 1] < odds[1, 0, 1]
    assert odds[2, 0].tolist() == pytest.approx([-2901 - np.log(2), 0, 0])


def test_log_odds_do_not_depend_on_how_much_is_held_at_a_time(monkeypatch):
    logits = np.random.default_rng(0).normal(size=(13, 2, 5))
    whole = np.stack(list(log_odds(logits)))
    monkeypatch.setattr(measures, "BLOCK", 30)
    assert np.array_equal(np.stack(list(log_odds(logits))), whole)


@pytest.mark.parametrize("absent", [(), (2,)])
def test_auroc_of_many_classes_is_the_mean_of_one_against_the_rest(absent):
    generator = np.random.default_rng(0)
    labels = generator.choice(np.setdiff1d(np.arange(5), absent), 80)
    logits = generator.normal(size=(80, 2, 5)) + 1.5 * np.eye(5)[labels][:, None]
    areas = []
    for k in np.unique(labels):
        shares = np.exp(logits[..., k]) / np.exp(logits).sum(axis=-1)
        areas.append(np.mean([area_of(draw, labels == k) for draw in shares.T]))
    mean, low, high = auroc_interval(logits, labels)
    assert mean == pytest.approx(np.mean(areas), abs=1e-12)
    assert low < mean < high


def test_auroc_of_a_perfect_a_useless_and_a_reversed_score():
    labels = np.array([0, 0, 1, 1])
    assert auroc_interval(two(np.array([[0.0], [1], [2], [3]])), labels)[0] == 1
    assert auroc_interval(two(np.zeros((4, 2))), labels)[0] == 0.5
    assert auroc_interval(two(np.array([[3.0], [2], [1], [0]])), labels)[0] == 0


def test_auroc_of_one_class_is_not_a_number():
    assert np.isnan(auroc_interval(np.zeros((4, 1, 2)), np.ones(4, int))).all()


def test_auroc_interval_is_delongs_in_the_middle():
    generator = np.random.default_rng(0)
    positive = np.arange(400) < 150
    scores = generator.normal(size=(400, 1)) + 0.4 * positive[:, None]
    kernel = (scores[positive] > scores[~positive].T).astype(float)
    variance = kernel.mean(axis=1).var(ddof=1) / 150 + kernel.mean(axis=0).var(ddof=1) / 250
    area, low, high = auroc_interval(two(scores), positive.astype(int))
    size = area * (1 - area) / variance
    assert (low, high) == pytest.approx(wilson(area * size, size), abs=1e-12)


def test_the_interval_of_many_classes_is_that_of_resampled_images():
    generator = np.random.default_rng(0)
    labels = np.arange(240) % 4
    logits = generator.normal(size=(240, 2, 4)) + 0.8 * np.eye(4)[labels][:, None]
    means = []
    for _ in range(400):
        rows = np.concatenate([generator.choice(np.flatnonzero(labels == k), 60) for k in range(4)])
        means.append(auroc_interval(logits[rows], labels[rows])[0])
    _, low, high = auroc_interval(logits, labels)
    assert high - low == pytest.approx(np.diff(np.quantile(means, [0.025, 0.975]))[0], rel=0.12)


# balanced accuracy


def test_balanced_accuracy_is_the_mean_over_the_classes_that_are_there():
    correct = np.array([[True, True], [False, True], [False, False], [True, False], [True, True]])
    labels = np.array([0, 0, 0, 4, 4])
    mean, low, high = balanced_interval(correct, labels)
    assert mean == pytest.approx(((1 + 0.5 + 0) / 3 + (0.5 + 1) / 2) / 2)
    assert low < mean < high


@pytest.mark.parametrize("classes", [2, 5, 100])
def test_balanced_accuracy_of_as_many_images_a_class_and_one_draw_is_accuracy(classes):
    correct = np.random.default_rng(0).random((200, 1)) < 0.7
    assert balanced_interval(correct, np.arange(200) % classes) == pytest.approx(accuracy_interval(correct), abs=1e-12)


def test_effective_sample_size_of_balanced_accuracy_by_hand():
    # class 0: means 1, 1, 0.5, 0; class 1: means 0.5, 0; each class's mean counts half
    correct = np.array([[1, 1], [1, 1], [1, 0], [0, 0], [1, 0], [0, 0]], bool)
    labels = np.array([0, 0, 0, 0, 1, 1])
    variance = (np.var([1, 1, 0.5, 0], ddof=1) / 4 + np.var([0.5, 0], ddof=1) / 2) / 4
    mean = (0.625 + 0.25) / 2
    size = mean * (1 - mean) / variance
    assert 4 < size < 12
    assert balanced_interval(correct, labels) == pytest.approx((mean, *wilson(mean * size, size)), abs=1e-12)


@pytest.mark.parametrize("value", [False, True])
def test_where_all_or_none_are_right_the_smallest_class_tells_how_much_is_known(value):
    correct, labels = np.full((23, 4), value), np.repeat([0, 1], [20, 3])
    assert balanced_interval(correct, labels) == pytest.approx((float(value), *wilson(6 * value, 6)), abs=1e-12)


def test_a_class_of_one_image_leaves_only_the_least_to_be_known():
    correct = np.array([[True, True], [True, False], [False, False], [True, True]])
    assert balanced_interval(correct, np.arange(4))[1:] == pytest.approx(wilson(2.5, 4), abs=1e-12)


def test_slides_widen_the_interval_of_balanced_accuracy():
    generator = np.random.default_rng(0)
    clusters = np.arange(400) % 20
    correct = generator.random((400, 2)) < generator.beta(2, 1, 20)[clusters][:, None]
    labels = generator.integers(3, size=400)
    alone, together = (balanced_interval(correct, labels, clusters=known) for known in (None, clusters))
    assert alone[0] == together[0]
    assert together[2] - together[1] > 1.5 * (alone[2] - alone[1])


# slides


def test_images_that_repeat_their_slide_count_as_their_slide():
    slides = np.random.default_rng(0).random(40) < 0.7
    correct, clusters = np.repeat(slides, 10)[:, None], np.repeat(np.arange(40), 10)
    low, high = accuracy_interval(correct, clusters=clusters)[1:]
    assert (low, high) == pytest.approx(wilson(slides.sum(), 40), abs=0.02)
    assert high - low > 2.5 * np.diff(accuracy_interval(correct)[1:])


def test_where_each_slide_has_one_image_slides_change_little():
    correct = np.random.default_rng(0).random((300, 3)) < 0.8
    assert accuracy_interval(correct, clusters=np.arange(300)) == pytest.approx(accuracy_interval(correct), abs=0.002)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_at_zero_and_one_the_slides_count_not_the_images(value):
    alone = mean_interval(np.full(100, value), clusters=np.repeat(np.arange(10), 10))
    assert alone[2] - alone[1] > np.diff(wilson(10 * value, 10))[0]


def test_the_interval_by_slide_by_hand():
    # slides of 3, 2, 2, 2 and 1 images with 3, 0, 1, 2 and 1 right; the bound of five sums is 5 t² / (t² + 4)
    correct = np.array([1, 1, 1, 0, 0, 1, 0, 1, 1, 1], float)
    clusters = np.array([0, 0, 0, 1, 1, 2, 2, 3, 3, 4])
    p, errors = 0.7, np.array([3 - 2.1, 0 - 1.4, 1 - 1.4, 2 - 1.4, 1 - 0.7]) / 10
    shares = np.array([0.3, 0.2, 0.2, 0.2, 0.1])
    square = t.ppf(0.975, 4) ** 2
    largest = 5 * square / (square + 4)
    wider = largest / (1 - largest * (shares**2).sum())
    variance = (errors**2).sum() + 0.3**2 * (0.7**2 + 0.3**2) * (shares**2).mean()
    size = p * (1 - p) / variance * norm.ppf(0.975) ** 2 / wider
    assert mean_interval(correct, clusters=clusters) == pytest.approx((p, *wilson(p * size, size)))


def test_of_equal_slides_the_widening_is_students():
    square = t.ppf(0.975, 11) ** 2
    assert slides.widening(np.full(12, 7.0), 0.95) == pytest.approx(square * 12 / 11)


def test_the_test_by_slide_is_students_test_of_their_sums():
    sums = np.random.default_rng(0).normal(0.4, 1, 15)
    assert slides.tail(sums, 0.0) == pytest.approx(ttest_1samp(sums, 0, alternative="greater").pvalue)


@pytest.mark.parametrize("few", [np.zeros(100), np.arange(100) % 3, np.repeat(range(12), [89, *[1] * 11])])
def test_too_few_slides_are_refused(few):
    correct, labels = np.arange(100)[:, None] % 3 > 0, np.arange(100) % 2
    logits = np.random.default_rng(0).normal(size=(100, 1, 2))
    for mean, low, high in (
        accuracy_interval(correct, clusters=few),
        mean_interval(np.ones(100), clusters=few),
        balanced_interval(correct, labels, clusters=few),
        auroc_interval(logits, labels, clusters=few),
        paired_difference(correct, ~correct, clusters=few),
        kept_interval(correct[:, 0] * 0.5, np.ones(100), (1, 1), clusters=few),
    ):
        assert np.isfinite(mean)
        assert np.isnan([low, high]).all()
    assert np.isnan([paired_test(correct, ~correct, few), paired_test(correct, ~correct, few, "greater")]).all()
    assert np.isnan(detectable(correct, ~correct, 0.05, few))


def test_a_class_on_one_slide_is_seen_beside_the_others():
    generator = np.random.default_rng(0)
    labels, clusters = np.repeat([0, 1], [300, 60]), np.r_[np.arange(300) % 12, np.full(60, 12)]
    correct = generator.random((360, 1)) < np.where(labels, 0.2, 0.8)[:, None]
    low, high = balanced_interval(correct, labels, clusters=clusters)[1:]
    assert np.isnan([low, high]).all()  # half of the balanced accuracy rests on one slide
    labels = np.r_[labels % 1 + np.arange(360) // 30]  # twelve classes, of which two are on one slide alone
    low, high = balanced_interval(correct, labels, clusters=clusters)[1:]
    assert 0 < low < high < 1


def test_the_winner_by_slide_is_who_the_interval_says():
    generator = np.random.default_rng(0)
    clusters = np.arange(200) % 14
    for shift in np.linspace(0, 0.3, 40):
        chances = generator.beta(3, 2, 14)
        a, b = (generator.random((200, 2)) < np.clip(chances + by, 0, 1)[clusters][:, None] for by in (0, shift))
        _, low, high = paired_difference(a, b, clusters=clusters)
        assert (low <= 0 <= high) == (paired_test(a, b, clusters) > 0.05)


# what is kept


def test_kept_of_a_clean_accuracy_of_one_is_about_the_accuracy_under_attack():
    attacked = (np.arange(4000) % 10 < 3).astype(float)
    share, low, high = kept_interval(attacked, np.ones(4000), (1, 1))
    assert share == 0.3
    assert (low, high) == pytest.approx(mean_interval(attacked)[1:], abs=0.002)


@pytest.mark.parametrize(("right", "defined"), [(0, False), (5, False), (12, True), (100, True)])
def test_kept_is_undefined_where_the_clean_accuracy_is_not_clearly_above_zero(right, defined):
    clean = (np.arange(200) < right).astype(float)
    share, low, high = kept_interval(clean / 2, clean, (2, 1))
    assert np.isnan(share) == (right == 0)
    assert np.isfinite([low, high]).all() == defined
    if defined:
        assert low < 0.5 < high


def test_a_defence_that_loses_nothing_keeps_everything():
    right = (np.random.default_rng(0).random(500) < 0.8).astype(float)
    share, low, high = kept_interval(right, right, (1, 1))
    assert (share, low, high) == pytest.approx((1, 1, 1), abs=0.01)
    assert kept_interval(np.zeros(500), right, (1, 1))[:2] == (0, 0)


# what could have been seen


@pytest.mark.parametrize(("count", "level"), [(12, 0.05), (40, 0.05), (500, 0.05), (500, 0.001)])
def test_the_detectable_difference_is_that_of_students_test_by_statsmodels(count, level):
    generator = np.random.default_rng(count)
    a, b = generator.random((2, count, 400)) < 0.6
    found = detectable(a, b, level)
    effect = TTestPower().solve_power(nobs=count, alpha=level, power=0.8)
    assert found == pytest.approx(effect * (b.mean(axis=1) - a.mean(axis=1)).std(ddof=1), rel=0.01)


@pytest.mark.parametrize("discordance", [0.05, 0.1, 0.2])
@pytest.mark.parametrize("images", [500, 2000])
def test_a_planned_difference_is_found_four_times_in_five(discordance, images):
    difference = planned(images, discordance, 0.05)
    generator = np.random.default_rng(0)
    by_a, by_b, _ = generator.multinomial(
        images, [(discordance - difference) / 2, (discordance + difference) / 2, 1 - discordance], 4000
    ).T
    p = 2 * binom.cdf(np.minimum(by_a, by_b), by_a + by_b, 0.5)
    assert np.mean(p <= 0.05) == pytest.approx(0.8, abs=0.05)


def test_planned_differences_are_those_of_the_reference():
    assert [round(100 * planned(1000, share, 0.05), 1) for share in (0.05, 0.1, 0.2)] == [2.0, 2.8, 3.9]


def test_the_module_is_cheap_to_import():
    code = "import sys, assay.evaluation.statistics.paired, assay.evaluation.statistics.multiple; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"scipy", "pandas", "torch"} & set(done.stdout.split())
