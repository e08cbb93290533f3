"""Adversarial weight perturbation (Wu et al. 2020): the weights that a step's gradient is taken at are moved first."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.distributed as distributed
from torch import Tensor, nn
from torch.func import functional_call

Network = Callable[[Tensor], Tensor]  # images (n, 3, h, w) to logits (n, classes)
SMALLEST = 1e-20


def perturbed(network: nn.Module, loss: Callable[[Network], Tensor], gamma: float) -> Network:
    """The network with each weight w moved by gamma |w| g / |g|, where g is the gradient of the loss (eq. 9 and 10).

    Biases and normalisation layers stay where they are. What is computed from the moved network has its gradient with
    respect to the network's own weights. All ranks move them alike.
    """
    weights = {name: value for name, value in network.named_parameters() if value.ndim > 1 and value.requires_grad}
    shadows = {name: value.detach().clone().requires_grad_() for name, value in weights.items()}
    statistics = {name: value.clone() for name, value in network.named_buffers()}  # of which this pass is no part
    value = loss(lambda images: functional_call(network, shadows | statistics, (images,)))
    gradients = torch.autograd.grad(value, list(shadows.values()), allow_unused=True)
    moved = {
        name: weight + _move(weight.detach(), gradient, gamma)
        for (name, weight), gradient in zip(weights.items(), gradients, strict=True)
        if gradient is not None
    }
    return lambda images: functional_call(network, moved, (images,))


def _move(weight: Tensor, gradient: Tensor, gamma: float) -> Tensor:
    if distributed.is_initialized():
        distributed.all_reduce(gradient)  # its length does not count
    return gamma * weight.norm() / gradient.norm().clamp_min(SMALLEST) * gradient
