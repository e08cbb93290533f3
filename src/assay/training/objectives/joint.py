"""A denoiser trained for the classifier behind it: the denoising loss and the classifier's (Salman et al. 2020).

The classifier stays as it is. Without the denoising loss beside it the denoiser would learn to fool that one network.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from assay.artifacts import Draft
from assay.diffusion.validation import VALIDATION_BATCH
from assay.noise import derive_seed, step_noise
from assay.study.objectives import JointObjective
from assay.training.objective import Batch, History, Objective, Task
from assay.training.objectives.denoising import Denoising

AGREEMENT = "validation_agreement"


def build(spec: JointObjective, task: Task) -> Objective:
    return Joint(spec, task)


class Joint(Denoising):
    """The loss of a denoiser, and that of a classifier on its estimates, at the same levels and noise."""

    def __init__(self, spec: JointObjective, task: Task) -> None:
        super().__init__(task, spec.max_sigma)
        self.spec = spec
        self.guide = (task.inputs.classifier("guide"),)  # no submodule: it is not trained

    def forward(self, batch: Batch) -> Tensor:
        places, noise = batch.uniform("level"), batch.normal("noise", *batch.images.shape[1:])
        sigma = self.denoiser.level(places, self.top).to(noise)
        clean = self.denoiser.estimate(batch.images + sigma.view(-1, 1, 1, 1) * noise, sigma)
        with torch.no_grad():
            wanted = batch.labels if self.spec.target == "label" else self.guide[0](batch.images).argmax(1)
        classifying = F.cross_entropy(self.guide[0](clean).float(), wanted)
        return self.denoiser.loss(batch.images, places, noise, self.top).mean() + self.spec.weight * classifying

    def judge(self) -> dict[str, float]:
        return super().judge() | {AGREEMENT: self.agreement()}

    @torch.inference_mode()
    def agreement(self) -> float:
        """The share of the validation images that the classifier answers alike when clean, and when noised at the
        highest sigma that is trained and denoised."""
        held_out, device, agree = self.task.held_out, self.task.device, 0
        self.denoiser.eval()
        for start in range(0, len(held_out.table), VALIDATION_BATCH):
            clean = torch.from_numpy(held_out.pixels(start, start + VALIDATION_BATCH)).to(device)
            rows = range(start, start + len(clean))
            noise = step_noise(derive_seed(self.task.seed, "agreement"), rows, [0] * len(rows), clean)
            denoised = self.denoiser(clean + self.top * noise(0), self.top).clamp(0, 1)
            agree += int((self.guide[0](denoised).argmax(1) == self.guide[0](clean).argmax(1)).sum())
        return agree / len(held_out.table)

    def write(self, draft: Draft, history: History) -> None:
        super().write(draft, history)
        draft.facts[AGREEMENT] = history[-1][AGREEMENT]
