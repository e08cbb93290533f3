"""The test images that an attack is made on where it is not made on all of them."""

from __future__ import annotations

import numpy as np
import torch

from assay.noise import derive_seed, image_key, normal
from assay.stacks import Stack


def chosen_images(stack: Stack, count: int | None, seed: int) -> Stack:
    """The stack, or `count` of its images in their order.

    Each class has its share of them. The seed puts the images of a class in an order, and the first ones are taken: so
    what is drawn does not depend on the attack, and a smaller number of images is part of a larger one.
    """
    if count is None or count >= len(stack):
        return stack
    return stack.at(chosen_rows(stack.ids, stack.labels, count, seed))


def chosen_rows(ids: list[str], labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """`count` rows, ascending: those that come first when every class is spread evenly over the order."""
    keys = torch.tensor([image_key(image) for image in ids])
    lots = normal(derive_seed(seed, "attack", "images"), keys, torch.zeros_like(keys), 0, (1,), keys.device)[:, 0]
    places = np.empty(len(ids))
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        in_order = members[np.argsort(lots[members].numpy(), kind="stable")]
        places[in_order] = (np.arange(len(members)) + 0.5) / len(members)
    return np.sort(np.lexsort((lots.numpy(), places))[:count])
