"""The threat `adaptive`: the exact gradient through the defended classifier, averaged over fresh draws (EOT)."""

from __future__ import annotations

from pathlib import Path

import torch
from pydantic import TypeAdapter
from torch import Tensor

from assay.attacks.victims.victim import Victim
from assay.classifiers.network import load_classifier
from assay.defended import Defended
from assay.noise import derive_seed, step_noise
from assay.purifiers.purifier import build_purifier
from assay.study.attacks import AttackSpec
from assay.study.purifiers import AnyPurifier

QUERIES_A_SEED = 256  # with draws, stays within the 16 bits that the noise has for a draw


class Expected(Victim):
    """Logits of the defended classifier, averaged over `draws` fresh draws that are folded into the batch.

    The average is over logits: for two classes the gradient of the margin is then exactly the mean of its gradients
    over the draws (Athalye et al. 2018). The attacker's draws have a seed of their own and never meet the evaluation's.
    """

    def __init__(self, defended: Defended, draws: int, seed: int) -> None:
        super().__init__()
        self.defended = defended
        self.draws = draws
        self.seed = seed
        self._keys = torch.empty(0, dtype=torch.int64)
        self._queries = 0

    def begin(self, keys: Tensor) -> None:
        self._keys = keys
        self._queries = 0

    def forward(self, x: Tensor) -> Tensor:
        """An attack may query part of its batch; its rows then take the first keys. No noise is used twice."""
        block, query = divmod(self._queries, QUERIES_A_SEED)
        self._queries += 1
        repeated = x.repeat_interleave(self.draws, dim=0)
        draws = (query * self.draws + torch.arange(self.draws)).repeat(len(x))
        keys = self._keys[: len(x)].repeat_interleave(self.draws)
        noise = step_noise(derive_seed(self.seed, block), keys, draws.to(keys.device), repeated)
        return self.defended(repeated, noise).unflatten(0, (len(x), self.draws)).mean(1)


def build(spec: AttackSpec, classifier: Path, diffusion: Path | None, device: torch.device) -> Expected:
    purifier = TypeAdapter(AnyPurifier).validate_python(spec.purifier)
    defended = Defended(build_purifier(purifier, diffusion, device), load_classifier(classifier, device))
    return Expected(defended, spec.attack.draws, derive_seed(spec.seed, "attack"))
