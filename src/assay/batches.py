"""Batches at fixed boundaries of the image order, the last one padded: a split or resumed run has the same batches."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from assay.files import AssayError
from assay.noise import image_key
from assay.stacks import Stack


@dataclass(frozen=True)
class Batch:
    """One batch on the device: images (batch, 3, h, w) in [0,1], labels, noise keys; the first `size` are real."""

    images: Tensor
    labels: Tensor
    keys: Tensor
    size: int


@dataclass(frozen=True)
class Part:
    """Part `index` (from 1) of `parts` equal parts of a stack's batches: what one job of several computes."""

    index: int
    parts: int

    def batches(self, count: int) -> range:
        """The part's batches among `count`."""
        return range(count * (self.index - 1) // self.parts, count * self.index // self.parts)


def parse_part(text: str) -> Part:
    """`3-of-10` as a part."""
    try:
        part = Part(*map(int, text.split("-of-")))
    except (ValueError, TypeError):
        raise AssayError(f"--part: '{text}' is no part; write 3-of-10") from None
    if not 1 <= part.index <= part.parts:
        raise AssayError(f"--part: there is no part {part.index} of {part.parts}")
    return part


def batch_count(stack: Stack, batch_size: int) -> int:
    """How many batches a stack is cut into."""
    return -(-len(stack.table) // batch_size)


def load_batch(stack: Stack, index: int, batch_size: int, device: torch.device) -> Batch:
    """Batch `index` of a stack. Padding repeats the last image, so that every batch has one shape."""
    rows = list(range(index * batch_size, min((index + 1) * batch_size, len(stack.table))))
    padded = rows + [rows[-1]] * (batch_size - len(rows))
    images = torch.from_numpy(stack.pixels(rows[0], rows[-1] + 1))[[row - rows[0] for row in padded]]
    labels = torch.from_numpy(stack.labels[padded].astype("int64"))
    keys = torch.tensor([image_key(stack.ids[row]) for row in padded])
    return Batch(images.to(device), labels.to(device), keys.to(device), len(rows))


def folder_name(path: Path, depth: int) -> str:
    """The last `depth` parts of a path, as a label of progress."""
    return "/".join(path.parts[-depth:])
