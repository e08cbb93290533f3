"""Input diversity and smoothed gradients: equal to torchattacks' own, and functions of seed and image."""

import numpy as np
import pytest
import torch
import torchattacks
from pydantic import ValidationError
from torch import Tensor, nn

from assay.attacks.methods.method import build_search
from assay.attacks.methods.transferability import Diverse, diverse, smooth
from assay.attacks.threats.transfer import Bare
from assay.attacks.threats.victim import judgement, search_query
from assay.study.attacks import PgdAttack

EPS = 8 / 255
SIDE = 20
PLAIN = {"method": "pgd", "eps": [EPS], "loss": "ce", "steps": 4, "step_size": EPS / 3, "decay": "none"}


def network() -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(3, 6, 5), nn.Tanh(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(96, 4))
    return layers.eval().requires_grad_(False)


def batch(count: int = 5) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.rand(count, 3, SIDE, SIDE), torch.arange(count) % 4, torch.arange(1, count + 1)


@pytest.mark.parametrize(("length", "momentum"), [(15, 0.75), (5, 0.0)])
def test_smoothed_gradients_are_torchattacks_tifgsm(length: int, momentum: float) -> None:
    images, labels, keys = batch()
    attack = PgdAttack(**PLAIN, momentum=momentum, random_start=False, smoothing=length)
    ours = build_search(attack, Bare(network()), 4)(images, labels, keys)
    numbers = {"eps": EPS, "alpha": EPS / 3, "steps": 4, "decay": momentum, "len_kernel": length}
    theirs = torchattacks.TIFGSM(network(), **numbers, diversity_prob=0)(images, labels)
    assert (ours != theirs).float().mean() < 1e-3, "float order may turn the sign of a gradient that is nearly zero"


def test_the_kernel_keeps_a_constant_gradient_within_the_image() -> None:
    found = smooth(torch.ones(1, 3, SIDE, SIDE, dtype=torch.float64), 5)
    assert torch.allclose(found[:, :, 2:-2, 2:-2], torch.ones(1, dtype=torch.float64))
    assert (found[:, :, 0] < 1).all()


@pytest.mark.parametrize(("size", "top", "left"), [(18, 0, 0), (18, 1, 0), (19, 0, 0)])
def test_resized_images_are_torchattacks_difgsm(
    size: int, top: int, left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = torch.rand(1, 3, SIDE, SIDE)
    given = iter([size, top, left])
    monkeypatch.setattr(torch, "randint", lambda *_, **__: torch.tensor([next(given)], dtype=torch.int32))
    theirs = torchattacks.DIFGSM(network(), diversity_prob=1.1).input_diversity(image)
    free = SIDE - size + 1
    coins = torch.tensor([[0.0, (size - 18 + 0.5) / 2, (top + 0.5) / free, (left + 0.5) / free]])
    assert torch.equal(diverse(image, coins, 1.0), theirs)


def test_a_share_of_the_images_is_resized_to_sides_and_places_drawn_evenly() -> None:
    images = torch.ones(400, 3, SIDE, SIDE)
    coins = torch.rand(400, 4, generator=torch.Generator().manual_seed(0))
    found = diverse(images, coins, 0.6)
    changed = (found != images).any(dim=(1, 2, 3))
    assert torch.equal(changed, coins[:, 0] < 0.6)
    sides = found[changed][:, 0].amax(1).sum(1).tolist()
    assert set(sides) == {18, 19}
    assert np.mean(np.array(sides) == 18) == pytest.approx(0.5, abs=0.13)
    first = found[changed][:, 0].amax(2).argmax(1).tolist()
    assert set(first) == {0, 1, 2}


def test_what_a_query_sees_depends_on_seed_image_and_query_alone() -> None:
    seen: list[Tensor] = []

    class Watched(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(x)
            return x.mean((2, 3))

    images, _, keys = batch()
    for rows in (slice(0, 5), slice(2, 4)):
        for number in (0, 1):
            Diverse(Bare(Watched()), 0.9, seed=3)(images[rows], keys[rows], search_query(number, 1))
    assert torch.equal(seen[0][2:4], seen[2])
    assert torch.equal(seen[1][2:4], seen[3])
    assert not torch.equal(seen[0], seen[1])
    Diverse(Bare(Watched()), 0.9, seed=3)(images, keys, judgement("verdict", 1))
    assert torch.equal(seen[-1], images), "judgements see the images as they are"


def test_gradients_flow_through_the_resizing_and_stay_in_the_ball() -> None:
    images, labels, keys = batch()
    attack = PgdAttack(**PLAIN, diversity=1.0, smoothing=3)
    found = build_search(attack, Bare(network()), 4)(images, labels, keys)
    assert (found - images).abs().max() <= EPS + 1e-6
    before, after = (nn.functional.cross_entropy(network()(x), labels) for x in (images, found))
    assert after > before


def test_a_kernel_without_a_middle_is_refused() -> None:
    with pytest.raises(ValidationError, match="smoothing: 4 is even, and has no middle; write 5"):
        PgdAttack(**PLAIN, smoothing=4)
    assert not {"diversity", "smoothing"} & PgdAttack(**PLAIN).model_dump().keys()
