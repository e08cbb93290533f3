"""The purifier of `assay.evaluate`, as the library loads one of a user's own."""

from __future__ import annotations

from assay.entry.behaviour import Randomness
from assay.entry.networks import Given
from assay.purifiers.purifier import Purify
from assay.study.purifiers import PythonPurifier


class GivenPurifier(PythonPurifier):
    """A purifier that is in memory: where its noise comes from, and whether gradients flow through it."""

    randomness: Randomness
    differentiable: bool


def build(spec: GivenPurifier, inputs: Given) -> Purify:
    """The purifier that was given."""
    return inputs.purify
