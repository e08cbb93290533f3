"""Adversarial training (Madry et al. 2018): the cross-entropy of images that PGD has just found."""

from __future__ import annotations

import torch
from torch import Tensor

from assay.study.objectives import AdversarialObjective
from assay.training.draws import generator
from assay.training.inner_attack import perturb
from assay.training.objective import Batch, Objective, Task
from assay.training.objectives.robust import Robust


def build(spec: AdversarialObjective, task: Task) -> Objective:
    return Adversarial(task, spec)


class Adversarial(Robust):
    """A part of each batch is attacked by PGD, away from its labels or towards random wrong classes."""

    spec: AdversarialObjective

    def attacked(self, batch: Batch) -> Tensor:
        """The batch's images, of which all but the clean share were attacked."""
        spec, eps = self.spec, self.eps(batch)
        aims = self._targets(batch) if spec.target else batch.labels
        coins = torch.zeros_like(batch.images) if self._starts_clean(batch) else self.coins(batch)
        chosen = ~clean_rows(batch.places, spec.clean_share).to(batch.images.device)
        images = batch.images.clone()
        if chosen.any():
            images[chosen] = perturb(
                self.network,
                images[chosen],
                aims[chosen],
                coins[chosen],
                eps,
                self.step_size(eps),
                spec.steps,
                targeted=spec.target is not None,
            )
        return images

    def _targets(self, batch: Batch) -> Tensor:
        """A wrong class (n,) of each image, uniform over the others: another one in each step (Xie et al. 2019)."""
        classes = len(self.task.held_out.classes)
        others = (batch.uniform("target") * (classes - 1)).long().clamp_max(classes - 2)
        return (batch.labels + 1 + others) % classes

    def _starts_clean(self, batch: Batch) -> bool:
        """Whether a step's attacks start at the images themselves: one coin for the whole batch (Xie et al. 2019)."""
        coin = torch.rand((), generator=generator(batch.seed, "clean start", batch.step))
        return coin.item() < self.spec.clean_starts


def clean_rows(places: Tensor, share: float) -> Tensor:
    """Which images, by their places in the batch, stay clean: the share, spread evenly, so that every rank has some."""
    counts = torch.floor(torch.stack([places, places + 1]).double() * share + 1e-9)
    return counts[1] > counts[0]
