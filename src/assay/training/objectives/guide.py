"""The auxiliary classifier that guides AGDM's reverse process (Lin et al. 2025): it knows noisy images, and is robust.

At a level s of noise drawn evenly up to `max_sigma` the loss is that of TRADES (Zhang et al. 2019) on noised images:
the cross-entropy of c(x_s), and `weight` times KL(c(x_s), c(x_s + d)) for the worst d of a ball. The classifier is not
told the level.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from assay.networks.validation import validate
from assay.study.objectives import GuideObjective
from assay.training.draws import generator
from assay.training.inner_attack import ascend, away_from_answer, divergence, step_size
from assay.training.objective import Batch, Objective, Task
from assay.training.objectives.cross_entropy import CrossEntropy

FIRST = 1e-3  # where the attack begins, beside the image: there the divergence and its gradient are zero


def build(spec: GuideObjective, task: Task) -> Objective:
    return Guide(spec, task)


class Guide(CrossEntropy):
    """A classifier of noisy images whose answers adversarial perturbations change little."""

    def __init__(self, spec: GuideObjective, task: Task) -> None:
        super().__init__(task)
        self.spec = spec

    def forward(self, batch: Batch) -> Tensor:
        shape = batch.images.shape[1:]
        sigma = self.spec.max_sigma * batch.uniform("level").view(-1, 1, 1, 1)
        noised = batch.images + sigma * batch.normal("noise", *shape)
        changed = self.worst(noised, FIRST * batch.normal("start", *shape))
        clean = self.network(noised).float()
        robust = divergence(clean, self.network(changed).float()).mean()
        return F.cross_entropy(clean, batch.labels) + self.spec.weight * robust

    def worst(self, noised: Tensor, first: Tensor) -> Tensor:
        """Noised images moved by PGD within the L-infinity ball to where the answer differs most."""
        eps, steps = self.spec.eps, self.spec.steps
        low, high = noised - eps, noised + eps  # noise leaves [0,1] too
        start = (noised + first).clamp(low, high)
        harm = away_from_answer(self.network, noised)
        return ascend(self.network, start, low, high, harm, step_size(eps, steps), steps)

    def judge(self) -> dict[str, float]:
        noisy = Noised(self.network, self.spec.max_sigma / 2, self.task.seed)
        _, accuracy = validate(noisy, self.task.held_out, self.task.device)
        return super().judge() | {"noisy_validation_accuracy": accuracy}


class Noised(nn.Module):
    """A network that meets fixed noise of one level before each image."""

    def __init__(self, network: nn.Module, sigma: float, seed: int) -> None:
        super().__init__()
        self.network, self.sigma, self.seed = network, sigma, seed

    def forward(self, x: Tensor) -> Tensor:
        noise = torch.randn(x.shape, generator=generator(self.seed, "validation noise")).to(x)
        return self.network(x + self.sigma * noise)
