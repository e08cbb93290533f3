"""The loop of every training."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from assay import device as devices
from assay.files import AssayError
from assay.noise import derive_seed
from assay.progress import track
from assay.stacks import Images
from assay.study.training import Recipe
from assay.training.batch_norm import require_several
from assay.training.checkpoints import Checkpoints
from assay.training.divergence import Diverged, Watch, largest
from assay.training.draws import seed_all
from assay.training.loading import Batches, Loaded
from assay.training.objective import Batch, History, Objective
from assay.training.ranks import Ranks
from assay.training.rates import build_optimiser, learning_rate
from assay.training.running_mean import RunningMean


@dataclass(frozen=True)
class Trained:
    """What became of a training: its history, a row for each validation, and if it diverged, where, as JSON."""

    history: History
    diverged: dict[str, Any] | None = None


def fit(
    objective: Objective,
    images: Images,
    recipe: Recipe,
    seed: int,
    checkpoints: Checkpoints,
    ranks: Ranks,
    device: torch.device,
    label: str,
    workers: int | None = None,
) -> Trained:
    """Minimise an objective on training images; its networks end with the weights that are kept.

    The history has a row for each validation: the pass or step, the mean training loss since the last row, what the
    objective judges, and the learning rate. A training that diverges raises `Diverged`, unless its recipe asks for a
    record. `label` is said in messages; `workers` load images, as many as are useful if it is None.
    """
    parallel = ranks.parallel(objective)
    optimiser = build_optimiser(objective, recipe)
    mean = RunningMean(objective, recipe.ema_decay)
    history: History = []
    done, losses = 0, [0.0, 0]
    if state := _last_state(checkpoints, ranks, device):
        objective.load_state_dict(state["networks"])
        optimiser.load_state_dict(state["optimiser"])
        mean.restore(state["mean"])
        objective.restore(state["objective"])
        history, done, losses = state["history"], state["step"], state["losses"]
    batches = Batches(images, recipe, seed, ranks)
    steps, every = recipe.total_steps(len(batches.labels)), recipe.validate_every or batches.per_epoch
    unit, length = ("step", 1) if recipe.validate_every or recipe.steps else ("epoch", batches.per_epoch)
    watch = Watch(label, recipe, steps)
    objective.train()
    require_several(objective, batches.size // recipe.accumulate)
    loaded = batches.load(done, steps, device, workers)
    try:
        for share in track(loaded, label, steps, done):
            rate = learning_rate(recipe, done, steps)
            for group in optimiser.param_groups:
                group["lr"] = rate
            optimiser.zero_grad(set_to_none=True)
            loss = _gradients(parallel, batches, share, done, ranks, device)
            watch.check("loss", loss, done + 1)
            if recipe.gradient_clip:
                nn.utils.clip_grad_norm_(objective.parameters(), recipe.gradient_clip)
            optimiser.step()
            mean.update()
            done += 1
            losses = [losses[0] + loss, losses[1] + 1]
            if done % every == 0 or done == steps:
                judged = _judge(objective, mean, watch, ranks, device, done)
                row = {unit: done // length, "train_loss": losses[0] / losses[1], **judged, "learning_rate": rate}
                history.append(row)
                losses = [0.0, 0]
                if ranks.agree(objective.ended(), device):
                    break
            if ranks.agree(checkpoints.due(), device) and math.isfinite(ranks.mean(largest(objective, mean))):
                if ranks.first:
                    checkpoints.save(_state(objective, optimiser, mean, history, losses, done))
                if ranks.agree(checkpoints.last_call(), device):
                    raise checkpoints.out_of_time()
        mean.put()
        objective.finish()
        watch.check("weights", ranks.mean(largest(objective, mean)), done)
    except Diverged as diverged:
        if recipe.on_divergence == "fail":
            raise
        return Trained(history, diverged.facts)
    return Trained(history)


def _last_state(checkpoints: Checkpoints, ranks: Ranks, device: torch.device) -> dict[str, Any] | None:
    """The state that was saved last, or None: every rank reads it, if the first one finds it whole."""
    state = checkpoints.load() if ranks.first else None
    if not ranks.agree(state is not None, device):
        return None
    state = state or checkpoints.load("though the first rank read it whole")
    if not ranks.same(state["step"] if state else -1, device):
        raise AssayError(f"{checkpoints.path}: not every rank reads the same checkpoint; run again, on other nodes")
    if ranks.first:
        print(f"{checkpoints.path}: resumed after step {state['step']}", file=sys.stderr)
    return state


def _gradients(
    parallel: nn.Module, batches: Batches, share: Loaded, step: int, ranks: Ranks, device: torch.device
) -> float:
    """The mean loss of a step's whole batch; the parameters get its gradient.

    DDP averages gradients over the ranks, so that the mean loss of n images weighs n ranks / N among all N.
    """
    accumulate = batches.recipe.accumulate
    parts = zip(*(values.tensor_split(accumulate) for values in share), strict=True)
    total = torch.zeros((), device=device)
    for index, (images, labels, places) in enumerate(parts):
        seed_all(derive_seed(batches.seed, "network", step, ranks.rank, index) >> 1, device)  # for dropout
        batch = Batch(
            images=images.to(device, non_blocking=True).float() / 255,
            labels=labels.to(device, non_blocking=True),
            places=places,
            step=step,
            epochs=step / batches.per_epoch,
            seed=batches.seed,
        )
        weight = len(places) * ranks.size / batches.size
        with ranks.without_exchange(parallel, last=index + 1 == accumulate):
            with devices.training_precision(device):
                loss = parallel(batch)
            (weight * loss).backward()
        total += weight * loss.detach()
    return ranks.mean(total)


def _judge(
    objective: Objective, mean: RunningMean, watch: Watch, ranks: Ranks, device: torch.device, step: int
) -> dict[str, float]:
    """What the objective judges after so many steps, of finite weights and with a finite validation loss."""
    watch.check("weights", ranks.mean(largest(objective, mean)), step)
    with mean.shown():
        judged = objective.judge()
    objective.train()
    loss = torch.as_tensor(judged["validation_loss"], dtype=torch.float64, device=device)
    watch.check("validation_loss", ranks.mean(loss), step)
    return judged


def _state(
    objective: Objective,
    optimiser: torch.optim.Optimizer,
    mean: RunningMean,
    history: History,
    losses: list[float],
    step: int,
) -> dict[str, Any]:
    """What a checkpoint holds after so many steps."""
    return {
        "networks": objective.state_dict(),
        "optimiser": optimiser.state_dict(),
        "mean": mean.state(),
        "objective": objective.state(),
        "history": history,
        "losses": losses,
        "step": step,
    }
