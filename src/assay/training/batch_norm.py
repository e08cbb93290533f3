"""Batch normalisation over all ranks, on the CPU too (`torch.nn.SyncBatchNorm` is for GPUs only)."""

from __future__ import annotations

import torch
import torch.distributed as distributed
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from assay.files import AssayError

PLAIN = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
FEWEST_IMAGES = 2
FUSED = ("drop", "act")  # of timm's layers that normalise and then activate


class SynchronisedBatchNorm(nn.modules.batchnorm._BatchNorm):
    """A batch normalisation whose statistics in training are those of all ranks' images.

    With N values a channel over all ranks: mean = sum(x) / N and variance = sum((x - mean)^2) / N, in two all-reduces
    that gradients flow through. It has the parameters and statistics of the layer that it stands for, by their names.
    """

    def __init__(self, layer: nn.modules.batchnorm._BatchNorm) -> None:
        super().__init__(layer.num_features, layer.eps, layer.momentum, affine=False, track_running_stats=False)
        self.affine, self.track_running_stats = layer.affine, layer.track_running_stats
        self.weight, self.bias = layer.weight, layer.bias
        self.running_mean, self.running_var = layer.running_mean, layer.running_var
        self.num_batches_tracked = layer.num_batches_tracked
        self.after = [name for name in FUSED if hasattr(layer, name)]
        for name in self.after:
            self.add_module(name, getattr(layer, name))
        self.train(layer.training)

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of dimensions from two is right."""

    def forward(self, x: Tensor) -> Tensor:
        if self.training or not self.track_running_stats:
            normalised = self._normalise_batch(x)
        else:
            normalised = F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
            )
        for name in self.after:
            normalised = getattr(self, name)(normalised)
        return normalised

    def _normalise_batch(self, x: Tensor) -> Tensor:
        axes = [axis for axis in range(x.ndim) if axis != 1]
        shape = [1, -1, *[1] * (x.ndim - 2)]
        values = x.float()
        count = _total(values.new_tensor([x.numel() / x.shape[1]])).item()
        mean = _total(values.sum(axes)) / count
        centred = values - mean.view(shape)
        variance = _total(centred.square().sum(axes)) / count
        if self.track_running_stats:
            self._track(mean.detach(), variance.detach() * count / max(1.0, count - 1))
        normalised = centred * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            normalised = normalised * self.weight.view(shape) + self.bias.view(shape)
        return normalised.to(x.dtype)

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor) -> None:
        self.num_batches_tracked += 1
        share = 1 / self.num_batches_tracked.item() if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)


def require_several(networks: nn.Module, images: int) -> None:
    """Refuse to train batch normalisation on one image at a time, which has no statistics of a batch."""
    for name, layer in networks.named_modules():
        if images < FEWEST_IMAGES and layer.training and isinstance(layer, nn.modules.batchnorm._BatchNorm):
            raise AssayError(
                f"batch_size: {name} is a batch normalisation, and is trained on one image at a time; raise batch_size "
                "(and images.train, if there are fewer images), or lower accumulate"
            )


class _AllReduce(torch.autograd.Function):
    """The sum over all ranks, whose gradient is the sum of all ranks' gradients."""

    @staticmethod
    def forward(ctx: FunctionCtx, value: Tensor) -> Tensor:
        total = value.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> Tensor:
        total = gradient.contiguous().clone()
        distributed.all_reduce(total)
        return total


def _total(value: Tensor) -> Tensor:
    return _AllReduce.apply(value)


def synchronise(networks: nn.Module) -> None:
    """Let every batch normalisation inside these networks take its statistics over all ranks."""
    for name, layer in list(networks.named_modules()):
        if not isinstance(layer, nn.modules.batchnorm._BatchNorm):
            continue
        parent, _, own = name.rpartition(".")
        if type(layer) in PLAIN and next(layer.parameters(), torch.empty(0)).is_cuda:
            replaced = nn.SyncBatchNorm.convert_sync_batchnorm(layer)
        elif type(layer) in PLAIN or all(hasattr(layer, part) for part in FUSED):
            replaced = SynchronisedBatchNorm(layer)
        else:
            raise AssayError(
                f"ranks: {type(layer).__name__} ({name}) is a batch normalisation whose statistics cannot be shared; "
                "train on one rank, or use torch.nn.BatchNorm2d"
            )
        setattr(networks.get_submodule(parent), own, replaced)
