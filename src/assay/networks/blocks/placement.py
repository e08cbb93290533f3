"""Denoising blocks put into a residual network of timm or torchvision, whose own parameters keep their names."""

from __future__ import annotations

import re
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from assay.files import AssayError
from assay.networks.blocks.denoising import DenoisingBlock
from assay.study.blocks import Denoise

# Stages of ResNets; of timm's pre-activation, norm-free and ConvNeXt networks; and of RegNets in timm and torchvision.
STAGE = re.compile(r"layer\d+|stages\.\d+|s\d+|trunk_output\.block\d+")
NAME = "denoise"
COLOURS = 3
SIDE = 64  # pixels of the image that shows how many channels a part has
MAPS = 4  # dimensions of feature maps


def add_blocks(network: nn.Module, described: Denoise, name: str) -> None:
    """Put denoising blocks behind the parts of a network that a config names; `name` is the network's, for messages.

    A block is a module `denoise` of the part that it stands after, and takes what that part gives.
    """
    places = list(dict.fromkeys(place for part in described.after for place in _places(network, part, name)))
    for place, channels in _channels(network, places, name).items():
        part = network.get_submodule(place)
        part.add_module(NAME, DenoisingBlock(described, channels))
        part.register_forward_hook(_denoise)


def stages(network: nn.Module) -> list[str]:
    """The names of a residual network's stages, first to last."""
    return [name for name, _ in network.named_modules() if STAGE.fullmatch(name)]


def residual_blocks(network: nn.Module, stage: str) -> list[str]:
    """The names of a stage's residual blocks, first to last."""
    inner = network.get_submodule(stage)
    if not isinstance(inner, nn.Sequential) and isinstance(getattr(inner, "blocks", None), nn.Sequential):
        inner, stage = inner.blocks, f"{stage}.blocks"
    return [f"{stage}.{name}" for name, _ in inner.named_children()]


def _denoise(part: nn.Module, inputs: tuple[Tensor, ...], features: Tensor) -> Tensor:
    return part.get_submodule(NAME)(features)


def _places(network: nn.Module, part: str, name: str) -> Iterator[str]:
    """The names of the parts that blocks stand after, for one entry of a config's list."""
    found = stages(network)
    if part in ("stages", "blocks"):
        if not found:
            raise AssayError(
                f"classifiers: network {name} has no stages of residual blocks that Assay knows; name the parts that "
                "denoising blocks stand after in denoise.after, or choose a ResNet"
            )
        for stage in found:
            yield from residual_blocks(network, stage)[-1 if part == "stages" else 0 :]
    elif part in found:
        yield residual_blocks(network, part)[-1]
    elif part in dict(network.named_modules()):
        yield part
    else:
        known = f"its stages are {', '.join(found)}" if found else "no stages of it are known"
        raise AssayError(f"classifiers: network {name} has no part {part}; {known}; correct denoise.after")


def _channels(network: nn.Module, places: list[str], name: str) -> dict[str, int]:
    """How many channels leave each of these parts, by a call on shapes alone."""
    shapes: dict[str, torch.Size | None] = {}

    def look(place: str) -> torch.utils.hooks.RemovableHandle:
        return network.get_submodule(place).register_forward_hook(
            lambda part, inputs, output: shapes.update({place: getattr(output, "shape", None)})
        )

    handles = [look(place) for place in places]
    held = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    shadows = {key: torch.empty_like(value, device="meta") for key, value in held.items()}
    training = network.training
    network.eval()
    try:
        with torch.no_grad():
            torch.func.functional_call(network, shadows, (torch.empty(1, COLOURS, SIDE, SIDE, device="meta"),))
    except Exception as error:  # whatever a network does with an image of that size
        fault = " ".join(str(error).split())
        raise AssayError(f"classifiers: network {name} takes no denoising blocks ({fault}); remove denoise") from None
    finally:
        network.train(training)
        for handle in handles:
            handle.remove()
    for place in places:
        shape = shapes.get(place)
        if shape is None or len(shape) != MAPS:
            raise AssayError(
                f"classifiers: network {name} has no feature maps (n, c, h, w) after {place}; correct denoise.after"
            )
    return {place: shapes[place][1] for place in places}
