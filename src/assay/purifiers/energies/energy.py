"""What guides a reverse process: an energy of the noisy image, low where it should be led.

Each energy is one module, `assay.purifiers.energies.<method>`, with `build(spec, denoiser, inputs)`.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

# energy(x, s, target, n): values (n,) of images x (n, 3, h, w) with noise of level s, given the purifier's input and
# standard normal values of the same shape; differentiable in x and in the target
Energy = Callable[[Tensor, float, Tensor, Tensor], Tensor]
