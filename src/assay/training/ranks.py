"""Training on several processes (torchrun's DDP): who this one is, and its share of a batch.

Everything random is drawn by the place of an image in the whole batch, of which every rank takes its share: any number
of ranks sees what one would.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from dataclasses import dataclass

import torch
import torch.distributed as distributed
from torch import Tensor, nn

from assay.files import AssayError
from assay.study.training import Recipe
from assay.training.batch_norm import synchronise
from assay.training.launch import free_endpoint, on_nodes


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

    def parallel(self, objective: nn.Module) -> nn.Module:
        """An objective whose gradients are averaged over the ranks; its networks normalise by all ranks' images."""
        if self.size == 1:
            return objective
        synchronise(objective)
        return nn.parallel.DistributedDataParallel(objective)

    def without_exchange(self, parallel: nn.Module, last: bool) -> contextlib.AbstractContextManager:
        """Keeps gradients to this rank, but for the last part of its share."""
        return contextlib.nullcontext() if last or self.size == 1 else parallel.no_sync()

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

    def same(self, number: float, device: torch.device) -> bool:
        """Whether a number is the same on all ranks."""
        if self.size == 1:
            return True
        extremes = torch.tensor([number, -number], dtype=torch.float64, device=device)
        distributed.all_reduce(extremes, distributed.ReduceOp.MAX)
        return extremes.sum().item() == 0

    def close(self) -> None:
        """Part from the other ranks."""
        if self.size > 1:
            distributed.destroy_process_group()


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of a training that say how many processes it runs on."""
    parser.add_argument("--ranks", type=int, help="processes on each node; all GPUs of the machine if absent")
    parser.add_argument("--nodes", type=int, default=1, help="nodes of this Slurm job")


def run_on_ranks(ranks: int | None, nodes: int, recipe: Recipe) -> None:
    """Start this program again under torchrun on so many ranks of each node; go on if that is one, or already done.

    If nobody says how many, they are all GPUs of the machine that the batch can be shared by.
    """
    if "WORLD_SIZE" in os.environ:
        return
    whole = recipe.batch_size // (nodes * recipe.accumulate)
    visible = torch.cuda.device_count()
    size = ranks or max((count for count in range(1, visible + 1) if whole % count == 0), default=1)
    if nodes * size > 1:
        command = on_nodes(sys.argv, size, nodes, free_endpoint())
        os.execvp(command[0], command)


def join_ranks(recipe: Recipe, device: torch.device) -> Ranks:
    """The ranks that torchrun started, or this process alone."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if recipe.batch_size % (size * recipe.accumulate):
        parts = f"{size} ranks" if recipe.accumulate == 1 else f"{size} ranks of {recipe.accumulate} parts each"
        raise AssayError(
            f"batch_size: {recipe.batch_size} cannot be shared by {parts}; choose a multiple of "
            f"{size * recipe.accumulate}"
        )
    if size == 1:
        return Ranks()
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return Ranks(distributed.get_rank(), size)
