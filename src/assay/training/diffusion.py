"""The train_diffusion stage."""

from __future__ import annotations

import math
from pathlib import Path

import torch

from assay import device as devices
from assay import modules
from assay.artifacts import Wanted
from assay.diffusion.denoiser import denoiser_of, load_denoiser, write_diffusion
from assay.diffusion.validation import difference, write_sheet
from assay.inputs import Inputs
from assay.networks.start import start_from
from assay.networks.unet import LIBRARIES, build_network, load_network
from assay.noise import derive_seed
from assay.program import provenance
from assay.resume import Resume
from assay.study.diffusions import CHANGE, DiffusionSpec
from assay.training.checkpoints import Checkpoints
from assay.training.fit import fit
from assay.training.objective import Task, write_history
from assay.training.ranks import join_ranks


def train_diffusion(spec: DiffusionSpec, code: str, inputs: Inputs, out: Path, threads: int) -> None:
    """Train the diffusion of a spec on the input `train`; `UNet2DModel.from_pretrained(out)` loads the result.

    A training that diverged, where its config asks for a record of that, leaves no weights there; one that needs the
    weights of such a network leaves nothing.
    """
    device = devices.prepare(threads)
    inputs = inputs.on(device)
    described = spec.diffusion
    ranks = join_ranks(described, device)
    wanted = Wanted(out, "diffusion", spec.model_dump(mode="json"), code, inputs.manifests())
    if ranks.agree(ranks.first and wanted.is_there(), device):
        ranks.close()
        return
    training, held_out = inputs.images("train"), inputs.images("validation")
    seed = derive_seed(spec.seed, "diffusion", described.seed)
    torch.manual_seed(seed >> 1)
    network = build_network(described, held_out.side)
    if described.start:
        state = load_network(inputs.folder("start")).state_dict()
        start_from(network, state, f"start: {described.start}", "this U-Net", other_head=False)
    denoiser = denoiser_of(network.to(device), described)
    objective = modules.build(described.objective, Task(denoiser, described, held_out, inputs, seed, device))
    resume = Resume(out, wanted.work)
    checkpoints = Checkpoints(resume.path("checkpoint.pt"))
    trained = fit(objective, training, described, seed, checkpoints, ranks, device, "train diffusion")
    ranks.close()
    if not ranks.first:
        return
    made_by = provenance(LIBRARIES, devices.name(device))
    with wanted.write(made_by) as draft:
        write_history(draft, trained.history)
        if trained.diverged:
            draft.facts["diverged"] = trained.diverged
        else:
            write_diffusion(draft, denoiser)
            objective.write(draft, trained.history)
            top = min(described.max_sigma or math.inf, denoiser.schedule.highest)
            if described.start:
                start = load_denoiser(inputs.folder("start"), device)
                draft.facts[CHANGE] = difference(denoiser.eval(), start, held_out, top / 2, seed)
            write_sheet(draft.path("samples.png"), denoiser.eval(), held_out, top, seed)
    resume.clear()
