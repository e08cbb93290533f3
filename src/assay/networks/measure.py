"""What one call of a network costs, measured without its weights and without computing: on shapes alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from pydantic import TypeAdapter
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from assay.networks.classifier import build_classifier
from assay.networks.unet import build_network
from assay.study.diffusions import Diffusion
from assay.study.networks import AnyNetwork

COLOURS = 3


def measure(described: Mapping[str, Any]) -> dict[str, int]:
    """The size of a network that `assay.planning.networks` describes.

    Parameters; multiply-adds of a call on one image; bytes that the call keeps for a gradient with respect to it.
    """
    keys, side = described["network"], described["side"]
    with torch.device("meta"):
        network, call = _classifier(keys, described["classes"]) if "classes" in described else _diffusion(keys, side)
        network.eval().requires_grad_(False)
        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            call(torch.empty(1, COLOURS, side, side))
        return {
            "parameters": sum(parameter.numel() for parameter in network.parameters()),
            "multiply_adds": counter.get_total_flops() // 2,
            "gradient_bytes": _kept(network, call, torch.empty(1, COLOURS, side, side, requires_grad=True)),
        }


def _classifier(keys: dict[str, Any], classes: int) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    network = build_classifier(TypeAdapter(AnyNetwork).validate_python(keys), classes)
    return network, network


def _diffusion(keys: dict[str, Any], side: int) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    network = build_network(Diffusion(**keys, norm_groups=1, steps=1), side)
    return network, lambda images: network(images, torch.zeros(1)).sample


def _kept(network: nn.Module, call: Callable[[Tensor], Tensor], images: Tensor) -> int:
    """The bytes, apart from the network's own, that a call keeps for its backward pass."""
    own = {tensor.untyped_storage()._cdata for tensor in [*network.parameters(), *network.buffers()]}
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept.setdefault(tensor.untyped_storage()._cdata, tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        call(images)
    return sum(tensor.untyped_storage().nbytes() for storage, tensor in kept.items() if storage not in own)
