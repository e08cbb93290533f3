"""The smoothed classifier: what the classifier behind a defence answers most often, over the defence's noise."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from assay.inputs import Inputs
from assay.noise import derive_seed, step_noise
from assay.purifiers.purifier import Purify, build_purifier
from assay.study.purifiers import AnyPurifier

# What draws are for. Purposes never share a draw, nor does any with the evaluation.
SELECTION, ESTIMATION, SEQUENTIAL = "selection", "estimation", "sequential"


class Smoothed:
    """A defended classifier that is asked in many draws at once, `room` images at most.

    An image's draws depend on the study's seed, its key, the purpose and their number alone: they may be counted in any
    order and in any pieces.
    """

    def __init__(self, purify: Purify, classifier: nn.Module, classes: int, seed: int, room: int) -> None:
        self.purify = purify
        self.classifier = classifier
        self.classes = classes
        self.seed = derive_seed(seed, "certify")
        self.room = room

    def logits(self, x: Tensor, keys: Tensor, purpose: str, draws: range) -> Tensor:
        """The logits (n, draws, classes) of images (n, 3, h, w) in these draws."""
        repeated = x.repeat_interleave(len(draws), dim=0)
        numbers = torch.tensor(draws, device=x.device).repeat(len(x))
        noise = step_noise(derive_seed(self.seed, purpose), keys.repeat_interleave(len(draws)), numbers, repeated)
        return self.classifier(self.purify(repeated, noise)).unflatten(0, (len(x), len(draws)))

    @torch.inference_mode()
    def votes(self, x: Tensor, keys: Tensor, purpose: str, draws: range) -> Tensor:
        """How many of these draws each class gets: int64 (n, classes)."""
        found = torch.zeros(len(x), self.classes, dtype=torch.int64, device=x.device)
        every, at_once = torch.arange(self.classes, device=x.device), max(1, self.room // len(x))
        for first in range(0, len(draws), at_once):
            answers = self.logits(x, keys, purpose, draws[first : first + at_once]).argmax(-1)
            found += (answers[..., None] == every).sum(1)
        return found


def build_smoothed(purifier: AnyPurifier, inputs: Inputs, classes: int, seed: int, room: int) -> Smoothed:
    """The smoothed classifier of a purifier's spec, from the artifacts that it needs."""
    return Smoothed(build_purifier(purifier, inputs), inputs.classifier(), classes, seed, room)


def stretch_of(purifier: AnyPurifier, inputs: Inputs, side: int) -> float:
    """The most that a change of an image of this side is lengthened before noise is added; 1 where none resizes it."""
    return inputs.denoiser().stretch((side, side)) if "diffusion" in purifier.needs else 1.0
