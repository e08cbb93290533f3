"""TRADES (Zhang et al. 2019): clean images are to be right, and their neighbours to be answered like them."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from assay.study.objectives import TradesObjective
from assay.training.inner_attack import ascend, away_from_answer, divergence
from assay.training.objective import Batch, Objective, Task
from assay.training.objectives.robust import Robust
from assay.training.weight_perturbation import Network

START = 0.001  # standard deviation of the noise that an attack starts from, pixel units


def build(spec: TradesObjective, task: Task) -> Objective:
    return Trades(task, spec)


class Trades(Robust):
    """CE(f(x), y) + beta KL(p(x) || p(x')), where x' in the ball around x has the largest divergence that was found."""

    spec: TradesObjective

    def attacked(self, batch: Batch) -> Tensor:
        images, eps = batch.images, self.eps(batch)
        low, high = (images - eps).clamp(0, 1), (images + eps).clamp(0, 1)
        start = (images + START * batch.normal("start", *images.shape[1:])).clamp(low, high)
        harm = away_from_answer(self.network, images)
        return ascend(self.network, start, low, high, harm, self.step_size(eps), self.spec.steps)

    def loss(self, network: Network, batch: Batch, attacked: Tensor) -> Tensor:
        clean, other = network(batch.images).float(), network(attacked).float()
        natural = F.cross_entropy(clean, batch.labels, label_smoothing=self.label_smoothing)
        return natural + self.spec.beta * divergence(clean, other).mean()
