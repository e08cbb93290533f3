"""N-FGSM (de Jorge et al. 2022): one step of the gradient's sign from strong noise, and no projection into the ball."""

from __future__ import annotations

import torch
from torch import Tensor

from assay.study.objectives import NFgsmObjective
from assay.training.inner_attack import ascend, away_from
from assay.training.objective import Batch, Objective, Task
from assay.training.objectives.robust import Robust


def build(spec: NFgsmObjective, task: Task) -> Objective:
    return NFgsm(task, spec)


class NFgsm(Robust):
    """Every image gets uniform noise of a few eps and then one step of eps, clipped to [0,1] alone."""

    spec: NFgsmObjective

    def attacked(self, batch: Batch) -> Tensor:
        images, eps = batch.images, self.eps(batch)
        noisy = (images + self.spec.noise * eps * self.coins(batch)).clamp(0, 1)
        low, high = torch.zeros_like(images), torch.ones_like(images)
        return ascend(self.network, noisy, low, high, away_from(batch.labels), eps, 1)
