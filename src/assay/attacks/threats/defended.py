"""What the victims behind a defence share: how the defence is loaded, and the mean over fresh draws of it (EOT)."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from assay.attacks.threats.victim import Victim
from assay.defended import Defended
from assay.inputs import Inputs
from assay.noise import derive_seed, step_noise
from assay.purifiers.purifier import Purify, build_purifier
from assay.study.attacks import MOST_DRAWS, AttackSpec
from assay.study.purifiers import AnyPurifier, Purifier

QUERIES_A_SEED = (1 << 16) // MOST_DRAWS  # the noise has 16 bits for a query's number and draw


class Expected(Victim):
    """The defended classifier over fresh draws: each query has `draws` new ones, folded into the batch.

    `attacked` is what the attacker's queries go through, `judged` the true defended classifier; both take images and
    the noise of one draw an image. No more images go through at once than the batch has: more draws go in turn. The
    draws have seeds of their own: queries, judgements and the evaluation never share one, and an image's noise depends
    on its key and the number of the query alone, not on the other images.
    """

    stochastic = True

    def __init__(self, attacked: nn.Module, judged: nn.Module, draws: int, seed: int) -> None:
        super().__init__()
        self.attacked = attacked
        self.judged = judged
        self.draws = draws
        self.seed = seed

    def begin(self, keys: Tensor) -> None:
        super().begin(keys)
        self._queries = 0

    def query(self, x: Tensor) -> Iterator[Tensor]:
        block, number = divmod(self._queries, QUERIES_A_SEED)
        self._queries += 1
        self.count(len(x) * self.draws, x.requires_grad)
        first = number * self.draws
        yield from self._in_turn(self.attacked, x, derive_seed(self.seed, block), range(first, first + self.draws))

    @torch.no_grad()
    def judge(self, x: Tensor, draws: int, purpose: str) -> Tensor:
        self.count(len(x) * draws, False)
        return torch.cat(list(self._in_turn(self.judged, x, derive_seed(self.seed, purpose), range(draws))), dim=1)

    def _in_turn(self, defended: nn.Module, x: Tensor, seed: int, draws: range) -> Iterator[Tensor]:
        keys = self.keys[self.rows]
        if len(keys) != len(x):
            raise ValueError(f"{len(x)} images, but {len(keys)} rows of the batch were announced")
        at_once = max(1, len(self.keys) // len(x))
        for first in range(0, len(draws), at_once):
            some = draws[first : first + at_once]
            repeated = x.repeat_interleave(len(some), dim=0)
            each = torch.tensor(some, device=x.device).repeat(len(x))
            noise = step_noise(seed, keys.repeat_interleave(len(some)), each, repeated)
            yield defended(repeated, noise).unflatten(0, (len(x), len(some)))


def purifier_of(spec: AttackSpec) -> Purifier:
    """The purifier of the defence that a spec's attack meets."""
    return TypeAdapter(AnyPurifier).validate_python(spec.purifier)


def load_purify(spec: AttackSpec, inputs: Inputs) -> Purify:
    """The purifier of the defence, ready to run."""
    return build_purifier(purifier_of(spec), inputs)


def expected(spec: AttackSpec, inputs: Inputs, attacked: Purify, judged: Purify) -> Expected:
    """The victim whose queries go through one purifier and that is judged on another, before one classifier."""
    network = inputs.classifier()
    seed = derive_seed(spec.seed, "attack")
    return Expected(Defended(attacked, network), Defended(judged, network), spec.attack.draws, seed)
