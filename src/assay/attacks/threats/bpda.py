"""The threat `bpda`: purify forward, the identity backward (Athalye et al. 2018), averaged over fresh draws.

It finds the way past a purifier whose own gradient is masked: zero, or of no use.
"""

from __future__ import annotations

import torch
from torch import Tensor

from assay.attacks.threats.defended import Expected, expected, load_purify
from assay.inputs import Inputs
from assay.noise import StepNoise
from assay.purifiers.purifier import Purify
from assay.study.attacks import AttackSpec


def straight_through(purify: Purify) -> Purify:
    """The purifier with the identity's gradient in place of its own."""

    def through(x: Tensor, noise: StepNoise) -> Tensor:
        with torch.no_grad():
            purified = purify(x, noise)
        return purified + (x - x.detach())

    return through


def build(spec: AttackSpec, inputs: Inputs) -> Expected:
    purify = load_purify(spec, inputs)
    return expected(spec, inputs, straight_through(purify), purify)
