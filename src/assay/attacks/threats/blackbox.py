"""The threat `blackbox`: the answers of the defended classifier, averaged over fresh draws, and no gradient."""

from __future__ import annotations

import torch
from torch import Tensor

from assay.attacks.threats.defended import Expected, expected, load_purify
from assay.inputs import Inputs
from assay.noise import StepNoise
from assay.purifiers.purifier import Purify
from assay.study.attacks import AttackSpec


def without_gradient(purify: Purify) -> Purify:
    """The purifier as a query sees it."""

    @torch.no_grad()
    def answer(x: Tensor, noise: StepNoise) -> Tensor:
        return purify(x, noise)

    return answer


def build(spec: AttackSpec, inputs: Inputs) -> Expected:
    purify = load_purify(spec, inputs)
    victim = expected(spec, inputs, without_gradient(purify), purify)
    victim.attacked.votes = victim.judged.votes  # what is seen are answers
    return victim
