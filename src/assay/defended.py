"""The defended classifier: a defence then the classifier, one differentiable module."""

from __future__ import annotations

from torch import Tensor, nn

from assay.noise import StepNoise
from assay.purifiers.purifier import Purify


class Defended(nn.Module):
    """Images in [0,1] and the noise of one draw an image to logits; the gradient is exact through both parts."""

    def __init__(self, purify: Purify, classifier: nn.Module) -> None:
        super().__init__()
        self.purify = purify
        self.classifier = classifier

    def forward(self, x: Tensor, noise: StepNoise) -> Tensor:
        return self.classifier(self.purify(x, noise))
