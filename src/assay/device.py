"""The device and precision that a stage uses: chosen here, not by the user."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence

import torch


def prepare(threads: int) -> torch.device:
    """Set up torch for one stage and return its device: the GPU where there is one, else the CPU."""
    torch.set_num_threads(threads)
    if torch.cuda.is_available():
        # Not on the CPU: what we use is deterministic there, and the call imports torch's compiler, a second a job.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.backends.cudnn.benchmark = False
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
        return device
    return torch.device("cpu")


def name(device: torch.device) -> str:
    """The device as a manifest names it."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def names(results: Sequence[Mapping[str, object]]) -> str:
    """The devices that computed the batches of an artifact, as a manifest names them."""
    return ", ".join(sorted({str(result["device"]) for result in results}))


def training_precision(device: torch.device) -> contextlib.AbstractContextManager:
    """Autocast to bfloat16 where the device computes in it; plain float32 elsewhere. No loss scaling is needed."""
    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        return torch.autocast("cuda", torch.bfloat16)
    return contextlib.nullcontext()
