"""The forward noise alone: the PCam paper's NoiseDefense, the control that any denoiser must beat."""

from __future__ import annotations

from torch import Tensor

from assay.inputs import Inputs
from assay.noise import StepNoise
from assay.purifiers.purifier import Purify
from assay.study.purifiers import NoisePurifier


def build(spec: NoisePurifier, inputs: Inputs) -> Purify:
    """x -> clip(x + sigma n)."""

    def purify(x: Tensor, noise: StepNoise) -> Tensor:
        return (x + spec.sigma * noise(0)).clamp(0, 1)

    return purify
