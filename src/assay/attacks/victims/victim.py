"""What every victim is: images in [0,1] to logits, as the attacker sees and differentiates them.

Each threat is one module, `assay.attacks.victims.<threat>`, with `build(spec, classifier, diffusion, device)`; it is
found by name, so that the code fingerprint of a job holds just the threat that the job runs.
"""

from __future__ import annotations

import importlib
from pathlib import Path

import torch
from torch import Tensor, nn

from assay.study.attacks import AttackSpec


class Victim(nn.Module):
    """The module that an attack queries. The attack stage announces every batch before attacking it."""

    def begin(self, keys: Tensor) -> None:
        """A new batch begins; `keys` are the noise keys of its images. Deterministic victims ignore it."""


def build_victim(spec: AttackSpec, classifier: Path, diffusion: Path | None, device: torch.device) -> Victim:
    """The victim of a spec's threat."""
    module = importlib.import_module(f"assay.attacks.victims.{spec.attack.threat}")
    return module.build(spec, classifier, diffusion, device)
