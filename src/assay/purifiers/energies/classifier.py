"""AGDM's energy (Lin et al. 2025): an auxiliary classifier's answer to the noisy image stays its answer to the input.

scale (D(c(x'), c(x_s)) - label_weight log p(y | x_s)), with c the classifier, D the divergence of the probabilities
that it gives, and y its answer to the input x'. The paper leaves D, the weights and the label at test time open.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from assay.diffusion.denoiser import Denoiser
from assay.inputs import Inputs
from assay.purifiers.energies.energy import Energy
from assay.study.energies import ClassifierEnergy


def build(spec: ClassifierEnergy, denoiser: Denoiser, inputs: Inputs) -> Energy:
    """The energy of a classifier that was trained on noisy images (objective `guide`)."""
    guide = inputs.classifier("energy")

    def energy(x: Tensor, s: float, target: Tensor, n: Tensor) -> Tensor:
        wanted, found = guide(target), guide(x)
        own = wanted.log_softmax(1)
        distance = (own.exp() * (own - found.log_softmax(1))).sum(1)
        label = F.cross_entropy(found, wanted.argmax(1), reduction="none")
        return spec.scale * (distance + spec.label_weight * label)

    return energy
