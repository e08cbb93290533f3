"""Training images, step by step: read and augmented in worker processes where that pays, as uint8."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from assay.files import AssayError
from assay.stacks import Images, Stack
from assay.study.training import Recipe
from assay.training.augmentation import augment
from assay.training.draws import generator
from assay.training.ranks import Ranks

MOST_WORKERS = 8

Loaded = tuple[Tensor, Tensor, Tensor]


class Batches(Dataset):
    """By step: images uint8 (n, 3, h, w), labels (n,) and places in the whole batch (n,) of a rank's share."""

    def __init__(self, images: Images, recipe: Recipe, seed: int, ranks: Ranks) -> None:
        self.images = images
        self.labels = torch.from_numpy(images.labels.astype("int64"))
        self.recipe = recipe
        self.seed = seed
        self.ranks = ranks
        self.size = min(recipe.batch_size, len(self.labels))  # of a whole batch
        self.per_epoch = recipe.steps_per_epoch(len(self.labels))
        if self.size < ranks.size * recipe.accumulate:
            raise AssayError(
                f"images.train: {self.size} images cannot be shared by {ranks.size * recipe.accumulate} ranks and "
                "parts; train on more images"
            )

    def __getitem__(self, step: int) -> Loaded | AssayError:
        places = self.ranks.share(torch.arange(self.size))
        rows = self.rows(step)[places]
        try:
            stored = self.images.rows(rows.numpy())
        except AssayError as error:
            return error  # raised in a worker, it would come out with the worker's traceback
        images = torch.from_numpy(np.ascontiguousarray(stored.transpose(0, 3, 1, 2)))
        return augment(images, self.recipe.augment, self.seed, step, places), self.labels[rows], places

    def rows(self, step: int) -> Tensor:
        """The rows of a step's whole batch: whole batches of one permutation of all images after another."""
        epoch, place = divmod(step, self.per_epoch)
        return _order(len(self.labels), self.seed, epoch)[place * self.size : (place + 1) * self.size]

    def load(self, first: int, stop: int, device: torch.device, workers: int | None = None) -> Iterator[Loaded]:
        """The shares of the steps first..stop-1."""
        loader = DataLoader(
            self,
            batch_size=None,
            sampler=range(first, stop),
            num_workers=useful_workers(self.images, device) if workers is None else workers,
            pin_memory=device.type == "cuda",
        )
        for loaded in loader:
            if isinstance(loaded, AssayError):
                raise loaded
            yield loaded


@functools.lru_cache(maxsize=2)
def _order(count: int, seed: int, epoch: int) -> Tensor:
    """A permutation of 0..count-1."""
    return torch.randperm(count, generator=generator(seed, "order", epoch))


def useful_workers(images: Images, device: torch.device) -> int:
    """Worker processes that make a training quicker: none where the CPU trains and images need no decoding."""
    on_cpu = device.type == "cpu"
    if on_cpu and isinstance(images, Stack):
        return 0
    cores = len(os.sched_getaffinity(0)) // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return max(0, min(MOST_WORKERS, cores - (torch.get_num_threads() if on_cpu else 1)))
