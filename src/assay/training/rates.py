"""What a recipe makes of the optimiser: parameter groups, and the learning rate by step."""

from __future__ import annotations

import math

import torch
from torch import nn

from assay.study.training import Recipe

RISE = 0.3  # share of the steps in which a cycle rises
LOWEST = 1 / 25  # where a cycle starts, as a share of the highest rate
MOMENTUM = 0.9


def build_optimiser(networks: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimiser of all parameters that are trained."""
    trained = [parameter for parameter in networks.parameters() if parameter.requires_grad]
    groups = [{"params": trained, "weight_decay": recipe.weight_decay}]
    if recipe.decay == "weights":
        # Biases and the parameters of normalisation layers have one dimension, or none.
        kinds = [[parameter for parameter in trained if (parameter.ndim > 1) is weights] for weights in (True, False)]
        decays = (recipe.weight_decay, 0.0)
        groups = [{"params": kind, "weight_decay": decay} for kind, decay in zip(kinds, decays, strict=True) if kind]
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=MOMENTUM, nesterov=True)
    return torch.optim.AdamW(groups, lr=recipe.learning_rate)


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """The learning rate of a step among so many: a linear warm-up, then the recipe's schedule over the other steps."""
    warmup = recipe.warmup_steps
    share = max(0, step - warmup) / max(1, steps - warmup)
    return recipe.learning_rate * min(1.0, (step + 1) / max(1, warmup)) * _factor(recipe, share)


def _factor(recipe: Recipe, share: float) -> float:
    """The learning rate's factor after a share of the schedule."""
    match recipe.learning_rate_schedule:
        case "constant":
            return 1.0
        case "cosine":
            return _half_cosine(share)
        case "step":
            return recipe.factor ** sum(share >= milestone for milestone in recipe.milestones)
        case "triangular":
            return min(LOWEST + (1 - LOWEST) * share / RISE, (1 - share) / (1 - RISE))
        case "one_cycle":  # Smith's
            if share < RISE:
                return 1 - (1 - LOWEST) * _half_cosine(share / RISE)
            return _half_cosine((share - RISE) / (1 - RISE))


def _half_cosine(share: float) -> float:
    """From 1 down to 0."""
    return 0.5 * (1 + math.cos(math.pi * share))
