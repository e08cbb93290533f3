"""Resizing as a matrix on either side of an image: linear, differentiable, deterministic, of a known operator norm.

A bicubic resize with antialiasing is separable: x -> A x B^T with one matrix for the rows and one for the columns. As
products of matrices it has the same gradient on every device, and its operator norm is |A| |B|, their largest singular
values.
"""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from torch import Tensor

Sides = tuple[int, int]  # height and width, in pixels


def resize(x: Tensor, sides: Sides) -> Tensor:
    """Images (n, 3, h, w) at other sides (n, 3, *sides); themselves where they have these."""
    if tuple(x.shape[2:]) == sides:
        return x
    rows, columns = (_matrix_on(*each, x.device, x.dtype) for each in zip(x.shape[2:], sides, strict=True))
    return rows @ x @ columns.T


def resize_norm(before: Sides, after: Sides) -> float:
    """The most that the resize stretches the L2 length of a change of the image; 1 where the sides are the same."""
    if before == after:
        return 1.0
    rows, columns = (torch.linalg.matrix_norm(matrix(*lengths), 2) for lengths in zip(before, after, strict=True))
    return float(rows * columns)


# Matrices are kept for calls that may follow a gradient, so they are made as if outside torch.inference_mode.


@functools.cache
@torch.inference_mode(False)
def _matrix_on(before: int, after: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """The matrix where it is used, so that it is not copied there anew for each batch."""
    return matrix(before, after).to(device, dtype)


@functools.cache
@torch.inference_mode(False)
def matrix(before: int, after: int) -> Tensor:
    """The matrix (after, before), float64, of a bicubic resize with antialiasing along one side."""
    identity = torch.eye(before, dtype=torch.float64, device="cpu")[None, None]
    return F.interpolate(identity, size=(after, before), mode="bicubic", antialias=True)[0, 0]
