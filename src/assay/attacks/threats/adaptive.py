"""The threat `adaptive`: the exact gradient through the defended classifier, averaged over fresh draws (EOT)."""

from __future__ import annotations

from assay.attacks.threats.defended import Expected, expected, load_purify
from assay.inputs import Inputs
from assay.study.attacks import AttackSpec


def build(spec: AttackSpec, inputs: Inputs) -> Expected:
    purify = load_purify(spec, inputs)
    return expected(spec, inputs, purify, purify)
