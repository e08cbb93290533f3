"""Plain training of a diffusion: the denoiser's own loss at random noise levels."""

from __future__ import annotations

import math

from torch import Tensor

from assay.artifacts import Draft
from assay.diffusion.denoiser import Denoiser
from assay.diffusion.validation import validate
from assay.study.objectives import DenoisingObjective
from assay.training.objective import Batch, History, Objective, Task


def build(spec: DenoisingObjective, task: Task) -> Objective:
    return Denoising(task, spec.max_sigma)


class Denoising(Objective):
    """The loss of a denoiser, at levels drawn evenly from the time steps up to `max_sigma`."""

    def __init__(self, task: Task, max_sigma: float | None) -> None:
        super().__init__()
        self.denoiser: Denoiser = task.network
        self.task = task
        self.top = min(max_sigma or math.inf, self.denoiser.schedule.highest)

    def forward(self, batch: Batch) -> Tensor:
        places = batch.uniform("level")
        noise = batch.normal("noise", *batch.images.shape[1:])
        return self.denoiser.loss(batch.images, places, noise, self.top).mean()

    def judge(self) -> dict[str, float]:
        return {"validation_loss": validate(self.denoiser, self.task.held_out, self.top, self.task.seed)}

    def write(self, draft: Draft, history: History) -> None:
        draft.facts["validation_loss"] = history[-1]["validation_loss"]
