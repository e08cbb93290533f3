"""What every victim is: images in [0,1] to logits, as the attacker sees and differentiates them.

Each threat is one module, `assay.attacks.threats.<threat>` or a user's own, with `build(spec, inputs)`; it is found by
name, so that the code fingerprint of a job holds just the threat that the job runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from torch import Tensor, nn

from assay.inputs import Inputs
from assay.modules import load, own_model
from assay.study.attacks import AttackSpec

SEARCH = "search"  # the purpose of what the attacker asks; of all other purposes are judgements


@dataclass(frozen=True)
class Query:
    """Which draws of the defence a call of the victim meets: these of a purpose. Purposes never share a draw."""

    purpose: str
    draws: range

    @property
    def judges(self) -> bool:
        """Whether the attack is judged by it, and not led by it."""
        return self.purpose != SEARCH

    def in_turn(self, at_once: int) -> Iterator[Query]:
        """The same draws, so many at a time."""
        for first in range(0, len(self.draws), at_once):
            yield replace(self, draws=self.draws[first : first + at_once])


def search_query(number: int, draws: int) -> Query:
    """The query of a number, from 0, of a search that asks for so many draws each time: no two share a draw."""
    return Query(SEARCH, range(number * draws, (number + 1) * draws))


def judgement(purpose: str, draws: int) -> Query:
    """A judgement on so many draws, the same ones at every call."""
    return Query(purpose, range(draws))


class Victim(nn.Module):
    """The module that an attack queries, a pure function: the same call has the same answer."""

    def forward(self, x: Tensor, keys: Tensor, query: Query) -> Tensor:
        """Logits (n, draws, classes) of images (n, 3, h, w) with noise keys (n,).

        A victim without fresh noise has one draw, whatever the query. What an image is answered does not depend on the
        other images. A judgement goes through what the attack is judged on, with any other purpose than SEARCH.
        """
        raise NotImplementedError


def build_victim(spec: AttackSpec, inputs: Inputs) -> Victim:
    """The victim of a spec's threat, frozen, in evaluation mode and on the inputs' device."""
    threat = own_model(spec.attack.threat)
    own = spec.model_copy(update={"attack": spec.attack.model_copy(update={"threat": threat})})
    victim = load(threat.implementation).build(own, inputs)
    return victim.to(inputs.device).eval().requires_grad_(False)
