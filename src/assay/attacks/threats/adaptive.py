"""The threat `adaptive`: the exact gradient through the defended classifier, averaged over fresh draws (EOT)."""

from __future__ import annotations

from pathlib import Path

import torch

from assay.attacks.threats.defended import Expected, expected, load_purify
from assay.study.attacks import AttackSpec


def build(spec: AttackSpec, classifier: Path, diffusion: Path | None, device: torch.device) -> Expected:
    purify = load_purify(spec, diffusion, device)
    return expected(spec, classifier, purify, purify, device)
