"""Published diffusions in diffusers' layout, as old as its first versions: the U-Net and what its scheduler says."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.files import AssayError, read_json
from assay.networks.published import Source, State, load_state, read_pinned
from assay.networks.unet import unet_class
from assay.study.diffusions import Prediction, PublishedDiffusion, ScheduleKind

if TYPE_CHECKING:
    from diffusers import UNet2DModel

CONFIG = "config.json"
WEIGHTS = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")
SCHEDULER = "scheduler/scheduler_config.json"
COLOURS = 3
OUTPUTS = (COLOURS, 2 * COLOURS)  # twice as many where the variance is learned
PREDICTIONS: dict[str, Prediction] = {"epsilon": "epsilon", "v_prediction": "v", "sample": "x0"}  # by diffusers' names
LINEAR_BETAS = {"beta_start": 1e-4, "beta_end": 0.02}  # DDPM's, and diffusers' defaults

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
    network = _build(read_json(place), place)
    scheduler: dict[str, Any] = {}
    if place := source.find(SCHEDULER):
        scheduler = read_json(place)
        _check_scheduler(scheduler, place, published)
    state, found = read_pinned(source, published.sha256, *(within + name for name in WEIGHTS))
    load_state(network, with_new_names(state), source.published, f"the U-Net of its {CONFIG}")
    return Published(network, found, scheduler.get("clip_sample", True))


def with_new_names(state: State) -> State:
    """A U-Net's state dict with the names that diffusers has for its attention today."""
    return {
        OLD_NAME.sub(lambda old: f".{OLD_ATTENTION[old[1]]}.{old[2]}", name): value for name, value in state.items()
    }


def _build(config: dict[str, Any], place: Path) -> UNet2DModel:
    """The U-Net of a config.json. Keys that old versions lack have defaults that mean what those versions did."""
    kind = config.get("_class_name", "UNet2DModel")
    colours, outputs = config.get("in_channels", COLOURS), config.get("out_channels", COLOURS)
    if kind != "UNet2DModel":
        raise AssayError(f"{place}: is of a {kind}; only a UNet2DModel is read")
    if colours != COLOURS or outputs not in OUTPUTS:
        raise AssayError(
            f"{place}: takes {colours} and gives {outputs} channels; only networks that take {COLOURS} and give "
            f"{' or '.join(map(str, OUTPUTS))} are read"
        )
    if config.get("class_embed_type") or config.get("num_class_embeds"):
        raise AssayError(f"{place}: is conditioned on classes; only unconditional networks are read")
    try:
        return unet_class().from_config(config)
    except (TypeError, ValueError, KeyError) as error:
        raise AssayError(f"{place}: no U-Net can be built from it ({' '.join(str(error).split())})") from None


def _check_scheduler(config: dict[str, Any], place: Path, published: PublishedDiffusion) -> None:
    """Refuse a schedule, or a prediction, that is not what the config says, or nothing that we know."""
    predicted = config.get("prediction_type", "epsilon")
    if predicted not in PREDICTIONS:
        raise AssayError(f"{place}: the network predicts {predicted}; only {', '.join(PREDICTIONS)} are read")
    kind = _schedule_kind(config)
    if kind is None:
        raise AssayError(
            f"{place}: its noise schedule is neither DDPM's linear one (betas from 1e-4 to 0.02) nor the cosine one "
            f"(squaredcos_cap_v2); choose another diffusion"
        )
    described = {
        "schedule": kind,
        "time_steps": config.get("num_train_timesteps", 1000),
        "prediction": PREDICTIONS[predicted],
    }
    for key, found in described.items():
        if getattr(published, key) != found:
            raise AssayError(
                f"{place}: its {key} is {found}, the config's {getattr(published, key)}; write {key}: {found}"
            )


def _schedule_kind(config: dict[str, Any]) -> ScheduleKind | None:
    """The kind of schedule that a scheduler_config.json describes; None for any that we do not have."""
    if config.get("trained_betas") is not None or config.get("rescale_betas_zero_snr"):
        return None
    known = all(math.isclose(config.get(key, value), value) for key, value in LINEAR_BETAS.items())
    name = config.get("beta_schedule", "linear")
    return "linear" if name == "linear" and known else "cosine" if name == "squaredcos_cap_v2" else None
