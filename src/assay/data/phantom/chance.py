"""What chance decides, as pure functions of (seed, split, image id)."""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np


def key(purpose: str, seed: int, split: str, number: int) -> int:
    """128 bits that follow from the arguments alone."""
    text = f"{purpose}/{seed}/{split}/{number}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "little")


def generator(purpose: str, seed: int, split: str, number: int) -> np.random.Generator:
    """Random numbers that follow from the arguments alone."""
    return np.random.Generator(np.random.Philox(key=key(purpose, seed, split, number)))


def dealt(purpose: str, seed: int, split: str, image_id: int, classes: int) -> int:
    """The class of an image: of the ids c·k … c·k + c-1, c classes, each class has one; which, chance decides."""
    hand, place = divmod(image_id, classes)
    return _hand(purpose, seed, split, hand, classes)[place]


@lru_cache(maxsize=64)
def _hand(purpose: str, seed: int, split: str, hand: int, classes: int) -> tuple[int, ...]:
    return tuple(generator(purpose, seed, split, hand).permutation(classes).tolist())
