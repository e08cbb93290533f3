"""What a classifier is on a stack: whether it takes the images at all, and how often it is right."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from assay.files import AssayError
from assay.stacks import Stack

BATCH = 256


@torch.inference_mode()
def check_logits(model: nn.Module, images: Tensor, classes: int, name: str) -> None:
    """Refuse a network whose output for images (n, 3, h, w) in [0,1] is no table of logits (n, classes)."""
    try:
        output = model(images)
    except Exception as error:  # whatever a network does with images of another size
        fault = " ".join(str(error).split())
        raise AssayError(
            f"classifiers: network {name} does not take images of {images.shape[-1]} pixels ({fault}); "
            f"choose another network or set its arguments"
        ) from None
    shape = (len(images), classes)
    if not isinstance(output, Tensor) or output.shape != shape:
        found = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise AssayError(
            f"classifiers: network {name} must return {classes} logits per image, a tensor {shape} for {shape[0]}; "
            f"found {found}; set its arguments"
        )


def check_stack(model: nn.Module, stack: Stack, classes: int, name: str, device: torch.device) -> None:
    """Refuse a network whose output for the first images of a stack is no table of logits."""
    check_logits(model.eval(), torch.from_numpy(stack.pixels(0, 2)).to(device), classes, name)


@torch.inference_mode()
def logits_of(model: nn.Module, stack: Stack, device: torch.device) -> Tensor:
    """Logits (images, classes) of a stack, in evaluation mode."""
    model.eval()
    starts = range(0, len(stack.table), BATCH)
    batches = (torch.from_numpy(stack.pixels(start, start + BATCH)).to(device) for start in starts)
    return torch.cat([model(batch).float() for batch in batches])


def validate(model: nn.Module, stack: Stack, device: torch.device) -> tuple[float, float]:
    """Mean cross-entropy and accuracy over a stack."""
    logits = logits_of(model, stack, device)
    labels = torch.from_numpy(stack.labels.astype("int64")).to(device)
    right = int((logits.argmax(1) == labels).sum())
    return F.cross_entropy(logits.double(), labels).item(), right / len(labels)
