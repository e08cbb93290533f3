"""Published diffusions in diffusers' layout, as old as its first versions: the U-Net and what its scheduler says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.files import AssayError
from assay.networks.published import Source, State, load_state, read_pinned
from assay.networks.unet import unet_class
from assay.planning.published import CONFIG, SCHEDULER, UNET_WEIGHTS, read_scheduler, read_unet_config
from assay.study.diffusions import PublishedDiffusion

if TYPE_CHECKING:
    from diffusers import UNet2DModel

# Before diffusers 0.18, attention had other names for the same layers.
OLD_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
OLD_NAME = re.compile(r"\.(query|key|value|proj_attn)\.(weight|bias)$")


@dataclass(frozen=True)
class Published:
    """A diffusion as it was published: the U-Net with its weights, their file's hash, whether estimates are clipped."""

    network: UNet2DModel
    sha256: str
    clip: bool


def read_published(published: PublishedDiffusion, source: Source) -> Published:
    """The published diffusion of a config's keys: of a pipeline's folder, or of a U-Net's alone."""
    within = "unet/" if source.find(f"unet/{CONFIG}") else ""
    place = source.require(within + CONFIG)
    network = build_published(read_unet_config(place), place)
    place = source.find(SCHEDULER)
    clip = read_scheduler(place, published).clip_sample if place else True
    state, found = read_pinned(source, published.sha256, *(within + name for name in UNET_WEIGHTS))
    load_state(network, with_new_names(state), source.published, f"the U-Net of its {CONFIG}")
    return Published(network, found, clip)


def with_new_names(state: State) -> State:
    """A U-Net's state dict with the names that diffusers has for its attention today."""
    return {
        OLD_NAME.sub(lambda old: f".{OLD_ATTENTION[old[1]]}.{old[2]}", name): value for name, value in state.items()
    }


def build_published(config: dict[str, Any], place: Path | str) -> UNet2DModel:
    """The U-Net of a config.json. Keys that old versions lack have defaults that mean what those versions did."""
    try:
        return unet_class().from_config(config)
    except Exception as error:  # whatever its constructor does with values that mean nothing to it
        raise AssayError(f"{place}: no U-Net can be built from it ({' '.join(str(error).split())})") from None
