"""What all adversarial trainings share: how robust the network is on validation images, and which weights are kept."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from assay.artifacts import Draft
from assay.study.objectives import RobustObjective
from assay.training.draws import generator
from assay.training.inner_attack import perturb, step_size
from assay.training.objective import Batch, History, Task
from assay.training.objectives.cross_entropy import CrossEntropy
from assay.training.weight_perturbation import Network, perturbed

BATCH = 256


class Robust(CrossEntropy):
    """The loss of images that an attack has just found; the weights of the best robust validation accuracy are kept."""

    def __init__(self, task: Task, spec: RobustObjective) -> None:
        super().__init__(task, spec.label_smoothing)
        self.spec = spec
        self.judged = 0
        self.last = math.nan
        self.best: dict[str, Any] = {"row": -1, "score": -math.inf, "weights": {}}

    def attacked(self, batch: Batch) -> Tensor:
        """The images that the network is trained on in place of the batch's."""
        raise NotImplementedError

    def loss(self, network: Network, batch: Batch, attacked: Tensor) -> Tensor:
        """The mean loss of the attacked images."""
        return F.cross_entropy(network(attacked).float(), batch.labels, label_smoothing=self.label_smoothing)

    def forward(self, batch: Batch) -> Tensor:
        attacked, awp = self.attacked(batch), self.spec.awp
        network: Network = self.network
        if awp and batch.epochs >= awp.after_epochs:
            network = perturbed(self.network, lambda network: self.loss(network, batch, attacked), awp.gamma)
        return self.loss(network, batch, attacked)

    def eps(self, batch: Batch) -> float:
        """The ball's radius at a step: it rises over the first epochs if the config says so."""
        ramp = self.spec.warmup_epochs
        return self.spec.eps * min(1.0, batch.epochs / ramp if ramp else 1.0)

    def step_size(self, eps: float) -> float:
        """The size of an attack's steps in a ball of radius eps, which is smaller than the config's in the warm-up."""
        chosen = self.spec.step_size
        return step_size(eps, self.spec.steps) if chosen is None else chosen * eps / self.spec.eps

    def coins(self, batch: Batch) -> Tensor:
        """Values in [-1,1) of the shape of the batch's images: where in the ball an attack starts."""
        return 2 * batch.uniform("start", *batch.images.shape[1:]) - 1

    def judge(self) -> dict[str, float]:
        columns = super().judge()
        self.last = self.robust_accuracy()
        if self.last > self.best["score"]:
            weights = {name: value.detach().cpu().clone() for name, value in self.network.state_dict().items()}
            self.best = {"row": self.judged, "score": self.last, "weights": weights}
        self.judged += 1
        return columns | {"robust_validation_accuracy": self.last}

    def robust_accuracy(self) -> float:
        """The accuracy on the first validation images under PGD from one fixed start an image."""
        held_out, device, steps = self.task.held_out, self.task.device, self.spec.validation_steps
        size = step_size(self.spec.eps, steps)
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
        patience = self.spec.patience
        return self.has_fallen() or (patience is not None and self.judged - 1 - self.best["row"] >= patience)

    def has_fallen(self) -> bool:
        """Whether robustness was lost between two validations: catastrophic overfitting (Wong et al. 2020)."""
        return self.spec.largest_fall is not None and self.best["score"] - self.last > self.spec.largest_fall

    def finish(self) -> None:
        if self.keeps_best():
            self.network.load_state_dict(self.best["weights"])

    def keeps_best(self) -> bool:
        """Whether the best weights are kept, rather than the last ones."""
        return self.spec.keep == "best" or self.has_fallen()

    def write(self, draft: Draft, history: History) -> None:
        kept = history[self.best["row"] if self.keeps_best() else -1]
        columns = ("epoch", "step", "validation_accuracy", "robust_validation_accuracy")
        draft.facts |= {name: kept[name] for name in columns if name in kept}
        if self.has_fallen():
            draft.facts["catastrophic_overfitting"] = True

    def state(self) -> dict[str, Any]:
        return {"judged": self.judged, "last": self.last, **self.best}

    def restore(self, state: dict[str, Any]) -> None:
        self.judged, self.last = state["judged"], state["last"]
        self.best = {name: state[name] for name in self.best}
