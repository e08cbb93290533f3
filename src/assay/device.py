"""The device and precision that a stage uses: chosen here, not by the user."""

from __future__ import annotations

import contextlib
import os

import torch


def prepare(threads: int) -> torch.device:
    """Set up torch for one stage and return its device: the GPU where there is one, else the CPU."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def name(device: torch.device) -> str:
    """The device as a manifest names it."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def training_precision(device: torch.device) -> contextlib.AbstractContextManager:
    """Autocast to bfloat16 where the device computes in it; plain float32 elsewhere. No loss scaling is needed."""
    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        return torch.autocast("cuda", torch.bfloat16)
    return contextlib.nullcontext()
