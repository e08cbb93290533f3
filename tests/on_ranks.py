"""Trainings on several ranks, for the tests: one process imports the library, and forks the ranks of each training.

python tests/on_ranks.py '[{"stage": "classifier", "ranks": 2, "spec": {…}, "inputs": {…}, "out": "…"}]'
"""

import json
import os
import sys
from pathlib import Path

from assay.inputs import Inputs
from assay.networks.libraries import import_library
from assay.study.classifiers import ClassifierSpec
from assay.study.diffusions import DiffusionSpec
from assay.training.classifier import train_classifier
from assay.training.diffusion import train_diffusion
from assay.training.launch import free_endpoint

STAGES = {"classifier": (ClassifierSpec, train_classifier), "diffusion": (DiffusionSpec, train_diffusion)}


def train(stage: str, spec: dict, inputs: dict, out: str) -> None:
    kind, run = STAGES[stage]
    run(kind.model_validate(spec), "code", Inputs({role: Path(path) for role, path in inputs.items()}), Path(out), 1)


def on_ranks(ranks: int, training: dict) -> None:
    """Run a training on so many forked processes, which find each other as torchrun's do: by their environment."""
    port = free_endpoint().rpartition(":")[2]
    os.environ |= {"WORLD_SIZE": str(ranks), "MASTER_ADDR": "localhost", "MASTER_PORT": port}
    processes = []
    for rank in range(ranks):
        process = os.fork()
        if process == 0:
            os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}
            try:
                train(**training)
                os._exit(0)
            except BaseException:
                sys.excepthook(*sys.exc_info())
                os._exit(1)
        processes.append(process)
    if any(os.waitpid(process, 0)[1] for process in processes):
        sys.exit("a rank failed")


if __name__ == "__main__":
    for library in ("timm", "diffusers.models.unets.unet_2d", "torch._dynamo"):
        import_library(library)  # once, not in every rank
    for training in json.loads(sys.argv[1]):
        on_ranks(training.pop("ranks"), training)
