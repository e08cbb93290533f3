"""The train_diffusion stage."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import torch

from assay import device as devices
from assay.diffusion.denoiser import Denoiser, denoiser_of, write_diffusion
from assay.diffusion.validation import validate, write_sheet
from assay.files import artifact
from assay.inputs import Inputs
from assay.networks.libraries import import_library
from assay.networks.unet import LIBRARIES, build_network
from assay.noise import derive_seed
from assay.program import provenance
from assay.progress import track
from assay.resume import Resume, resume_key
from assay.stacks import FLOAT_FORMAT, Stack, to_pixels
from assay.study.diffusions import Diffusion, DiffusionSpec
from assay.training.ranks import Ranks, join_ranks
from assay.training.steps import Checkpoints, cosine_rate, flip, flip_coins, generator, step_rows


def train_diffusion(spec: DiffusionSpec, code: str, inputs: Inputs, out: Path, threads: int) -> None:
    """Train the diffusion of a spec on the input `train`; `UNet2DModel.from_pretrained(out)` loads the result."""
    device = devices.prepare(threads)
    ranks = join_ranks(spec.diffusion.batch_size, device)
    training, held_out = inputs.images("train"), inputs.images("validation")
    diffusion = spec.diffusion
    seed = derive_seed(spec.seed, "diffusion", diffusion.seed)
    torch.manual_seed(seed >> 1)
    denoiser = denoiser_of(build_network(diffusion, training.images.shape[1]).to(device), diffusion)
    top = min(diffusion.max_sigma or math.inf, denoiser.schedule.highest)
    resume = Resume(out, resume_key(spec.model_dump(mode="json"), code, inputs.manifests()))
    checkpoints = Checkpoints(resume.path("checkpoint.pt"))
    history = _fit(denoiser, top, diffusion, training, held_out, seed, device, checkpoints, ranks)
    ranks.close()
    if not ranks.first:
        return
    made_by = provenance(LIBRARIES, devices.name(device))
    with artifact(out, "diffusion", spec.model_dump(mode="json"), code, inputs.manifests(), made_by) as draft:
        write_diffusion(draft, denoiser)
        draft.facts["validation_loss"] = history[-1]["validation_loss"]
        pd.DataFrame(history).to_csv(
            draft.path("history.csv"), index=False, lineterminator="\n", float_format=FLOAT_FORMAT
        )
        write_sheet(draft.path("samples.png"), denoiser.eval(), held_out, top, seed)
    resume.clear()


def _fit(
    denoiser: Denoiser,
    top: float,
    diffusion: Diffusion,
    training: Stack,
    held_out: Stack,
    seed: int,
    device: torch.device,
    checkpoints: Checkpoints,
    ranks: Ranks,
) -> list[dict[str, float]]:
    """The denoiser's loss up to sigma `top` under AdamW; the network ends with its running-mean weights."""
    network = denoiser.network
    optimiser = torch.optim.AdamW(network.parameters(), lr=diffusion.learning_rate, weight_decay=diffusion.weight_decay)
    mean = import_library("diffusers.training_utils").EMAModel(network.parameters(), decay=diffusion.ema_decay)
    mean.to(device)
    history: list[dict[str, float]] = []
    first, losses = 0, []
    if state := checkpoints.load():
        network.load_state_dict(state["network"])
        optimiser.load_state_dict(state["optimiser"])
        mean.load_state_dict(state["mean"])
        history, first, losses = state["history"], state["step"], state["losses"]
    steps = diffusion.steps
    rows = step_rows(len(training.table), diffusion.batch_size, seed, first, steps)
    parallel = Denoiser(ranks.parallel(network), denoiser.schedule, denoiser.prediction)
    network.train()
    for step, chosen in track(rows, "train diffusion", steps, done=first):
        learning_rate = diffusion.learning_rate * cosine_rate(step, steps, diffusion.warmup_steps)
        for group in optimiser.param_groups:
            group["lr"] = learning_rate
        images = torch.from_numpy(to_pixels(training.images[ranks.share(chosen).numpy()])).to(device)
        if diffusion.flips:
            images = flip(images, ranks.share(flip_coins(len(chosen), seed, step)))
        places = torch.rand(len(chosen), dtype=torch.float64, generator=generator(seed, "places", step))
        noise = torch.randn((len(chosen), *images.shape[1:]), generator=generator(seed, "noise", step))
        with devices.training_precision(device):
            loss = parallel.loss(images, ranks.share(places).to(device), ranks.share(noise).to(device), top).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), diffusion.gradient_clip)
        optimiser.step()
        mean.step(network.parameters())
        losses.append(ranks.mean(loss))
        if (step + 1) % diffusion.validate_every == 0 or step + 1 == steps:
            mean.store(network.parameters())
            mean.copy_to(network.parameters())
            validation_loss = validate(denoiser, held_out, top, seed)
            mean.restore(network.parameters())
            history.append(
                {
                    "step": step + 1,
                    "train_loss": math.fsum(losses) / len(losses),
                    "validation_loss": validation_loss,
                    "learning_rate": learning_rate,
                }
            )
            losses = []
            network.train()
        if ranks.agree(checkpoints.due(), device):
            if ranks.first:
                checkpoints.save(
                    {
                        "network": network.state_dict(),
                        "optimiser": optimiser.state_dict(),
                        "mean": mean.state_dict(),
                        "history": history,
                        "losses": losses,
                        "step": step + 1,
                    }
                )
            if ranks.agree(checkpoints.last_call(), device):
                raise checkpoints.out_of_time()
    mean.copy_to(network.parameters())
    return history
