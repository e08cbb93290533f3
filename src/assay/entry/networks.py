"""Networks that are in memory in the place of artifacts, and how they are borrowed for a while."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from assay.inputs import Inputs
from assay.purifiers.purifier import Purify


@dataclass(frozen=True)
class Given(Inputs):
    """The artifacts of a job, but for its networks, which are given: a classifier and perhaps a purifier."""

    network: nn.Module | None = None
    purify: Purify | None = None

    def classifier(self, role: str = "classifier") -> nn.Module:
        """The classifier that was given, whatever the role."""
        return self.network


@contextlib.contextmanager
def borrowed(*parts: Any) -> Iterator[torch.device]:
    """Have the modules among the parts frozen, in evaluation mode and on the GPU where there is one; yields the device.

    Afterwards they, and torch's settings, are as they were.
    """
    modules = [part for part in parts if isinstance(part, nn.Module)]
    device = torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")
    training = {each: each.training for module in modules for each in module.modules()}
    learning = {each: each.requires_grad for module in modules for each in module.parameters()}
    places = [(module, next(module.parameters(), torch.empty(0)).device) for module in modules]
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    warn_only, benchmark = torch.is_deterministic_algorithms_warn_only_enabled(), torch.backends.cudnn.benchmark
    try:
        for module in modules:
            module.to(device).eval().requires_grad_(False)
        yield device
    finally:
        for module, place in places:
            module.to(place)
        for each, was in training.items():
            each.training = was
        for each, was in learning.items():
            each.requires_grad_(was)
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
        torch.backends.cudnn.benchmark = benchmark


def weights_hash(module: nn.Module) -> str:
    """What tells a module's weights and statistics from others: 16 hex digits of a SHA-256."""
    found = hashlib.sha256(type(module).__qualname__.encode())
    for name, values in sorted(module.state_dict().items()):
        found.update(name.encode())
        if isinstance(values, torch.Tensor):
            found.update(values.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return found.hexdigest()[:16]
