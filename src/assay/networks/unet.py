"""The diffusion's network: diffusers' UNet2DModel, built from the config or loaded from a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from assay.files import AssayError
from assay.networks.libraries import import_library

if TYPE_CHECKING:
    from diffusers import UNet2DModel

    from assay.study.diffusions import Diffusion

LIBRARIES = ("torch", "diffusers", "safetensors")


def build_network(diffusion: Diffusion, size: int) -> UNet2DModel:
    """A new U-Net for RGB images of `size` pixels; initial weights come from torch's global generator."""
    levels = len(diffusion.channels)
    check_size(size, levels)
    attention = [level in diffusion.attention_levels for level in range(levels)]
    return unet_class()(
        sample_size=size,
        in_channels=3,
        out_channels=3,
        layers_per_block=diffusion.layers_per_block,
        block_out_channels=tuple(diffusion.channels),
        down_block_types=tuple("AttnDownBlock2D" if here else "DownBlock2D" for here in attention),
        up_block_types=tuple("AttnUpBlock2D" if here else "UpBlock2D" for here in reversed(attention)),
        norm_num_groups=diffusion.norm_groups,
        add_attention=diffusion.middle_attention,
    )


def check_size(size: int, levels: int) -> None:
    """Refuse images that a U-Net of so many levels cannot halve from level to level."""
    if size % 2 ** (levels - 1):
        raise AssayError(
            f"images.size: {size} cannot be halved {levels - 1} times, as the U-Net's {levels} levels do; "
            f"choose a multiple of {2 ** (levels - 1)} or fewer channels"
        )


def halvings(network: UNet2DModel) -> int:
    """How often a U-Net halves its images."""
    return len(network.config.block_out_channels) - 1


def load_network(folder: Path) -> UNet2DModel:
    """The U-Net of a folder in diffusers' layout: config.json and safetensors weights, nothing unpickled."""
    return unet_class().from_pretrained(folder, use_safetensors=True, local_files_only=True, low_cpu_mem_usage=False)


def unet_class() -> type[UNet2DModel]:
    return import_library("diffusers.models.unets.unet_2d").UNet2DModel
