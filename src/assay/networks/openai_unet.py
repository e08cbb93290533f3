"""OpenAI's U-Nets (improved-diffusion, guided-diffusion; Dhariwal and Nichol 2021) as diffusers' UNet2DModel.

Their state dicts number the blocks, in the order in which an image passes: `input_blocks` is the first convolution and
then, level by level, each residual layer (with its attention) and a downsampler; `output_blocks` are residual layers of
which the last one of a level upsamples. Levels and layers are told by how many blocks there are, and by which of them
upsample. Of six output channels the last three, a learned variance, are dropped.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from assay.files import AssayError
from assay.networks.published import State

COLOURS = 3
GROUPS = 32  # of every normalisation
RESNET = {  # layers of a residual block
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
OUTSIDE = {  # layers in none of the blocks
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "input_blocks.0.0": "conv_in",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
}


@dataclass(frozen=True)
class Shape:
    """What a state dict tells of its U-Net."""

    channels: list[int]
    layers: int
    attention: list[int]  # levels
    by_resnets: bool  # whether residual blocks, and not convolutions, change the size
    scale_shift: bool  # how a residual block takes the time in


def shape_of(state: State, name: str) -> Shape:
    """The shape of a state dict's U-Net; `name` is where it comes from."""
    blocks = 1 + max((int(each.split(".")[1]) for each in state if each.startswith("output_blocks.")), default=-1)
    by_convolutions = [
        f"output_blocks.{block}.{place}.conv.weight" in state for block in range(blocks) for place in (1, 2)
    ]
    by_resnets = [_is_resnet(state, f"output_blocks.{block}.{place}") for block in range(blocks) for place in (1, 2)]
    levels = 1 + sum(by_convolutions) + sum(by_resnets)
    if not blocks or blocks % levels or "out.2.weight" not in state or "time_embed.0.weight" not in state:
        raise AssayError(f"{name}: is not the state dict of one of OpenAI's U-Nets; check layout")
    if "label_emb.weight" in state:
        raise AssayError(f"{name}: is conditioned on classes; only unconditional networks are read")
    layers = blocks // levels - 1
    first = [f"input_blocks.{1 + level * (layers + 1)}" for level in range(levels)]
    try:
        channels = [len(state[f"{block}.0.out_layers.3.weight"]) for block in first]
        time = len(state[f"{first[0]}.0.emb_layers.1.weight"])
    except KeyError as error:
        raise AssayError(f"{name}: lacks {error.args[0]} of OpenAI's U-Nets; check layout") from None
    attention = [level for level, block in enumerate(first) if f"{block}.1.qkv.weight" in state]
    return Shape(channels, layers, attention, any(by_resnets), time == 2 * channels[0])


def config_of(state: State, name: str, head_channels: int, size: int | None) -> dict[str, Any]:
    """The constructor's arguments of the UNet2DModel of a state dict whose attention has heads of so many channels."""
    shape = shape_of(state, name)
    attending = {shape.channels[level] for level in [*shape.attention, len(shape.channels) - 1]}
    if wrong := [channels for channels in attending if channels % head_channels]:
        raise AssayError(
            f"{name}: has attention of {wrong[0]} channels, which are no heads of {head_channels}; correct "
            "head_channels"
        )
    if not shape.by_resnets and len(attending) > 1:
        raise AssayError(
            f"{name}: has attention of {' and '.join(map(str, sorted(attending)))} channels, with as many heads each; "
            "only U-Nets whose heads all have the same channels are read"
        )
    resize = "resnet" if shape.by_resnets else "conv"
    plain = "ResnetDownsampleBlock2D" if shape.by_resnets else "DownBlock2D"
    down = ["AttnDownBlock2D" if level in shape.attention else plain for level in range(len(shape.channels))]
    return {
        "sample_size": size,
        "in_channels": COLOURS,
        "out_channels": COLOURS,
        "block_out_channels": tuple(shape.channels),
        "layers_per_block": shape.layers,
        "down_block_types": tuple(down),
        "up_block_types": tuple(each.replace("Down", "Up").replace("down", "up") for each in reversed(down)),
        "downsample_type": resize,
        "upsample_type": resize,
        "resnet_time_scale_shift": "scale_shift" if shape.scale_shift else "default",
        "attention_head_dim": head_channels,
        "attn_norm_num_groups": GROUPS,
        "norm_num_groups": GROUPS,
    }


def from_openai(state: State, name: str, head_channels: int) -> State:
    """A state dict under diffusers' names. A name that has no counterpart is kept, to be found left over."""
    places = dict(_places(shape_of(state, name)))
    renamed: State = {}
    for each, value in state.items():
        layer, _, kind = each.rpartition(".")
        block = next((block for block in (layer, *_parents(layer)) if block in places), None)
        if layer in OUTSIDE:
            renamed[f"{OUTSIDE[layer]}.{kind}"] = value[:COLOURS] if layer == "out.2" else value
        elif block is None:
            renamed[each] = value
        else:
            renamed |= _layer(places[block], layer.removeprefix(block).removeprefix("."), kind, value, head_channels)
    return {each: value.float().contiguous() for each, value in renamed.items()}


def _places(shape: Shape) -> Iterator[tuple[str, str]]:
    """OpenAI's blocks, and diffusers'."""
    levels, per_level = len(shape.channels), shape.layers + 1
    for level in range(levels):
        for layer in range(shape.layers):
            block = f"input_blocks.{1 + level * per_level + layer}"
            yield f"{block}.0", f"down_blocks.{level}.resnets.{layer}"
            yield f"{block}.1", f"down_blocks.{level}.attentions.{layer}"
        yield f"input_blocks.{(level + 1) * per_level}.0", f"down_blocks.{level}.downsamplers.0"
    yield "middle_block.0", "mid_block.resnets.0"
    yield "middle_block.1", "mid_block.attentions.0"
    yield "middle_block.2", "mid_block.resnets.1"
    for up, level in enumerate(reversed(range(levels))):
        for layer in range(per_level):
            block, last = f"output_blocks.{up * per_level + layer}", layer == shape.layers and level > 0
            yield f"{block}.0", f"up_blocks.{up}.resnets.{layer}"
            attends = level in shape.attention
            if attends:
                yield f"{block}.1", f"up_blocks.{up}.attentions.{layer}"
            if last:
                yield f"{block}.{2 if attends else 1}", f"up_blocks.{up}.upsamplers.0"


def _layer(block: str, layer: str, kind: str, value: Any, head_channels: int) -> State:
    """One of a block's parameters under diffusers' name; that of attention's three projections as three."""
    if layer in RESNET:
        return {f"{block}.{RESNET[layer]}.{kind}": value}
    if layer in ("op", "conv"):  # of a downsampler or an upsampler
        return {f"{block}.conv.{kind}": value}
    if layer == "norm":
        return {f"{block}.group_norm.{kind}": value}
    if layer == "proj_out":
        return {f"{block}.to_out.0.{kind}": _linear(value)}
    if layer == "qkv":  # rows by head, then query, key and value, then channel of the head
        parts = _linear(value).unflatten(0, (-1, 3, head_channels)).unbind(1)
        return {f"{block}.to_{name}.{kind}": part.flatten(0, 1) for name, part in zip("qkv", parts, strict=True)}
    return {f"{block}.{layer}.{kind}": value}


def _linear(value: Any) -> Any:
    """The weight of a convolution over one position as that of a linear layer; a bias as it is."""
    return value.squeeze(-1) if value.ndim > 2 else value


def _is_resnet(state: State, block: str) -> bool:
    return f"{block}.in_layers.0.weight" in state


def _parents(layer: str) -> Iterator[str]:
    """The modules that a layer lies in, from the innermost."""
    while "." in layer:
        layer = layer.rpartition(".")[0]
        yield layer
