"""Noise is a pure function of (seed, image, draw, step), normal, and independent across all four."""

import pytest
import torch

from assay.noise import MASK, derive_seed, image_key, normal, philox, step_noise

SHAPE = (3, 24, 24)


def words(value: int, key: int) -> list[str]:
    counter = torch.full((1,), value, dtype=torch.int64)
    return [f"{int(word):08x}" for word in philox((counter, counter, counter, counter), (key, key))]


def test_philox_gives_the_known_answers() -> None:
    assert words(0, 0) == ["6627e8d5", "e169c58d", "bc57ac4c", "9b00dbd8"]
    assert words(MASK, MASK) == ["408f276d", "41c83b0e", "a20bc7c6", "6d5451fd"]


def test_philox_gives_the_known_answer_for_the_digits_of_pi() -> None:
    counter = tuple(torch.tensor([word]) for word in (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344))
    found = [int(word) for word in philox(counter, (0xA4093822, 0x299F31D0))]
    assert found == [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]


def test_the_counter_is_step_and_block_draw_and_key() -> None:
    seed, key, draw, step, shape = 0xA4093822_299F31D0, 0x13198A2E_03707344, 0xFFFFFFFE, 0xABC, (3, 4, 4)
    blocks = torch.arange(12)
    counter = ((step << 20) + blocks, *(torch.full((12,), word) for word in (draw, 0x03707344, 0x13198A2E)))
    uniform = [(word.double() + 0.5) / 2**32 for word in philox(counter, (0x299F31D0, 0xA4093822))]
    radius = [(-2 * value.log()).sqrt() for value in uniform[::2]]
    angle = [2 * torch.pi * value for value in uniform[1::2]]
    values = [f(angle[i]) * radius[i] for i in (0, 1) for f in (torch.cos, torch.sin)]
    assert torch.allclose(normal(seed, [key], [draw], step, shape).double(), torch.stack(values, 1).view(1, *shape))


def test_noise_is_standard_normal() -> None:
    from scipy.stats import kstest

    values = normal(1, range(64), [0] * 64, 0, SHAPE).flatten().numpy()
    assert kstest(values, "norm").pvalue > 0.01
    assert abs(values.mean()) < 4 / len(values) ** 0.5
    assert abs(values.std() - 1) < 4 / (2 * len(values)) ** 0.5


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 2},
        {"keys": [8]},
        {"keys": [7 + (1 << 32)]},
        {"draws": [1]},
        {"draws": [1 << 16]},
        {"draws": [(1 << 32) - 1]},
        {"step": 1},
        {"step": 4095},
    ],
)
def test_noise_is_independent_across_seeds_images_draws_and_steps(other: dict) -> None:
    place = {"seed": 1, "keys": [7], "draws": [0], "step": 0, "shape": (3, 64, 64)}
    pair = torch.stack([normal(**place).flatten(), normal(**(place | other)).flatten()])
    assert abs(torch.corrcoef(pair)[0, 1]) < 4 / pair.shape[1] ** 0.5


def test_values_within_an_image_are_uncorrelated() -> None:
    values = normal(3, [5], [0], 0, (3, 96, 96)).flatten()
    for lag in (1, 2, 3, 4, 96, 96 * 96):
        assert abs((values[lag:] * values[:-lag]).mean()) < 4 / (len(values) - lag) ** 0.5


def test_noise_does_not_depend_on_batch_or_order() -> None:
    keys, draws = [3, 1, 4, 15, 9], [0, 2, 1, 0, 4294967295]
    together = normal(11, keys, draws, 3, SHAPE)
    for place in (4, 0, 2, 1, 3):
        assert torch.equal(together[place], normal(11, [keys[place]], [draws[place]], 3, SHAPE)[0])


def test_noise_of_a_larger_image_begins_with_that_of_a_smaller_one() -> None:
    assert torch.equal(normal(1, [2], [0], 0, (5,))[0], normal(1, [2], [0], 0, (3, 8, 8)).flatten()[:5])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU to compare with")
def test_noise_is_the_same_on_the_gpu() -> None:
    assert torch.equal(normal(1, [1, 2], [0, 1], 0, SHAPE, "cuda").cpu(), normal(1, [1, 2], [0, 1], 0, SHAPE))


def test_what_the_counter_cannot_hold_is_refused() -> None:
    for draw in (1 << 32, -1):
        with pytest.raises(ValueError, match=r"outside 0\.\.4294967295"):
            normal(1, [1, 2], [0, draw], 0, SHAPE)
    for step in (1 << 12, -1):
        with pytest.raises(ValueError, match=r"outside 0\.\.4095"):
            normal(1, [1], [0], step, SHAPE)
    with pytest.raises(ValueError, match="4194304 at most"):
        normal(1, [1], [0], 0, (3, 1183, 1183))


def test_no_images_have_no_noise() -> None:
    assert normal(1, [], [], 0, SHAPE).shape == (0, *SHAPE)


def test_step_noise_is_shaped_like_the_images() -> None:
    noise = step_noise(1, [1, 2], [0, 0], torch.zeros(2, 3, 8, 8))
    assert noise(0).shape == (2, 3, 8, 8)
    assert not torch.equal(noise(0), noise(1))


def test_step_noise_at_another_size_is_of_the_same_realisation() -> None:
    noise = step_noise(1, [1, 2], [0, 5], torch.zeros(2, 3, 8, 8))
    other = noise.like(torch.zeros(2, 3, 12, 12, dtype=torch.float64))(3)
    assert torch.equal(other, normal(1, [1, 2], [0, 5], 3, (3, 12, 12)).double())
    assert torch.equal(noise(3), normal(1, [1, 2], [0, 5], 3, (3, 8, 8)))


def test_purposes_and_ids_have_their_own_seeds_and_keys() -> None:
    assert derive_seed(0, "attack") != derive_seed(0, "purify") != derive_seed(1, "purify")
    assert len({image_key(f"test-{index:06d}") for index in range(10000)}) == 10000
    assert all(0 <= image_key(name) < 1 << 63 for name in ("a", "b", "c"))
