"""The denoising block of Xie et al. (2019), figure 4."""

from __future__ import annotations

from torch import Tensor, nn

from assay.networks.blocks import operations
from assay.study.blocks import WEIGHTED, Denoise

EMBEDDING_DEVIATION = 0.01


class DenoisingBlock(nn.Module):
    """Features x (n, c, h, w) to x + BN(W D(x)) with a 1 by 1 convolution W and a denoising operation D.

    A new block is the identity, since the scale of its batch normalisation starts at zero. Without x in the sum it
    starts at one: a block that gave zeros would pass nothing on.
    """

    def __init__(self, described: Denoise, channels: int) -> None:
        super().__init__()
        self.denoise = getattr(operations, described.operation)
        self.weighted = described.operation in WEIGHTED
        self.residual = described.residual
        inner = max(1, channels // 2)
        self.theta, self.phi = (_pointwise(channels, inner) if described.embedded else nn.Identity() for _ in range(2))
        self.projection = _pointwise(channels, channels) if described.projection else nn.Identity()
        self.norm = nn.BatchNorm2d(channels)
        if described.embedded:
            for embedding in (self.theta, self.phi):
                nn.init.normal_(embedding.weight, std=EMBEDDING_DEVIATION)
        if described.projection:
            nn.init.kaiming_normal_(self.projection.weight, mode="fan_out", nonlinearity="relu")
        if described.residual:
            nn.init.zeros_(self.norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        denoised = self.denoise(x, self.theta(x), self.phi(x)) if self.weighted else self.denoise(x)
        denoised = self.norm(self.projection(denoised))
        return x + denoised if self.residual else denoised


def _pointwise(channels: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(channels, outputs, 1, bias=False)
