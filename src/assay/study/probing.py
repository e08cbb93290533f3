"""The spec of probe, and which attacks it suits. Imports no more of the study: a probe is not redone for it."""

from __future__ import annotations

from assay.study.attacks import Attack, AttackSpec
from assay.study.checks import Checks


class ProbeSpec(AttackSpec):
    """What probe reads: the attack's own spec, and what is to be probed."""

    checks: Checks


def follows_gradients(attack: Attack) -> bool:
    """Whether an attack asks for gradients at all: only then are there gradients to probe."""
    return attack.passes[0] > 0
