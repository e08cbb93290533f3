"""Start a training on several processes of several nodes: `torchrun` on each node, by Slurm's `srun`.

    python -m assay.training.launch --nodes 2 --ranks 4 [--within "apptainer exec --nv IMAGE"] STAGE.py OPTIONS

is to be run on the first of the job's nodes, where `srun` is: outside a container; the stage itself runs within one.
"""

from __future__ import annotations

import argparse
import os
import shlex
import socket
import sys
from collections.abc import Sequence


def torchrun(ranks: int, nodes: int = 1, endpoint: str | None = None) -> list[str]:
    """Python's options to start a program on so many ranks of this node; those of other nodes meet at `endpoint`."""
    module = ["-m", "torch.distributed.run", f"--nproc-per-node={ranks}"]
    if nodes == 1:
        return [*module, "--standalone"]
    job = os.environ.get("SLURM_JOB_ID", "assay")
    return [*module, f"--nnodes={nodes}", "--rdzv-backend=c10d", f"--rdzv-endpoint={endpoint}", f"--rdzv-id={job}"]


def on_nodes(program: Sequence[str], ranks: int, nodes: int, endpoint: str, within: Sequence[str] = ()) -> list[str]:
    """The command line that starts a program on so many ranks of each of so many nodes of this Slurm job.

    `program` is a stage and its options, `endpoint` HOST:PORT of the first node, `within` a container's command.
    Of one node, or outside a Slurm job, all ranks are of this machine.
    """
    python = "python" if within else sys.executable
    if nodes == 1 or "SLURM_JOB_ID" not in os.environ:
        return [*within, python, *torchrun(ranks * nodes), *program]
    step = ["srun", f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1", "--overlap", "--kill-on-bad-exit=1"]
    return [*step, *within, python, *torchrun(ranks, nodes, endpoint), *program]


def free_endpoint() -> str:
    """A port of this machine that is free now, as HOST:PORT."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        return f"{socket.gethostname()}:{probe.getsockname()[1]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, required=True, help="nodes of the job")
    parser.add_argument("--ranks", type=int, required=True, help="processes on each node")
    parser.add_argument("--within", default="", help="a container's command, in which the program runs")
    parser.add_argument("program", nargs=argparse.REMAINDER, help="the stage and its options")
    arguments = parser.parse_args()
    command = on_nodes(
        arguments.program, arguments.ranks, arguments.nodes, free_endpoint(), shlex.split(arguments.within)
    )
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
