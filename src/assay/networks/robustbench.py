"""RobustBench's state dicts (Croce et al. 2021) of wide residual networks, under the names of `wide_resnet`."""

from __future__ import annotations

import re

from assay.networks.published import State

PREFIXES = ("module.", "model.")  # of networks that were trained in parallel, or inside another module
UNUSED = "sub_block1."  # TRADES's code builds these blocks, and its networks do not call them
COLOURS = {"mu": "mean", "mean": "mean", "sigma": "std", "std": "std"}  # buffers that some networks normalise by
# DeepMind's names, and ours.
DEEPMIND = (
    (r"^init_conv\.", "conv1."),
    (r"^batchnorm\.", "bn1."),
    (r"^logits\.", "fc."),
    (r"^layer\.(\d+)\.block\.(\d+)\.", lambda found: f"block{int(found[1]) + 1}.layer.{found[2]}."),
    (r"batchnorm_0\.", "bn1."),
    (r"batchnorm_1\.", "bn2."),
    (r"conv_0\.", "conv1."),
    (r"conv_1\.", "conv2."),
    (r"shortcut\.", "convShortcut."),
)


def from_robustbench(state: State) -> tuple[State, dict[str, tuple[float, ...]]]:
    """A state dict under our names, and the mean and the standard deviation that it normalises by, if it has them."""
    state = {_bare(name): value for name, value in state.items()}
    colours = {COLOURS[name]: tuple(value.flatten().tolist()) for name, value in state.items() if name in COLOURS}
    kept = {name: value for name, value in state.items() if name not in COLOURS and not name.startswith(UNUSED)}
    if not any(name.startswith("init_conv.") for name in kept):
        return kept, colours
    return {_renamed(name): value for name, value in kept.items()}, colours


def _bare(name: str) -> str:
    for prefix in PREFIXES:
        name = name.removeprefix(prefix)
    return name


def _renamed(name: str) -> str:
    for pattern, ours in DEEPMIND:
        name = re.sub(pattern, ours, name)
    return name
