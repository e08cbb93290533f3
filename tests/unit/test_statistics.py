import subprocess
import sys

import numpy as np
import pytest
from scipy.stats import binomtest
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from assay.evaluation.statistics import (
    accuracy_interval,
    majority,
    mcnemar,
    paired_difference,
    unpaired_difference,
    wilson,
)


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


def test_majority_of_one_draw_is_its_prediction():
    logits = np.random.default_rng(0).normal(size=(50, 1, 4))
    assert np.array_equal(majority(logits), logits[:, 0].argmax(axis=-1))


# paired comparisons


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 0), (0, 1), (3, 3), (10, 2), (0, 20), (7, 30)])
def test_mcnemar_equals_statsmodels(only_a, only_b):
    both, neither = 40, 5
    a = np.repeat([True, True, False, False], [both, only_a, only_b, neither])
    b = np.repeat([True, False, True, False], [both, only_a, only_b, neither])
    expected = statsmodels_mcnemar([[both, only_a], [only_b, neither]], exact=True).pvalue if only_a + only_b else 1.0
    assert mcnemar(a, b) == pytest.approx(expected, abs=1e-12)
    assert mcnemar(b, a) == pytest.approx(expected, abs=1e-12)


def test_mcnemar_by_hand():
    # five discordant images, all won by b: 2 * (1/2)^5
    assert mcnemar(np.zeros(5, bool), np.ones(5, bool)) == pytest.approx(1 / 16)


def test_mcnemar_refuses_several_draws():
    with pytest.raises(ValueError, match="one verdict an image"):
        mcnemar(np.ones((3, 2), bool), np.ones((3, 2), bool))


def test_a_cell_does_not_differ_from_itself():
    correct = np.random.default_rng(0).random((50, 3)) < 0.5
    assert paired_difference(correct, correct, seed=0) == (0.0, 0.0, 0.0)


def test_paired_difference_has_a_sign_a_seed_and_any_numbers_of_draws():
    a, b = np.zeros((40, 1), bool), np.repeat([[True, True, False], [False, False, False]], 20, axis=0)
    difference, low, high = paired_difference(a, b, seed=1)
    assert difference == pytest.approx(1 / 3)
    assert 0 < low < 1 / 3 < high
    assert paired_difference(a, b, seed=1) == (difference, low, high)
    assert paired_difference(b, a, seed=1)[0] == pytest.approx(-difference)


def test_paired_interval_is_that_of_the_plain_bootstrap():
    generator = np.random.default_rng(3)
    a, b = simulate(generator, 300, 3, 0.6, 1.0), simulate(generator, 300, 2, 0.7, 1.0)
    by_image = b.mean(axis=1) - a.mean(axis=1)
    means = by_image[generator.integers(300, size=(20_000, 300))].mean(axis=1)
    _, low, high = paired_difference(a, b, seed=0, resamples=20_000)
    assert (low, high) == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.004)


def test_the_paired_interval_covers_the_truth_and_uses_the_pairing():
    def pair(generator):
        chances = generator.beta(0.7, 0.3, size=(256, 1))
        a = generator.random((256, 3)) < chances
        b = generator.random((256, 3)) < 0.9 * chances
        return a, b

    found = coverage(lambda both: paired_difference(*both, seed=0, resamples=1000)[1:], -0.1 * 0.7, pair, repeats=1000)
    assert 0.93 <= found <= 0.985

    a, b = pair(np.random.default_rng(5))
    _, low, high = paired_difference(a, b, seed=0)
    widths = [interval[2] - interval[1] for interval in (accuracy_interval(a), accuracy_interval(b))]
    assert high - low < 0.8 * np.hypot(*widths)


def test_another_seed_gives_another_resampling():
    a, b = (np.random.default_rng(seed).random((200, 5)) < 0.5 for seed in (0, 1))
    assert paired_difference(a, b, seed=0) != paired_difference(a, b, seed=1)


def test_other_images_are_refused():
    with pytest.raises(ValueError, match="not the same images: 3 against 4"):
        paired_difference(np.ones((3, 1), bool), np.ones((4, 1), bool), seed=0)


@pytest.mark.parametrize(("right_a", "right_b"), [(70, 80), (100, 100), (0, 12), (40, 10)])
def test_unpaired_interval_equals_statsmodels_newcombe(right_a, right_b):
    a, b = ((right / trials, *wilson(right, trials)) for right, trials in ((right_a, 100), (right_b, 200)))
    expected = confint_proportions_2indep(right_b, 200, right_a, 100, method="newcomb", compare="diff")
    assert unpaired_difference(a, b)[1:] == pytest.approx(expected, abs=1e-12)


def test_the_module_is_cheap_to_import():
    code = "import sys, assay.evaluation.statistics; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"scipy", "pandas", "torch"} & set(done.stdout.split())
