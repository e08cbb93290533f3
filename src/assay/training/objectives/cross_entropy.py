"""Plain training of a classifier: the cross-entropy of images as they are."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from assay.artifacts import Draft
from assay.networks.validation import validate
from assay.study.objectives import CrossEntropyObjective
from assay.training.objective import Batch, History, Objective, Task


def build(spec: CrossEntropyObjective, task: Task) -> Objective:
    return CrossEntropy(task, spec.label_smoothing)


class CrossEntropy(Objective):
    """The cross-entropy of a classifier."""

    def __init__(self, task: Task, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.network: nn.Module = task.network
        self.task = task
        self.label_smoothing = label_smoothing

    def forward(self, batch: Batch) -> Tensor:
        return F.cross_entropy(self.network(batch.images).float(), batch.labels, label_smoothing=self.label_smoothing)

    def judge(self) -> dict[str, float]:
        loss, accuracy = validate(self.network, self.task.held_out, self.task.device)
        return {"validation_loss": loss, "validation_accuracy": accuracy}

    def write(self, draft: Draft, history: History) -> None:
        draft.facts["validation_accuracy"] = history[-1]["validation_accuracy"]
