"""The loop of every training."""

from __future__ import annotations

import math
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
from assay.training.draws import seed_all
from assay.training.loading import Batches, Loaded
from assay.training.objective import Batch, History, Objective
from assay.training.ranks import Ranks
from assay.training.rates import build_optimiser, learning_rate
from assay.training.running_mean import RunningMean


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
) -> History:
    """Minimise an objective on training images; its networks end with the weights that are kept.

    The history has a row for each validation: the pass or step, the mean training loss since the last row, what the
    objective judges, and the learning rate. `label` is said in messages; `workers` load images, as many as are useful
    if it is None.
    """
    parallel = ranks.parallel(objective)
    optimiser = build_optimiser(objective, recipe)
    mean = RunningMean(objective, recipe.ema_decay)
    history: History = []
    first, losses = 0, [0.0, 0]
    if state := checkpoints.load():
        objective.load_state_dict(state["networks"])
        optimiser.load_state_dict(state["optimiser"])
        mean.restore(state["mean"])
        objective.restore(state["objective"])
        history, first, losses = state["history"], state["step"], state["losses"]
    batches = Batches(images, recipe, seed, ranks)
    steps, every = recipe.total_steps(len(batches.labels)), recipe.validate_every or batches.per_epoch
    unit, length = ("step", 1) if recipe.validate_every or recipe.steps else ("epoch", batches.per_epoch)
    objective.train()
    require_several(objective, batches.size // recipe.accumulate)
    loaded = batches.load(first, steps, device, workers)
    for step, share in enumerate(track(loaded, label, steps, done=first), start=first):
        rate = learning_rate(recipe, step, steps)
        for group in optimiser.param_groups:
            group["lr"] = rate
        optimiser.zero_grad(set_to_none=True)
        loss = _gradients(parallel, batches, share, step, ranks, device)
        if not math.isfinite(loss):
            raise AssayError(
                f"{label}: the loss is {loss} at step {step + 1} of {steps}; lower learning_rate "
                f"({recipe.learning_rate:g}) or gradient_clip"
            )
        if recipe.gradient_clip:
            nn.utils.clip_grad_norm_(objective.parameters(), recipe.gradient_clip)
        optimiser.step()
        mean.update()
        losses = [losses[0] + loss, losses[1] + 1]
        if (step + 1) % every == 0 or step + 1 == steps:
            with mean.shown():
                judged = objective.judge()
            row = {unit: (step + 1) // length, "train_loss": losses[0] / losses[1], **judged, "learning_rate": rate}
            history.append(row)
            losses = [0.0, 0]
            objective.train()
            if ranks.agree(objective.ended(), device):
                break
        if ranks.agree(checkpoints.due(), device):
            if ranks.first:
                checkpoints.save(_state(objective, optimiser, mean, history, losses, step + 1))
            if ranks.agree(checkpoints.last_call(), device):
                raise checkpoints.out_of_time()
    mean.put()
    objective.finish()
    return history


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
