"""Random changes of training images by torchvision's transforms: functions of (seed, step, place in the batch)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from types import ModuleType

import torch
from torch import Tensor

from assay.networks.libraries import import_library
from assay.study.training import AnyAugmentation, Colour, Crop, ResizedCrop
from assay.training.draws import uniform

TRIES = 10  # for a part of the wanted area and aspect ratio that lies inside the image
LARGEST_RATIO = 4 / 3


def augment(images: Tensor, augmentations: Sequence[AnyAugmentation], seed: int, step: int, places: Tensor) -> Tensor:
    """Images uint8 (n, 3, h, w), changed in the order of the augmentations; `places` (n,) are theirs in the batch."""
    for index, augmentation in enumerate(augmentations):
        apply, values = CHANGES[augmentation.method]
        drawn = uniform(seed, places, (values,), "augment", index, step)
        images = apply(_functional(), images, drawn, augmentation)
    return images


def _flip_lr(functional: ModuleType, images: Tensor, drawn: Tensor, _: AnyAugmentation) -> Tensor:
    return torch.where(_column(drawn) < 0.5, functional.horizontal_flip(images), images)


def _flip_ud(functional: ModuleType, images: Tensor, drawn: Tensor, _: AnyAugmentation) -> Tensor:
    return torch.where(_column(drawn) < 0.5, functional.vertical_flip(images), images)


def _crop(functional: ModuleType, images: Tensor, drawn: Tensor, crop: Crop) -> Tensor:
    height, width = images.shape[2:]
    padded = functional.pad(images, [crop.padding])
    corners = (drawn * (2 * crop.padding + 1)).long().tolist()
    return torch.stack(
        [functional.crop(image, *corner, height, width) for image, corner in zip(padded, corners, strict=True)]
    )


def _resized_crop(functional: ModuleType, images: Tensor, drawn: Tensor, crop: ResizedCrop) -> Tensor:
    height, width = images.shape[2:]
    changed = []
    for image, values in zip(images, drawn.tolist(), strict=True):
        h, w = _part(height, width, crop.scale, values[2:])
        top, left = int(values[0] * (height - h + 1)), int(values[1] * (width - w + 1))
        changed.append(functional.resized_crop(image, top, left, h, w, [height, width], antialias=True))
    return torch.stack(changed)


def _part(height: int, width: int, scale: tuple[float, float], values: Sequence[float]) -> tuple[int, int]:
    """Height and width of the first try that fits; of the whole image if none does."""
    reach = math.log(LARGEST_RATIO)
    for area, ratio in zip(values[:TRIES], values[TRIES:], strict=True):
        pixels = height * width * (scale[0] + area * (scale[1] - scale[0]))
        aspect = math.exp((2 * ratio - 1) * reach)
        h, w = round(math.sqrt(pixels / aspect)), round(math.sqrt(pixels * aspect))
        if 0 < h <= height and 0 < w <= width:
            return h, w
    return height, width


def _colour(functional: ModuleType, images: Tensor, drawn: Tensor, colour: Colour) -> Tensor:
    changes: list[tuple[Callable[..., Tensor], float, float]] = [
        (functional.adjust_brightness, 1, colour.brightness),
        (functional.adjust_contrast, 1, colour.contrast),
        (functional.adjust_saturation, 1, colour.saturation),
        (functional.adjust_hue, 0, colour.hue),
    ]
    orders = drawn[:, len(changes) :].argsort(dim=1).tolist()
    changed = []
    for image, values, order in zip(images, drawn.tolist(), orders, strict=True):
        for which in order:
            change, centre, reach = changes[which]
            if reach:
                image = change(image, centre + (2 * values[which] - 1) * reach)
        changed.append(image)
    return torch.stack(changed)


# By method: how to apply it, and how many random values an image takes for it.
CHANGES: dict[str, tuple[Callable[[ModuleType, Tensor, Tensor, AnyAugmentation], Tensor], int]] = {
    "flip_lr": (_flip_lr, 1),
    "flip_ud": (_flip_ud, 1),
    "crop": (_crop, 2),
    "resized_crop": (_resized_crop, 2 + 2 * TRIES),
    "colour": (_colour, 8),
}


def _column(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)


def _functional() -> ModuleType:
    return import_library("torchvision.transforms.v2.functional")
