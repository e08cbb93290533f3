"""Which attacks are probed, and the spec of probe."""

from __future__ import annotations

from assay.study.attacks import Attack, AttackSpec
from assay.study.cells import Attacked, attacked_stacks
from assay.study.checks import Checks
from assay.study.model import Study


class ProbeSpec(AttackSpec):
    """What probe reads: the attack's own spec, and what is to be probed."""

    checks: Checks


def follows_gradients(attack: Attack) -> bool:
    """Whether an attack asks for gradients at all: only then are there gradients to probe."""
    return attack.passes[0] > 0


def probed_stacks(study: Study) -> list[Attacked]:
    """The adversarial stacks of test images that are probed; none unless the study asks for it."""
    if not study.checks.probes:
        return []
    return [attacked for attacked in attacked_stacks(study) if follows_gradients(study.attacks[attacked.attack])]
