"""The adversarial diffusion bridge model (ADBM, Li et al. 2025, section 4).

From a level S, where an adversarial image x_0 + d has been noised, the bridge leads to the clean image x_0: at level s
it is x_0 + (s / S)^2 d + s e, which is x_0 + s n with n = e + d s / S^2. Of that n the loss is the denoiser's own.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from assay.study.objectives import AdbmObjective
from assay.training.draws import generator
from assay.training.objective import Batch, Objective, Task
from assay.training.objectives.denoising import Denoising


def build(spec: AdbmObjective, task: Task) -> Objective:
    return Adbm(spec, task)


class Adbm(Denoising):
    """The loss of a denoiser on bridges that begin between `min_sigma` and `max_sigma`."""

    def __init__(self, spec: AdbmObjective, task: Task) -> None:
        super().__init__(task, spec.max_sigma)
        self.spec = spec
        self.guide = (task.inputs.classifier("guide"),)  # no submodule: it is not trained

    def forward(self, batch: Batch) -> Tensor:
        places, noise = batch.uniform("level"), batch.normal("noise", *batch.images.shape[1:])
        start = self.start(batch)
        bridge = self.bridge(self.perturbation(batch, places, noise, start), noise, places, start)
        return self.denoiser.loss(batch.images, places, bridge, start).mean()

    def start(self, batch: Batch) -> float:
        """The sigma that the bridges of a step begin at: that of a time step drawn evenly, the same for all ranks."""
        schedule = self.denoiser.schedule
        low, high = (schedule.last_step(min(sigma, self.top)) for sigma in (self.spec.min_sigma, self.top))
        drawn = torch.randint(low, high + 1, (), generator=generator(batch.seed, "bridge", batch.step))
        return float(schedule.sigmas[int(drawn)])

    def bridge(self, perturbation: Tensor, noise: Tensor, places: Tensor, start: float) -> Tensor:
        """The noise n of level 1 at places of the bridge from `start` down."""
        sigma = self.denoiser.level(places, start).to(noise).view(-1, 1, 1, 1)
        return noise + perturbation * sigma / start**2

    def perturbation(self, batch: Batch, places: Tensor, noise: Tensor, start: float) -> Tensor:
        """Perturbations (n, 3, h, w) in pixel units, by PGD on the classifier's loss of the denoised state of the
        bridge, whose level and noise stay the same."""
        images, eps = batch.images, self.spec.eps
        sigma = self.denoiser.level(places, start).to(noise)
        low, high = (images - eps).clamp(0, 1), (images + eps).clamp(0, 1)
        found = (images + eps * (2 * batch.uniform("start", *images.shape[1:]) - 1)).clamp(low, high)
        with torch.autocast(images.device.type, enabled=False):
            for _ in range(self.spec.steps):
                found.requires_grad_()
                state = images + sigma.view(-1, 1, 1, 1) * self.bridge(found - images, noise, places, start)
                logits = self.guide[0](self.denoiser.estimate(state, sigma)).float()
                (gradient,) = torch.autograd.grad(F.cross_entropy(logits, batch.labels, reduction="sum"), found)
                found = (found.detach() + eps * gradient.sign()).clamp(low, high)
        return found.detach() - images
