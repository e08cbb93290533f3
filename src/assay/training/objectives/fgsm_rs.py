"""Fast adversarial training (Wong et al. 2020): one step of the gradient's sign from a random point of the ball."""

from __future__ import annotations

from torch import Tensor

from assay.study.objectives import FgsmRsObjective
from assay.training.inner_attack import perturb
from assay.training.objective import Batch, Objective, Task
from assay.training.objectives.robust import Robust


def build(spec: FgsmRsObjective, task: Task) -> Objective:
    return FgsmRs(task, spec)


class FgsmRs(Robust):
    """Every image is attacked by one step that is longer than eps, and projected into the ball."""

    spec: FgsmRsObjective

    def attacked(self, batch: Batch) -> Tensor:
        eps = self.eps(batch)
        return perturb(self.network, batch.images, batch.labels, self.coins(batch), eps, self.spec.stride * eps, 1)
