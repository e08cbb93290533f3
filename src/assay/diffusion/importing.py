"""The import_diffusion stage: a diffusion that was published elsewhere becomes an artifact like a trained one."""

from __future__ import annotations

from pathlib import Path

import torch

from assay import device as devices
from assay.denoiser import Denoiser
from assay.diffusion.network import LIBRARIES, check_size, write_diffusion
from assay.diffusion.published import Published, read_published
from assay.diffusion.validation import validate, write_sheet
from assay.files import artifact
from assay.noise import derive_seed
from assay.program import provenance
from assay.published import Source, check_hash, note
from assay.schedule import Schedule
from assay.stacks import Stack, read_stack
from assay.study.diffusions import PublishedDiffusion, PublishedDiffusionSpec

SHEET_SIGMA = 0.4  # the highest that is shown; a published schedule goes on to where nothing is left of an image
OTHER_RANGE = {(0.0, 1.0): (-1.0, 1.0), (-1.0, 1.0): (0.0, 1.0)}


def import_diffusion(spec: PublishedDiffusionSpec, code: str, validation: Path, out: Path, threads: int) -> None:
    """Import the diffusion of a spec, judged by the stack `validation`; `UNet2DModel.from_pretrained(out)` loads it."""
    device = devices.prepare(threads)
    held_out = read_stack(validation)
    source = Source(spec.diffusion.published, spec.diffusion.revision)
    published = read_published(spec.diffusion, source)
    found_hash = check_hash(source, published.weights, spec.diffusion.sha256)
    network, schedule = published.network.to(device), published.schedule
    check_size(held_out.images.shape[1], len(network.config.block_out_channels))
    seed = derive_seed(spec.seed, "diffusion", 0)
    loss = _loss(published, schedule, held_out, seed, device)
    warnings = _warnings(spec.diffusion, published, loss, held_out, seed, device)
    for warning in warnings:
        note(f"{source.published}: {warning}")
    inputs = {"validation": validation / "manifest.json"}
    made_by = provenance(LIBRARIES, devices.name(device))
    with artifact(out, "diffusion", spec.model_dump(mode="json"), code, inputs, made_by) as draft:
        write_diffusion(draft, network, schedule)
        draft.facts |= {"published_sha256": found_hash, "validation_loss": loss, "warnings": warnings}
        write_sheet(draft.path("samples.png"), Denoiser(network, schedule).eval(), held_out, SHEET_SIGMA, seed)


def _loss(published: Published, schedule: Schedule, held_out: Stack, seed: int, device: torch.device) -> float:
    """The loss over the whole schedule."""
    return validate(published.network, schedule, held_out, len(schedule.sigmas) - 1, seed, device)


def _warnings(
    diffusion: PublishedDiffusion, published: Published, loss: float, held_out: Stack, seed: int, device: torch.device
) -> list[str]:
    """What makes one doubt that the config describes this diffusion, a line each."""
    found = []
    other = Schedule(diffusion.schedule, diffusion.time_steps, OTHER_RANGE[diffusion.data_range])
    its_loss = _loss(published, other, held_out, seed, device)
    if its_loss < loss:
        found.append(
            f"its loss on the validation images is {loss:.3g}, but {its_loss:.3g} if data_range is "
            f"{list(other.data_range)}; check data_range"
        )
    size, sides = published.network.config.sample_size, held_out.images.shape[1]
    if size not in (None, sides):
        found.append(f"made for images of {size} pixels, these have {sides}")
    config = published.network.config
    attention = [level for level, name in enumerate(config.down_block_types) if name.startswith("Attn")]
    planned = (diffusion.channels, diffusion.layers_per_block, diffusion.attention_levels, diffusion.middle_attention)
    if planned != (list(config.block_out_channels), config.layers_per_block, attention, config.add_attention):
        found.append(
            f"plans of the study reckon with another network; write channels: {list(config.block_out_channels)}, "
            f"layers_per_block: {config.layers_per_block}, attention_levels: {attention}, "
            f"middle_attention: {str(config.add_attention).lower()}"
        )
    return found
