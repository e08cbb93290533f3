"""Steps that are computed again for their gradient, so that memory does not grow with their number.

`torch.utils.checkpoint` does this for steps that call a network. A step that takes a gradient of its own, such as a
guided one, would have it recompute in the forward pass already; here it is recomputed once, in the backward pass.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn.attention import SDPBackend, sdpa_kernel

Step = Callable[..., tuple[Tensor, ...]]


def recomputed(step: Step, *tensors: Tensor) -> tuple[Tensor, ...]:
    """`step(*tensors)`, a pure function of them that gives tensors, with the exact gradient and none of its graph kept.

    All that the gradient flows through must be among `tensors`.
    """
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        return _Recomputed.apply(step, *tensors)
    return step(*tensors)


def slope(value: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """The gradient at images x (n, 3, h, w) of the sum of a function's values; where gradients are on, differentiable
    itself, so that an attacker gets the second-order term."""
    second = torch.is_grad_enabled()
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):  # fused attention has no second derivative
        at = x if second and x.requires_grad else x.detach().requires_grad_()
        return torch.autograd.grad(value(at).sum(), at, create_graph=second)[0]


class _Recomputed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, step: Step, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.step = step
        ctx.save_for_backward(*tensors)
        return step(*tensors)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, *gradients: Tensor) -> tuple[Any, ...]:
        needed = ctx.needs_input_grad[1:]
        leaves = [tensor.detach().requires_grad_(need) for tensor, need in zip(ctx.saved_tensors, needed, strict=True)]
        with torch.enable_grad():
            found = ctx.step(*leaves)
        parts = [part.requires_grad for part in found]
        outputs, heads = (list(itertools.compress(values, parts)) for values in (found, gradients))
        wanted = list(itertools.compress(leaves, needed))
        slopes = iter(torch.autograd.grad(outputs, wanted, heads, allow_unused=True))
        return None, *(next(slopes) if need else None for need in needed)
