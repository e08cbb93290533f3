"""Wide residual networks (Zagoruyko and Komodakis 2016) as adversarial training for CIFAR has them.

Blocks are in pre-activation order; where a block changes the number of channels, its shortcut starts after the first
activation. RobustBench's weights are of such networks, in two editions: TRADES's (ReLU), whose names of layers are used
here, and DeepMind's (Gowal et al. 2020; Swish, and padding at the right and the bottom alone where a block halves the
image).
"""

from __future__ import annotations

import math
import re

import torch.nn.functional as F
from torch import Tensor, nn

NAME = re.compile(r"wide_resnet_(\d+)_(\d+)(_swish)?")
STEM = 16  # channels of the first convolution
BESIDE_BLOCKS = 4  # layers that are in none of the three groups of blocks
IN_BLOCKS = 6  # layers that one block in each of the groups adds


class Block(nn.Module):
    """Two 3x3 convolutions, each after a normalisation and an activation, beside a shortcut."""

    def __init__(self, before: int, after: int, stride: int, swish: bool) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(before)
        self.conv1 = nn.Conv2d(before, after, 3, stride, padding=0 if swish else 1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.convShortcut = nn.Conv2d(before, after, 1, stride, bias=False) if before != after else None
        self.activate = F.silu if swish else F.relu
        self.pad = ((0, 1, 0, 1) if stride > 1 else (1, 1, 1, 1)) if swish else (0, 0, 0, 0)

    def forward(self, x: Tensor) -> Tensor:
        active = self.activate(self.bn1(x))
        shortcut = x if self.convShortcut is None else self.convShortcut(active)
        active = self.activate(self.bn2(self.conv1(F.pad(active, self.pad))))
        return shortcut + self.conv2(active)


class Group(nn.Module):
    """Blocks one after the other, the first of which changes the channels and, by its stride, the size."""

    def __init__(self, blocks: int, before: int, after: int, stride: int, swish: bool) -> None:
        super().__init__()
        first = Block(before, after, stride, swish)
        self.layer = nn.Sequential(first, *(Block(after, after, 1, swish) for _ in range(blocks - 1)))

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


class WideResNet(nn.Module):
    """Normalised images (n, 3, h, w) to logits (n, classes), by `depth` layers `width` times as wide as ResNet's."""

    def __init__(self, depth: int, width: int, classes: int, swish: bool = False) -> None:
        super().__init__()
        blocks = (depth - BESIDE_BLOCKS) // IN_BLOCKS
        channels = [STEM * width, 2 * STEM * width, 4 * STEM * width]
        self.conv1 = nn.Conv2d(3, STEM, 3, padding=1, bias=False)
        self.block1 = Group(blocks, STEM, channels[0], 1, swish)
        self.block2 = Group(blocks, channels[0], channels[1], 2, swish)
        self.block3 = Group(blocks, channels[1], channels[2], 2, swish)
        self.bn1 = nn.BatchNorm2d(channels[2])
        self.fc = nn.Linear(channels[2], classes)
        self.activate = F.silu if swish else F.relu
        for module in self.modules():
            if isinstance(module, nn.Conv2d):  # He et al. 2015, by what leaves a layer
                spread = math.sqrt(2 / (module.kernel_size[0] * module.kernel_size[1] * module.out_channels))
                nn.init.normal_(module.weight, 0, spread)
        nn.init.zeros_(self.fc.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.block3(self.block2(self.block1(self.conv1(x))))
        return self.fc(self.activate(self.bn1(x)).mean((2, 3)))


def wide_resnet(name: str, classes: int) -> WideResNet:
    """The network of a name: `wide_resnet_28_10` has 28 layers, ten times as wide; `…_swish` is DeepMind's edition."""
    depth, width, swish = NAME.fullmatch(name).groups()
    return WideResNet(int(depth), int(width), classes, swish is not None)
