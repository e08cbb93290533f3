"""TensorFlow's SAME padding, for networks whose weights were trained there."""

from __future__ import annotations

import math

from torch import Tensor, nn

from assay.networks.libraries import import_library


def pad_as_tensorflow(network: nn.Module) -> None:
    """Let layers that take every second place, or fewer, pad as TensorFlow's SAME does: the odd line at the end."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d) and layer.stride not in (1, (1, 1)):
            layer.padding = 0 if isinstance(layer, nn.MaxPool2d) else (0, 0)
            layer.register_forward_pre_hook(_pad)


def _pad(layer: nn.Conv2d | nn.MaxPool2d, inputs: tuple[Tensor]) -> Tensor:
    sizes = [_pair(size) for size in (layer.kernel_size, layer.stride, layer.dilation)]
    value = -math.inf if isinstance(layer, nn.MaxPool2d) else 0.0
    return import_library("timm.layers").pad_same(inputs[0], *sizes, value=value)


def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size
