"""The choice of sigma: the cheapest among those that are as good as the best, as far as the images can tell."""

import numpy as np
import pytest

from assay.evaluation.choice import sweep_table
from assay.evaluation.scores import Scores
from study_tables import logits_of


def scores(right: np.ndarray) -> Scores:
    """Scores whose verdicts (images, draws) are `right`."""
    labels = np.arange(len(right)) % 2
    ids = np.array([f"validation-{index}" for index in range(len(right))])
    return Scores(None, ids, labels, logits_of(right, labels), ["a", "b"])


def share(fraction: float, images: int = 400) -> Scores:
    """Verdicts that are right on the first images, in both draws."""
    return scores(np.repeat(np.arange(images)[:, None] < fraction * images, 2, axis=1))


def sweep(robust: dict[float, float]):
    return sweep_table(list(robust), [share(0.9)] * len(robust), [share(value) for value in robust.values()])


def test_the_smallest_sigma_that_is_not_significantly_below_the_best_is_chosen() -> None:
    table = sweep({0.05: 0.50, 0.1: 0.748, 0.2: 0.75, 0.4: 0.60})
    assert table.loc[table["chosen"] == 1, "sigma"].tolist() == [0.1]
    assert table["equal"].tolist() == [0, 1, 1, 0]


def test_the_best_sigma_itself_is_chosen_where_smaller_ones_are_clearly_worse() -> None:
    table = sweep({0.05: 0.50, 0.1: 0.60, 0.2: 0.75, 0.4: 0.75})
    assert table.loc[table["chosen"] == 1, "sigma"].tolist() == [0.2]


def test_the_order_of_the_sigmas_in_the_config_does_not_matter() -> None:
    shuffled = sweep({0.4: 0.60, 0.1: 0.74, 0.2: 0.75, 0.05: 0.50})
    assert shuffled["sigma"].tolist() == [0.05, 0.1, 0.2, 0.4]
    assert shuffled.equals(sweep({0.05: 0.50, 0.1: 0.74, 0.2: 0.75, 0.4: 0.60}))


def test_fewer_images_leave_more_sigmas_equal_to_the_best() -> None:
    def equal(images: int) -> int:
        rng = np.random.default_rng(1)
        cells = [scores(rng.random((images, 2)) < p) for p in (0.6, 0.65, 0.7, 0.75)]
        return int(sweep_table([0.1, 0.2, 0.3, 0.4], cells, cells)["equal"].sum())

    assert equal(40) > equal(4000)


def test_images_of_one_slide_are_one_witness_and_leave_more_sigmas_equal() -> None:
    robust = {0.1: 0.70, 0.2: 0.75}
    cells = [share(value) for value in robust.values()]
    alone = sweep_table(list(robust), cells, cells)
    together = sweep_table(list(robust), cells, cells, clusters=np.arange(400) // 100)
    assert alone["equal"].tolist() == [0, 1]
    assert together["equal"].tolist() == [1, 1]
    for measure in ("clean", "robust"):
        width = {name: (t[f"{measure}_high"] - t[f"{measure}_low"]) for name, t in (("a", alone), ("t", together))}
        assert (width["t"] > 2 * width["a"]).all()


@pytest.mark.parametrize("seed", range(3))
def test_equal_sigmas_seldom_lose_to_chance(seed: int) -> None:
    """Twelve sigmas that are equally good: the smallest is chosen in nearly every repetition."""
    rng = np.random.default_rng(seed)
    smallest = 0
    for _ in range(40):
        cells = [scores(rng.random((150, 1)) < 0.7) for _ in range(12)]
        table = sweep_table(np.linspace(0.1, 1.2, 12).tolist(), cells, cells)
        smallest += int(table["chosen"].iloc[0])
    assert smallest > 20
