"""GDMP's energy (Wang et al. 2022): the distance of the noisy image from the input with fresh noise of the same level.

The paper's is the mean over a whole batch, so that one image's guidance depends on how many others there are. Here it
is the mean over the image's own values, which is the paper's with a batch of one.
"""

from __future__ import annotations

from torch import Tensor

from assay.diffusion.denoiser import Denoiser
from assay.inputs import Inputs
from assay.purifiers.energies.energy import Energy
from assay.study.energies import DistanceEnergy


def build(spec: DistanceEnergy, denoiser: Denoiser, inputs: Inputs) -> Energy:
    """scale_t |y - y_t|^2 / d on data y of the network's range, with scale_t = 3 scale s / perturbation."""
    width = denoiser.schedule.width

    def energy(x: Tensor, s: float, target: Tensor, n: Tensor) -> Tensor:
        stretch = width**2 / (1 + (width * s) ** 2)  # of squares, from pixel units to the network's data
        return 3 * spec.scale * s / spec.perturbation * stretch * (x - target - s * n).square().mean((1, 2, 3))

    return energy
