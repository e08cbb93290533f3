"""Random directions that lie in one frequency band of one colour: the strata in which a gradient is looked at.

A gradient may lack just its coarse part, or one colour. Directions drawn from all of the space hardly see the coarse
part, which has few dimensions; a stratum of its own shows it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

EDGES = (0, 4, 8, 16)  # where bands begin, in half waves along a side; the last one ends at the finest waves


class Stratum(NamedTuple):
    """A band of frequencies, by its place among EDGES, of one colour."""

    band: int
    colour: int


def strata(shape: torch.Size) -> list[Stratum]:
    """The strata of images (n, colours, h, w): bands that such small images do not have are left out."""
    bands = [band for band, edge in enumerate(EDGES) if edge < max(shape[2:])]
    return [Stratum(band, colour) for band in bands for colour in range(shape[1])]


def band_names(shape: torch.Size) -> dict[int, str]:
    """What a sentence calls the bands of images (n, colours, h, w)."""
    ends = [*EDGES[1:], max(shape[2:])]
    return {
        band: f"{EDGES[band]} to {min(ends[band], max(shape[2:]))} half waves a side"
        for band in sorted({stratum.band for stratum in strata(shape)})
    }


def directions(stratum: Stratum, shape: torch.Size, generator: torch.Generator, like: Tensor) -> Tensor:
    """A standard normal point (n, colours, h, w) of the stratum's subspace, for each image."""
    images, colours, height, width = shape
    coefficients = torch.randn((images, height, width), generator=generator) * within(stratum.band, height, width)
    waves = cosines(height).T @ coefficients @ cosines(width)
    found = torch.zeros(images, colours, height, width)
    found[:, stratum.colour] = waves
    return found.to(like)


def part(values: Tensor, stratum: Stratum) -> Tensor:
    """The energy (n,) that values (n, colours, h, w) have in a stratum."""
    height, width = values.shape[2:]
    one = values[:, stratum.colour].double().cpu()
    coefficients = cosines(height).double() @ one @ cosines(width).double().T
    return (coefficients**2 * within(stratum.band, height, width)).sum((1, 2)).to(values)


def within(band: int, height: int, width: int) -> Tensor:
    """Which coefficients (h, w) of a cosine transform belong to a band: those whose faster wave does."""
    faster = torch.maximum(torch.arange(height)[:, None], torch.arange(width)[None])
    end = EDGES[band + 1] if band + 1 < len(EDGES) else math.inf
    return ((faster >= EDGES[band]) & (faster < end)).float()


def cosines(size: int) -> Tensor:
    """The orthonormal cosine transform (size, size) of type II: a row a wave."""
    waves = torch.arange(size)[:, None] * (torch.arange(size)[None] + 0.5) * (math.pi / size)
    scale = torch.full((size, 1), math.sqrt(2 / size))
    scale[0] = math.sqrt(1 / size)
    return scale * torch.cos(waves)


def each(shape: torch.Size, count: int, seed: int, like: Tensor) -> Iterator[tuple[Stratum, Tensor]]:
    """So many directions (n, colours, h, w) of every stratum, in turn."""
    generator = torch.Generator().manual_seed(seed)
    for stratum in strata(shape):
        for _ in range(count):
            yield stratum, directions(stratum, shape, generator, like)
