"""Whether the parts of a study fit its images: each function raises a `ValueError` that begins with the key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from assay.study.attacks import AnyAttack
from assay.study.diffusions import AnyDiffusion, Diffusion
from assay.study.evaluation import USUAL_BATCH
from assay.study.fields import SELECTED, Level
from assay.study.images import Images
from assay.study.schedules import noise_levels, signal_shares
from assay.study.sources import KEYS, WHOLE, Split
from assay.study.training import Crop, Recipe

if TYPE_CHECKING:
    from assay.study.model import Study


def check_fit(study: Study) -> None:
    """Refuse a study whose images are too few, too small or of the wrong size for what is done with them."""
    _check_counts(study.images, study.counts)
    _check_batch_size(study.evaluation.batch_size, study.counts)
    _check_attacked(study.attacks, study.evaluation.images)
    for section in ("classifiers", "diffusions"):
        for name, network in getattr(study, section).items():
            if network.kind == "trained":
                _check_training(f"{section}.{name}", network, study.images.size, study.counts["train"])
    for name, diffusion in study.diffusions.items():
        if isinstance(diffusion, Diffusion):
            _check_size(f"diffusions.{name}", diffusion, study.images.size)
    for name, purifier in study.purifiers.items():
        _check_margin(f"purifiers.{name}", getattr(purifier, "margin", 0), study.images.size)


def _check_margin(key: str, margin: int, size: int) -> None:
    """An image is mirrored by fewer pixels than it has."""
    if margin >= size:
        raise ValueError(
            f"{key}.window: the filter reaches {margin} pixels beyond each pixel, and the images (images.size) have "
            f"{size}; lower it"
        )


def check_levels(key: str, sigmas: Sequence[Level], name: str, diffusion: AnyDiffusion) -> None:
    """Refuse a sigma that the noise schedule of a diffusion does not reach."""
    highest = noise_levels(signal_shares(diffusion.schedule, diffusion.time_steps), diffusion.data_range)[-1]
    for sigma in sigmas:
        if sigma != SELECTED and sigma > highest:
            raise ValueError(
                f"{key}: {sigma:g} is above {highest:.4g}, the highest sigma of the noise schedule of diffusion "
                f"'{name}'; lower the sigma, or raise time_steps"
            )


def _check_counts(images: Images, counts: Mapping[Split, int | None]) -> None:
    """Of a data set as published it is known how many images each of its parts has."""
    for part, there in images.held.items():
        splits = [split for split, count in counts.items() if count and images.part(split) == part]
        wanted = sum(counts[split] or 0 for split in splits)
        if wanted > there:
            where = "" if part == WHOLE else f" in its part '{part}'"
            raise ValueError(
                f"{KEYS[splits[0]]}: {wanted} images ({' and '.join(splits)}) are more than the {there} that "
                f"{images.source} has{where}; write fewer"
            )


def _check_batch_size(batch_size: int, counts: Mapping[Split, int | None]) -> None:
    """Batches are padded, so that what is larger than a stack costs memory and time, and gains nothing."""
    largest = max(USUAL_BATCH, counts["test"], counts.get("selection", 0))
    if batch_size > largest:
        raise ValueError(
            f"evaluation.batch_size: {batch_size} is more than there are images, and batches are padded; "
            f"write {largest} or less"
        )


def _check_attacked(attacks: Mapping[str, AnyAttack], images: int) -> None:
    """No attack is made on more images than are tested."""
    for name, attack in attacks.items():
        if attack.images and attack.images > images:
            raise ValueError(
                f"attacks.{name}.images: {attack.images} is more than the {images} test images (evaluation.images); "
                "lower it, or leave it out to attack all of them"
            )


def _check_training(key: str, recipe: Recipe, size: int, images: int | None) -> None:
    """Every rank and part gets images, and no image is padded by more than its own size."""
    if images is not None and min(recipe.batch_size, images) < recipe.parts:
        raise ValueError(
            f"{key}.accumulate: {min(recipe.batch_size, images)} images cannot be shared by {recipe.parts} ranks and "
            "parts; raise images.train and batch_size, or lower accumulate and ranks"
        )
    for index, change in enumerate(recipe.augment):
        if isinstance(change, Crop) and change.padding > size:
            raise ValueError(
                f"{key}.augment.{index}.padding: {change.padding} is more than the images' {size} pixels; lower it"
            )


def _check_size(key: str, diffusion: Diffusion, size: int) -> None:
    """A U-Net halves its images from level to level, and normalises groups of more than one value at the lowest."""
    levels = len(diffusion.channels)
    multiple = 2 ** (levels - 1)
    if size % multiple:
        raise ValueError(
            f"{key}.channels: images of {size} pixels (images.size) cannot be halved {levels - 1} times, as {levels} "
            f"levels do; set images.size to a multiple of {multiple}, or write fewer channels"
        )
    if size == multiple and diffusion.channels[-1] == diffusion.norm_groups:
        raise ValueError(
            f"{key}.norm_groups: images of {size} pixels are one pixel at the lowest of {levels} levels, where each of "
            f"{diffusion.norm_groups} groups is one value; lower norm_groups, or write fewer channels"
        )
