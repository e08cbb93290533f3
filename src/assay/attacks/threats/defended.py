"""What the victims behind a defence share: how the defence is loaded, and fresh draws of it (EOT)."""

from __future__ import annotations

import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from assay.attacks.threats.victim import Query, Victim
from assay.defended import Defended
from assay.inputs import Inputs
from assay.noise import derive_seed, step_noise
from assay.purifiers.purifier import Purify, build_purifier
from assay.study.attacks import AttackSpec
from assay.study.purifiers import AnyPurifier, Purifier


class Expected(Victim):
    """The defended classifier over fresh draws, folded into the batch. A defence that votes is searched through by
    single draws, whose mean is what counts, and judged by its votes.

    The attacker's queries go through `attacked`, judgements through `judged`, the true defended classifier; both take
    images and the noise of one draw an image. Each purpose has a seed of its own: queries, judgements and the
    evaluation never share a draw, and an image's noise depends on its key and the draw alone, not on the other images.
    """

    def __init__(self, attacked: nn.Module, judged: nn.Module, seed: int) -> None:
        super().__init__()
        self.attacked = attacked
        self.judged = judged
        self.seed = seed

    def forward(self, x: Tensor, keys: Tensor, query: Query) -> Tensor:
        defended = self.judged if query.judges else self.attacked
        count = len(query.draws)
        repeated = x.repeat_interleave(count, dim=0)
        draws = torch.tensor(query.draws, device=x.device).repeat(len(x))
        noise = step_noise(derive_seed(self.seed, query.purpose), keys.repeat_interleave(count), draws, repeated)
        return defended(repeated, noise).unflatten(0, (len(x), count))


def purifier_of(spec: AttackSpec) -> Purifier:
    """The purifier of the defence that a spec's attack meets."""
    return TypeAdapter(AnyPurifier).validate_python(spec.purifier)


def load_purify(spec: AttackSpec, inputs: Inputs) -> Purify:
    """The purifier of the defence, ready to run."""
    return build_purifier(purifier_of(spec), inputs)


def expected(spec: AttackSpec, inputs: Inputs, attacked: Purify, judged: Purify) -> Expected:
    """The victim whose queries go through one purifier and that is judged on another, before one classifier."""
    network, votes = inputs.classifier(), purifier_of(spec).votes
    return Expected(Defended(attacked, network), Defended(judged, network, votes), derive_seed(spec.seed, "attack"))
