"""Adversarial training: what train_classifier does differently where the config has a block `adversarial`."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from assay.logits import margin
from assay.networks.classifier import Normalised
from assay.stacks import Stack
from assay.study.classifiers import AdversarialTraining
from assay.training.ranks import Ranks
from assay.training.regime import Regime
from assay.training.steps import generator

STEPS_OF_TRAVEL = 2.5  # default step size 2.5 eps / steps (Madry et al. 2018): the whole ball is within reach
BATCH = 256


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


def step_size(adversarial: AdversarialTraining, eps: float, steps: int) -> float:
    """The size of a step for so many steps in a ball of radius eps (smaller than the config's in the warm-up)."""
    if adversarial.step_size is None:
        return STEPS_OF_TRAVEL * eps / steps
    return adversarial.step_size * eps / adversarial.eps


def clean_rows(count: int, share: float) -> Tensor:
    """Which of a batch's images stay clean (count booleans): the share, spread evenly, so that every rank has some."""
    counts = torch.floor(torch.arange(count + 1, dtype=torch.float64) * share + 1e-9)
    return counts.diff() > 0


class Adversarial(Regime):
    """A part of each batch is attacked; the weights of the best robust validation accuracy are kept."""

    def __init__(self, adversarial: AdversarialTraining, held_out: Stack, seed: int, ranks: Ranks) -> None:
        self.adversarial = adversarial
        self.held_out = held_out
        self.seed = seed
        self.ranks = ranks
        self.best: dict[str, Any] = {"epoch": -1, "score": -math.inf, "weights": {}}

    def show(
        self, model: Normalised, images: Tensor, labels: Tensor, batch_size: int, step: int, epochs: float
    ) -> Tensor:
        ramp = self.adversarial.warmup_epochs
        eps = self.adversarial.eps * min(1.0, epochs / ramp if ramp else 1.0)
        size = step_size(self.adversarial, eps, self.adversarial.steps)
        draws = torch.rand((batch_size, *images.shape[1:]), generator=generator(self.seed, "start", step))
        coins = 2 * self.ranks.share(draws).to(images.device) - 1
        attacked = ~self.ranks.share(clean_rows(batch_size, self.adversarial.clean_share)).to(images.device)
        shown = images.clone()
        if attacked.any():
            shown[attacked] = perturb(
                model, images[attacked], labels[attacked], coins[attacked], eps, size, self.adversarial.steps
            )
        return shown

    def judge(self, model: Normalised, epoch: int, device: torch.device) -> dict[str, float]:
        score = self.robust_accuracy(model, device)
        if score > self.best["score"]:
            weights = {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}
            self.best = {"epoch": epoch, "score": score, "weights": weights}
        return {"robust_validation_accuracy": score}

    def robust_accuracy(self, model: Normalised, device: torch.device) -> float:
        """The accuracy on the first validation images under PGD from one fixed start an image."""
        steps = self.adversarial.validation_steps
        size = step_size(self.adversarial, self.adversarial.eps, steps)
        count = min(self.adversarial.validation_images, len(self.held_out.table))
        right = 0
        for start in range(0, count, BATCH):
            stop = min(start + BATCH, count)
            images = torch.from_numpy(self.held_out.pixels(start, stop)).to(device)
            labels = torch.from_numpy(self.held_out.labels[start:stop].astype("int64")).to(device)
            draws = torch.rand(images.shape, generator=generator(self.seed, "validation start", start))
            found = perturb(model, images, labels, 2 * draws.to(device) - 1, self.adversarial.eps, size, steps)
            model.eval()
            with torch.inference_mode():
                right += int((model(found).argmax(1) == labels).sum())
        return right / count

    def ended(self, epochs: int) -> bool:
        patience = self.adversarial.patience
        return patience is not None and epochs - 1 - self.best["epoch"] >= patience

    def finish(self, model: Normalised) -> None:
        model.load_state_dict(self.best["weights"])

    def facts(self, history: list[dict[str, float]]) -> dict[str, float]:
        kept = history[self.best["epoch"]]
        return {name: kept[name] for name in ("epoch", "validation_accuracy", "robust_validation_accuracy")}

    def state(self) -> dict[str, Any]:
        return self.best

    def restore(self, state: dict[str, Any]) -> None:
        self.best = state
