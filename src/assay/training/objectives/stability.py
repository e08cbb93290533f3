"""Training of a diffusion for a classifier: its own loss, and that the classifier answers on denoised images as before.

The stability loss of Salman et al. (2020), "Denoised smoothing", is the cross-entropy of C(D(x + n)) against C(x), with
the classifier C frozen. Here it stands beside the denoiser's squared error: alone it would make of the denoiser a
perturbation for that one classifier, and no defence of another.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from assay.artifacts import Draft
from assay.diffusion.validation import VALIDATION_BATCH
from assay.noise import derive_seed, step_noise
from assay.study.objectives import StabilityObjective
from assay.training.objective import Batch, History, Objective, Task
from assay.training.objectives.denoising import Denoising


def build(spec: StabilityObjective, task: Task) -> Objective:
    return Stability(task, spec)


class Stability(Denoising):
    """A denoiser's loss, plus `weight` times the cross-entropy of the guide's answers at the same levels and noise."""

    def __init__(self, task: Task, spec: StabilityObjective) -> None:
        super().__init__(task, spec.max_sigma)
        self.spec = spec
        self.asked = (task.inputs.classifier("guide"),)  # no submodule: it is not trained

    def forward(self, batch: Batch) -> Tensor:
        noise = batch.normal("noise", *batch.images.shape[1:])
        sigma = self.levels(batch.uniform("level")).to(batch.images)
        denoised = self.denoiser(batch.images + sigma.view(-1, 1, 1, 1) * noise, sigma)
        logits = self.asked[0](denoised).float()
        return super().forward(batch) + self.spec.weight * F.cross_entropy(logits, self.goals(batch))

    def levels(self, places: Tensor) -> Tensor:
        """The sigmas (n,) at which the denoiser's loss is taken for these places of the trained range."""
        schedule = self.denoiser.schedule
        times = (places.double() * (schedule.last_step(self.top) + 1)).long()
        return torch.from_numpy(schedule.sigmas)[times.cpu()]

    def goals(self, batch: Batch) -> Tensor:
        """The classes (n,) that the guide is to answer."""
        if self.spec.towards == "label":
            return batch.labels
        with torch.no_grad():
            return self.asked[0](batch.images).argmax(1)

    def judge(self) -> dict[str, float]:
        return super().judge() | {"validation_agreement": self.agreement()}

    @torch.inference_mode()
    def agreement(self) -> float:
        """The share of the validation images that the guide answers alike when clean, and when noised at the highest
        sigma that is trained and denoised."""
        held_out, device, agree = self.task.held_out, self.task.device, 0
        self.denoiser.eval()
        for start in range(0, len(held_out.table), VALIDATION_BATCH):
            clean = torch.from_numpy(held_out.pixels(start, start + VALIDATION_BATCH)).to(device)
            rows = range(start, start + len(clean))
            noise = step_noise(derive_seed(self.task.seed, "agreement"), rows, [0] * len(rows), clean)
            denoised = self.denoiser(clean + self.top * noise(0), self.top).clamp(0, 1)
            agree += int((self.asked[0](denoised).argmax(1) == self.asked[0](clean).argmax(1)).sum())
        return agree / len(held_out.table)

    def write(self, draft: Draft, history: History) -> None:
        super().write(draft, history)
        draft.facts["validation_agreement"] = history[-1]["validation_agreement"]
