"""The import_diffusion stage: a diffusion that was published elsewhere becomes an artifact like a trained one."""

from __future__ import annotations

from pathlib import Path

from assay import device as devices
from assay.artifacts import Wanted
from assay.diffusion.denoiser import Denoiser, denoiser_of, write_diffusion
from assay.diffusion.validation import denoising_error, validate, write_sheet
from assay.inputs import Inputs
from assay.networks.published import Source, note
from assay.networks.published_unet import read_published
from assay.networks.unet import LIBRARIES
from assay.noise import derive_seed
from assay.program import provenance
from assay.stacks import Stack
from assay.study.diffusions import PublishedDiffusion, PublishedDiffusionSpec

JUDGED_SIGMA = 0.1  # where the other data range is tried too
SHEET_SIGMA = 0.4  # the highest that is shown; a published schedule goes on to where nothing is left of an image
OTHER_RANGE = {(0.0, 1.0): (-1.0, 1.0), (-1.0, 1.0): (0.0, 1.0)}


def import_diffusion(spec: PublishedDiffusionSpec, code: str, inputs: Inputs, out: Path, threads: int) -> None:
    """Import the diffusion of a spec, judged by the input `validation`; `UNet2DModel.from_pretrained(out)` loads it."""
    wanted = Wanted(out, "diffusion", spec.model_dump(mode="json"), code, inputs.manifests())
    if wanted.is_there():
        return
    device = devices.prepare(threads)
    held_out = inputs.images("validation")
    source = Source(spec.diffusion.published, spec.diffusion.revision)
    published = read_published(spec.diffusion, source)
    seed = derive_seed(spec.seed, "diffusion", 0)
    denoiser = denoiser_of(published.network.to(device), spec.diffusion, published.clip).eval()
    warnings = _warnings(spec.diffusion, denoiser, held_out, seed)
    for warning in warnings:
        note(f"{source.published}: {warning}")
    made_by = provenance(LIBRARIES, devices.name(device))
    with wanted.write(made_by) as draft:
        draft.sources |= source.read
        write_diffusion(draft, denoiser)
        draft.facts |= {
            "published_sha256": published.sha256,
            "validation_loss": validate(denoiser, held_out, denoiser.schedule.highest, seed),
            "warnings": warnings,
        }
        write_sheet(draft.path("samples.png"), denoiser, held_out, SHEET_SIGMA, seed)


def _warnings(diffusion: PublishedDiffusion, denoiser: Denoiser, held_out: Stack, seed: int) -> list[str]:
    """What makes one doubt that the config describes this diffusion, a line each."""
    found = []
    other_range = OTHER_RANGE[diffusion.data_range]
    other = denoiser_of(denoiser.network, diffusion.model_copy(update={"data_range": other_range}), denoiser.clip)
    errors = [denoising_error(candidate, held_out, JUDGED_SIGMA, seed) for candidate in (denoiser, other)]
    if errors[1] < errors[0]:
        found.append(
            f"at sigma {JUDGED_SIGMA:g} it leaves an error of {errors[0]:.3g}, but of {errors[1]:.3g} if data_range is "
            f"{list(other_range)}; check data_range"
        )
    config, sides = denoiser.network.config, held_out.images.shape[1:3]
    if denoiser.size not in (None, sides):
        found.append(
            f"made for images of {denoiser.size[0]} by {denoiser.size[1]} pixels; these have {sides[0]} by {sides[1]} "
            "and are resized for it and back"
        )
    attention = [level for level, name in enumerate(config.down_block_types) if name.startswith("Attn")]
    planned = (diffusion.channels, diffusion.layers_per_block, diffusion.attention_levels, diffusion.middle_attention)
    if planned != (list(config.block_out_channels), config.layers_per_block, attention, config.add_attention):
        found.append(
            f"plans of the study reckon with another network; write channels: {list(config.block_out_channels)}, "
            f"layers_per_block: {config.layers_per_block}, attention_levels: {attention}, "
            f"middle_attention: {str(config.add_attention).lower()}"
        )
    return found
