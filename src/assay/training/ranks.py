"""Training on several processes (torchrun's DDP): who this one is, and its share of a batch.

Order, flips, times and noise are drawn for the whole batch on every rank, which then takes its share: two ranks see
what one would.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

import torch
import torch.distributed as distributed
from torch import Tensor, nn

from assay.files import AssayError


@dataclass(frozen=True)
class Ranks:
    """This process's rank among `size`."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the rank that writes."""
        return self.rank == 0

    def share(self, rows: Tensor) -> Tensor:
        """This rank's rows of a batch."""
        return rows.tensor_split(self.size)[self.rank]

    def parallel(self, network: nn.Module) -> nn.Module:
        """The network, with gradients averaged over the ranks and, where the device can, batch statistics shared.

        On the CPU each rank normalises a batch by its own share: a network with batch normalisation then does not
        train as on one rank.
        """
        if self.size == 1:
            return network
        if next(network.parameters()).is_cuda:
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        return nn.parallel.DistributedDataParallel(network)

    def mean(self, value: Tensor) -> float:
        """The mean of a number over the ranks."""
        if self.size > 1:
            value = value.detach().clone()
            distributed.all_reduce(value)
            value /= self.size
        return value.item()

    def agree(self, decision: bool, device: torch.device) -> bool:
        """The first rank's decision."""
        if self.size == 1:
            return decision
        shared = torch.tensor([decision], dtype=torch.uint8, device=device)
        distributed.broadcast(shared, src=0)
        return bool(shared.item())

    def close(self) -> None:
        """Part from the other ranks."""
        if self.size > 1:
            distributed.destroy_process_group()


def run_on_ranks(wanted: int | None, batch_size: int) -> None:
    """Start this program again under torchrun on so many ranks; go on as it is if that is one, or already done.

    If nobody says how many, they are all GPUs of the machine that the batch can be shared by.
    """
    if "WORLD_SIZE" in os.environ:
        return
    visible = torch.cuda.device_count()
    size = wanted or max((count for count in range(1, visible + 1) if batch_size % count == 0), default=1)
    if size > 1:
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(size)]
        os.execv(sys.executable, [*torchrun, *sys.argv])


def join_ranks(batch_size: int, device: torch.device) -> Ranks:
    """The ranks that torchrun started, or this process alone."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return Ranks()
    if batch_size % size:
        raise AssayError(f"batch_size: {batch_size} cannot be shared by {size} ranks; choose a multiple of {size}")
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return Ranks(distributed.get_rank(), size)
