"""Which gradient an attacker should follow through JPEG, whose own is zero almost everywhere.

    python benchmarks/jpeg_gradient.py

A small network is trained on phantom images. PGD of 40 steps on the margin goes through the real codec forward and
through one of three gradients backward, and is judged on the codec. The gradients: the identity (BPDA), a
differentiable JPEG whose rounding is taken for the identity, and one whose rounding has the derivative
3 (c - round c)^2. The lowest accuracy tells the best gradient.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from assay.data.phantom import tumour
from assay.logits import margin
from assay.purifiers import jpeg

SIDE, TRAIN, TEST, PASSES = 32, 2000, 128, 10
QUALITIES, EPS, STEPS = (50, 75, 90), (2 / 255, 4 / 255), 40
GRADIENTS = {
    "identity": lambda x, quality: x,
    "straight-through rounding": lambda x, quality: jpeg.differentiable(x, quality, straight_through),
    "cubic rounding": lambda x, quality: jpeg.differentiable(x, quality, jpeg.soft_round),
}


def straight_through(values: Tensor) -> Tensor:
    return values + (values.round() - values).detach()


def images(split: str, count: int) -> tuple[Tensor, Tensor]:
    drawn = torch.stack([torch.from_numpy(tumour.draw(0, split, number, SIDE)) for number in range(count)])
    labels = torch.tensor([tumour.label_of(0, split, number) for number in range(count)])
    return drawn.permute(0, 3, 1, 2).float() / 255, labels


def train(x: Tensor, labels: Tensor) -> nn.Module:
    def layer(before: int, after: int, stride: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(before, after, 3, stride, 1), nn.BatchNorm2d(after), nn.ReLU())

    body = [layer(3, 16, 1), layer(16, 32, 2), layer(32, 64, 2), layer(64, 64, 1)]
    network = nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, int(labels.max()) + 1))
    optimiser = torch.optim.AdamW(network.parameters(), 2e-3)
    for _ in range(PASSES):
        for rows in torch.randperm(len(x)).split(64):
            optimiser.zero_grad()
            F.cross_entropy(network(x[rows]), labels[rows]).backward()
            optimiser.step()
    return network.eval().requires_grad_(False)


def left(network: nn.Module, x: Tensor, labels: Tensor, quality: int, eps: float, gradient: str) -> float:
    """The accuracy that PGD leaves behind the codec, at each image's best point."""
    low, high = (x - eps).clamp(0, 1), (x + eps).clamp(0, 1)
    point, direction, least = x.clone(), torch.zeros_like(x), torch.full((len(x),), torch.inf)
    for step in range(STEPS):
        leaf = point.requires_grad_()
        smooth = GRADIENTS[gradient](leaf, quality)
        margins = margin(network(jpeg.codec(leaf.detach(), quality) + smooth - smooth.detach()), labels)
        (slope,) = torch.autograd.grad(-margins.sum(), leaf)
        least = torch.minimum(least, margins.detach())
        direction = 0.75 * direction + slope / slope.abs().mean((1, 2, 3), keepdim=True).clamp_min(1e-12)
        size = 20 * eps / STEPS * (1 - step / STEPS)
        point = (point.detach() + size * direction.sign()).clamp(low, high)
    return (least > 0).float().mean().item()


def main() -> None:
    torch.manual_seed(0)
    network = train(*images("train", TRAIN))
    x, labels = images("test", TEST)
    clean = {quality: (network(jpeg.codec(x, quality)).argmax(1) == labels).float().mean() for quality in QUALITIES}
    print(f"without JPEG {(network(x).argmax(1) == labels).float().mean():.1%}")
    for quality in QUALITIES:
        for eps in EPS:
            found = {name: f"{left(network, x, labels, quality, eps, name):.1%}" for name in GRADIENTS}
            print(f"quality {quality}, clean {clean[quality]:.1%}, eps {255 * eps:.0f}/255: {found}", flush=True)


if __name__ == "__main__":
    main()
