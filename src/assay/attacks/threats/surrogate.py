"""The threat `surrogate`: the exact gradient through the purifier with fewer steps (Lee and Kim 2023).

The attack follows the surrogate, and is judged on the true purifier.
"""

from __future__ import annotations

from assay.attacks.threats.defended import Expected, expected, load_purify, purifier_of
from assay.inputs import Inputs
from assay.purifiers.purifier import build_purifier
from assay.study.attacks import AttackSpec


def build(spec: AttackSpec, inputs: Inputs) -> Expected:
    cheaper = purifier_of(spec).model_copy(update={"steps": spec.attack.threat.steps})
    attacked = build_purifier(cheaper, inputs)
    return expected(spec, inputs, attacked, load_purify(spec, inputs))
