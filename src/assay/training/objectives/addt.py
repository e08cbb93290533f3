"""Adversarial denoising diffusion training (ADDT, Liu et al. 2025, algorithm 1).

A share lambda of each image's noise is a perturbation delta, found along a classifier's gradient through the denoiser
(CGPO) and given the distribution of noise (RBGM): n = sqrt(1 - lambda^2) e + lambda delta. On that noise the loss is
the denoiser's own.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from assay.study.objectives import AddtObjective
from assay.training.objective import Batch, Objective, Task
from assay.training.objectives.denoising import Denoising


def build(spec: AddtObjective, task: Task) -> Objective:
    return Addt(spec, task)


def by_ranks(gradient: Tensor, draws: Tensor) -> Tensor:
    """Rank-based Gaussian mapping: the draws (n, 3, h, w) of each channel of each image, in the gradient's order."""
    ranks = gradient.flatten(2).argsort(2).argsort(2)
    return draws.flatten(2).sort(2).values.gather(2, ranks).view_as(gradient)


def by_norm(gradient: Tensor) -> Tensor:
    """Each image's gradient, scaled to a mean square of 1."""
    return gradient / gradient.square().mean((1, 2, 3), keepdim=True).sqrt().clamp_min(1e-30)


class Addt(Denoising):
    """The loss of a denoiser on adversarial noise, at levels drawn evenly up to `max_sigma`."""

    def __init__(self, spec: AddtObjective, task: Task) -> None:
        super().__init__(task, spec.max_sigma)
        self.spec = spec
        self.guide = (task.inputs.classifier("guide"),)  # no submodule: it is not trained

    def forward(self, batch: Batch) -> Tensor:
        places = batch.uniform("level")
        noise = self.mixed(self.perturbation(batch, places), batch.normal("noise", *batch.images.shape[1:]), places)
        return self.denoiser.loss(batch.images, places, noise, self.top).mean()

    def perturbation(self, batch: Batch, places: Tensor) -> Tensor:
        """The perturbations (n, 3, h, w) of a batch: of noise's size, or of `linf` in pixel units."""
        spec, shape = self.spec, batch.images.shape[1:]
        linf = spec.shape == "linf"
        found = torch.zeros_like(batch.images) if linf else batch.normal("start", *shape)
        total = torch.zeros_like(batch.images)
        with torch.autocast(batch.images.device.type, enabled=False):
            for iteration in range(spec.iterations):
                found.requires_grad_()
                fresh = batch.normal(f"search {iteration}", *shape)
                harm = self.harm(batch, self.mixed(found, fresh, places), places)
                (gradient,) = torch.autograd.grad(harm, found)
                total = total + gradient
                if linf:
                    found = (found.detach() + spec.step_size * gradient.sign()).clamp(-spec.eps, spec.eps)
                elif spec.shape == "ranks":
                    found = by_ranks(total, batch.normal(f"ranked {iteration}", *shape))
                else:
                    found = by_norm(total)
        return found.detach()

    def mixed(self, perturbation: Tensor, noise: Tensor, places: Tensor) -> Tensor:
        """The noise of level 1 that a perturbation is part of."""
        sigma = self.denoiser.level(places, self.top).to(noise).view(-1, 1, 1, 1)
        if self.spec.shape == "linf":
            most = 10 * self.denoiser.schedule.width  # as published, for a sigma near 0
            return noise + perturbation * (1 / sigma).clamp_max(most)
        share = (self.spec.strength / sigma).clamp_max(self.spec.largest_share)
        return (1 - share**2).sqrt() * noise + share * perturbation

    def harm(self, batch: Batch, noise: Tensor, places: Tensor) -> Tensor:
        """What a perturbation raises, summed over the images."""
        if self.spec.loss == "denoising":
            return self.denoiser.loss(batch.images, places, noise, self.top).sum()
        sigma = self.denoiser.level(places, self.top).to(noise)
        clean = self.denoiser.estimate(batch.images + sigma.view(-1, 1, 1, 1) * noise, sigma)
        return F.cross_entropy(self.guide[0](clean).float(), batch.labels, reduction="sum")
