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


TIMES = (7.25, 600.0)
EVERY = 25  # of the values of a U-Net's output one is kept
UNETS = {
    "improved": {
        "scaled": {"out_channels": 6, "num_res_blocks": 2, "channel_mult": (1, 2, 2), "use_scale_shift_norm": True},
        "added": {"out_channels": 3, "num_res_blocks": 1, "channel_mult": (1, 2), "use_scale_shift_norm": False},
    },
    "guided": {
        "resnets": {"out_channels": 6, "num_res_blocks": 1, "channel_mult": (1, 2, 3), "attention_resolutions": (2, 4)},
        "deep": {"out_channels": 6, "num_res_blocks": 2, "channel_mult": (1, 1, 2), "attention_resolutions": (4,)},
    },
}
USUAL = {
    "improved": {"in_channels": 3, "model_channels": 32, "attention_resolutions": (2,), "num_heads": 2},
    "guided": {
        "image_size": 16,
        "in_channels": 3,
        "model_channels": 32,
        "num_head_channels": 32,
        "resblock_updown": True,
        "use_scale_shift_norm": True,
    },
}


def openai(edition: str, checkout: Path) -> dict[str, Any]:
    sys.path.insert(0, str(checkout))
    unet = importlib.import_module(f"{edition}_diffusion.unet").UNetModel
    found = {}
    with torch.inference_mode():
        for name, keys in UNETS[edition].items():
            network = plant(unet(**USUAL[edition], **keys))
            output = network(images(2, 16) * 2 - 1, torch.tensor(TIMES))[:, :3]
            found[name] = {"shapes": shapes_of(network), "noise": rounded(output.flatten(1)[:, ::EVERY])}
    return {"commit": commit(checkout), "times": TIMES, "every": EVERY, "networks": found}


if __name__ == "__main__":
    robust, guided, improved = (Path(each).resolve() for each in sys.argv[1:])
    found = {
        "robustbench": robustbench(robust),
        "guided": openai("guided", guided),
        "improved": openai("improved", improved),
    }
    OUT.write_text(json.dumps(found, indent=1) + "\n")
