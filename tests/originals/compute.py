"""Compute values.json: what the authors' own code makes of planted weights. Not a test: it needs that code.

    PYTHONPATH=tests python tests/originals/compute.py ROBUSTBENCH GUIDED IMPROVED

names checkouts of github.com/RobustBench/robustbench, openai/guided-diffusion and openai/improved-diffusion. Only their
definitions of networks are imported. `values.json` has for each network the shapes of its state dict by name, and what
it gives for `planted.images`; the tests plant the same weights in ours.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn

from originals.planted import images, planted

OUT = Path(__file__).with_name("values.json")
SIDE = 32
DIGITS = 7


def load(path: Path, name: str) -> Any:
    """A module of a checkout by its file, imported as `name`."""
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def rounded(values: torch.Tensor) -> list[str]:
    """Each image's values, as one text."""
    return [" ".join(f"{value:.{DIGITS}g}" for value in row) for row in values.flatten(1).tolist()]


def shapes_of(network: nn.Module) -> dict[str, str]:
    return {name: " ".join(map(str, value.shape)) for name, value in network.state_dict().items()}


def plant(network: nn.Module) -> nn.Module:
    network.load_state_dict(planted(shapes_of(network)))
    return network.eval()


def commit(checkout: Path) -> str:
    return subprocess.run(["git", "-C", checkout, "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()


def robustbench(checkout: Path) -> dict[str, Any]:
    folder = checkout / "robustbench/model_zoo/architectures"
    plain, deepmind = load(folder / "wide_resnet.py", "plain"), load(folder / "dm_wide_resnet.py", "deepmind")
    networks = {
        "wide_resnet_10_1": plain.WideResNet(depth=10, widen_factor=1, sub_block1=True),
        "wide_resnet_16_2": plain.WideResNet(depth=16, widen_factor=2),
        "wide_resnet_10_2_swish": deepmind.DMWideResNet(10, 10, 2, deepmind.Swish),
        "wide_resnet_16_1_swish": deepmind.DMWideResNet(
            100, 16, 1, deepmind.Swish, deepmind.CIFAR100_MEAN, deepmind.CIFAR100_STD
        ),
    }
    found = {}
    with torch.inference_mode():
        for name, network in networks.items():
            logits = plant(network)(images(2, SIDE))
            found[name] = {"shapes": shapes_of(network), "logits": rounded(logits)}
    return {"commit": commit(checkout), "networks": found}


if __name__ == "__main__":
    robust, *_ = map(Path, sys.argv[1:])
    OUT.write_text(json.dumps({"robustbench": robustbench(robust)}, indent=1) + "\n")
