"""What every victim is: images in [0,1] to logits, as the attacker sees and differentiates them.

Each threat is one module, `assay.attacks.threats.<threat>`, with `build(spec, inputs)`; it is
found by name, so that the code fingerprint of a job holds just the threat that the job runs.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from assay.inputs import Inputs
from assay.modules import load
from assay.study.attacks import AttackSpec


class Victim(nn.Module):
    """The module that an attack queries.

    The attack stage announces every batch before attacking it, with `begin`; an attack that goes on with part of the
    batch announces those rows, with `select`.
    """

    stochastic = False  # whether the same query has another answer the next time
    shared = False  # whether its stack is shown to other defences too, so that fooling this victim is not the end
    gradient_queries = forward_queries = 0  # images of the batch that went through, each draw counted

    def begin(self, keys: Tensor) -> None:
        """A new batch begins; `keys` (batch,) are the noise keys of its images."""
        self.keys = keys
        self.gradient_queries = self.forward_queries = 0
        self.select(torch.arange(len(keys), device=keys.device))

    def select(self, rows: Tensor) -> None:
        """The queries that follow are of these rows of the batch, in this order."""
        self.rows = rows

    def query(self, x: Tensor) -> Iterator[Tensor]:
        """Logits of one query of the rows: (rows, draws, classes), some draws at a time."""
        raise NotImplementedError

    def judge(self, x: Tensor, draws: int, purpose: str) -> Tensor:
        """Logits (rows, draws, classes) of what the attack is judged on, without gradient.

        The draws belong to the purpose: they are the same at every call, and no query meets them.
        """
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Mean logits (rows, classes) of one query."""
        return torch.cat(list(self.query(x)), dim=1).mean(1)

    def count(self, images: int, gradient: bool) -> None:
        """So many images went through, once a draw, with or without gradient."""
        if gradient:
            self.gradient_queries += images
        else:
            self.forward_queries += images


def build_victim(spec: AttackSpec, inputs: Inputs) -> Victim:
    """The victim of a spec's threat."""
    return load(f"assay.attacks.threats.{spec.attack.threat}").build(spec, inputs)
