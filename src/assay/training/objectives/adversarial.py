"""Adversarial training (Madry et al. 2018): the cross-entropy of images that PGD has just found."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from assay.artifacts import Draft
from assay.logits import margin
from assay.study.objectives import AdversarialObjective
from assay.training.draws import generator
from assay.training.objective import Batch, History, Objective, Task
from assay.training.objectives.cross_entropy import CrossEntropy

STEPS_OF_TRAVEL = 2.5  # default step size 2.5 eps / steps (Madry et al. 2018): the whole ball is within reach
BATCH = 256


def build(spec: AdversarialObjective, task: Task) -> Objective:
    return Adversarial(task, spec)


def perturb(
    model: nn.Module, images: Tensor, labels: Tensor, coins: Tensor, eps: float, step: float, steps: int
) -> Tensor:
    """PGD in the L-infinity ball (Madry et al. 2018), from the point of the ball that coins in [-1,1] say.

    Images (n, 3, h, w) in [0,1] to images in [0,1] no farther than eps from them. The model is attacked in evaluation
    mode, so that its batch statistics stay as they are, and in float32: an attack that rounds its gradient is weaker.
    """
    training = model.training
    model.eval()
    low, high = (images - eps).clamp(0, 1), (images + eps).clamp(0, 1)
    found = (images + eps * coins).clamp(low, high)
    with torch.autocast(images.device.type, enabled=False):
        for _ in range(steps):
            found.requires_grad_()
            (gradient,) = torch.autograd.grad(_harm(model(found), labels), found)
            found = (found.detach() + step * gradient.sign()).clamp(low, high)
    model.train(training)
    return found.detach()


def _harm(logits: Tensor, labels: Tensor) -> Tensor:
    """What PGD raises. Of two classes the margin has the cross-entropy's direction and never saturates."""
    if logits.shape[1] == 2:
        return -margin(logits, labels).sum()
    return F.cross_entropy(logits, labels, reduction="sum")


def step_size(spec: AdversarialObjective, eps: float, steps: int) -> float:
    """The size of a step for so many steps in a ball of radius eps (smaller than the config's in the warm-up)."""
    if spec.step_size is None:
        return STEPS_OF_TRAVEL * eps / steps
    return spec.step_size * eps / spec.eps


def clean_rows(places: Tensor, share: float) -> Tensor:
    """Which images, by their places in the batch, stay clean: the share, spread evenly, so that every rank has some."""
    counts = torch.floor(torch.stack([places, places + 1]).double() * share + 1e-9)
    return counts[1] > counts[0]


class Adversarial(CrossEntropy):
    """A part of each batch is attacked; the weights of the best robust validation accuracy are kept."""

    def __init__(self, task: Task, spec: AdversarialObjective) -> None:
        super().__init__(task)
        self.spec = spec
        self.judged = 0
        self.best: dict[str, Any] = {"row": -1, "score": -math.inf, "weights": {}}

    def forward(self, batch: Batch) -> Tensor:
        return F.cross_entropy(self.network(self.attacked(batch)).float(), batch.labels)

    def attacked(self, batch: Batch) -> Tensor:
        """The batch's images, of which all but the clean share were attacked."""
        ramp = self.spec.warmup_epochs
        eps = self.spec.eps * min(1.0, batch.epochs / ramp if ramp else 1.0)
        size = step_size(self.spec, eps, self.spec.steps)
        coins = 2 * batch.uniform("start", *batch.images.shape[1:]) - 1
        chosen = ~clean_rows(batch.places, self.spec.clean_share).to(batch.images.device)
        images = batch.images.clone()
        if chosen.any():
            images[chosen] = perturb(
                self.network, images[chosen], batch.labels[chosen], coins[chosen], eps, size, self.spec.steps
            )
        return images

    def judge(self) -> dict[str, float]:
        columns = super().judge()
        score = self.robust_accuracy()
        if score > self.best["score"]:
            weights = {name: value.detach().cpu().clone() for name, value in self.network.state_dict().items()}
            self.best = {"row": self.judged, "score": score, "weights": weights}
        self.judged += 1
        return columns | {"robust_validation_accuracy": score}

    def robust_accuracy(self) -> float:
        """The accuracy on the first validation images under PGD from one fixed start an image."""
        held_out, device, steps = self.task.held_out, self.task.device, self.spec.validation_steps
        size = step_size(self.spec, self.spec.eps, steps)
        count = min(self.spec.validation_images, len(held_out.table))
        right = 0
        for start in range(0, count, BATCH):
            stop = min(start + BATCH, count)
            images = torch.from_numpy(held_out.pixels(start, stop)).to(device)
            labels = torch.from_numpy(held_out.labels[start:stop].astype("int64")).to(device)
            draws = torch.rand(images.shape, generator=generator(self.task.seed, "validation start", start))
            found = perturb(self.network, images, labels, 2 * draws.to(device) - 1, self.spec.eps, size, steps)
            self.network.eval()
            with torch.inference_mode():
                right += int((self.network(found).argmax(1) == labels).sum())
        return right / count

    def ended(self) -> bool:
        return self.spec.patience is not None and self.judged - 1 - self.best["row"] >= self.spec.patience

    def finish(self) -> None:
        self.network.load_state_dict(self.best["weights"])

    def write(self, draft: Draft, history: History) -> None:
        kept = history[self.best["row"]]
        columns = ("epoch", "step", "validation_accuracy", "robust_validation_accuracy")
        draft.facts |= {name: kept[name] for name in columns if name in kept}

    def state(self) -> dict[str, Any]:
        return {"judged": self.judged, **self.best}

    def restore(self, state: dict[str, Any]) -> None:
        self.judged = state["judged"]
        self.best = {name: state[name] for name in self.best}
