"""TRADES (Zhang et al. 2019): clean images are to be right, and their neighbours to be answered like them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from assay.study.objectives import TradesObjective
from assay.training.inner_attack import ascend
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
        clean = self._answers(images)

        def harm(logits: Tensor) -> Tensor:
            return divergence(clean, logits).sum()

        return ascend(self.network, start, low, high, harm, self.step_size(eps), self.spec.steps)

    def loss(self, network: Network, batch: Batch, attacked: Tensor) -> Tensor:
        clean, other = network(batch.images).float(), network(attacked).float()
        natural = F.cross_entropy(clean, batch.labels, label_smoothing=self.label_smoothing)
        return natural + self.spec.beta * divergence(clean, other).mean()

    def _answers(self, images: Tensor) -> Tensor:
        """Logits of clean images, in evaluation mode and float32 as the attack's own."""
        training = self.network.training
        self.network.eval()
        with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
            logits = self.network(images)
        self.network.train(training)
        return logits


def divergence(logits: Tensor, others: Tensor) -> Tensor:
    """KL(p || q) of the softmaxes p and q of two tables of logits (n, classes), for each row."""
    log_p, log_q = logits.log_softmax(1), others.log_softmax(1)
    return (log_p.exp() * (log_p - log_q)).sum(1)
