"""Would the attack have left less, had it been given more? It runs again with twice the steps, and twice the draws."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from assay.attacks.threats.victim import Victim
from assay.evaluation.probes.sample import Sample, judge, run_attack
from assay.evaluation.statistics.intervals import accuracy_interval
from assay.evaluation.statistics.paired import sign_flip
from assay.study.attacks import Attack

BuildVictim = Callable[[Attack], Victim]


def probe_convergence(attack: Attack, build: BuildVictim, sample: Sample, seed: int) -> dict[str, Any]:
    """`accuracy` that the attack leaves, `half_width` of its interval; the accuracy that doubled `steps` and `draws`
    leave, with the p-value of the exact test that this is no less. None where there is nothing to double.

    `parameters_changed` counts parameters and statistics that are not what they were before the attack.
    """
    victim = build(attack)
    before = {name: value.clone() for name, value in victim.state_dict().items()}
    own = left(attack, victim, sample, seed)
    changed = sum(not torch.equal(value, before[name]) for name, value in victim.state_dict().items())
    accuracy, low, high = accuracy_interval(own)
    found = {"accuracy": accuracy, "half_width": (high - low) / 2, "parameters_changed": changed}
    for what, doubled in (("steps", twice_the_steps(attack)), ("draws", twice_the_draws(attack))):
        found[what] = None
        if doubled is not None:
            more = left(doubled, build(doubled), sample, seed)
            found[what] = {"accuracy": float(more.mean()), "p": sign_flip(more, own, alternative="greater")}
    return found


def left(attack: Attack, victim: Victim, sample: Sample, seed: int) -> Tensor:
    """Verdicts (n, draws) of bool on what the attack makes."""
    found = run_attack(attack, victim, sample, sample.labels, sample.classes, seed)
    return (judge(attack, victim, found, sample, sample.labels) > 0).cpu().numpy()


def twice_the_steps(attack: Attack) -> Attack | None:
    steps = getattr(attack, "steps", None)
    return attack.model_copy(update={"steps": 2 * steps}) if steps else None


def twice_the_draws(attack: Attack) -> Attack | None:
    return attack.model_copy(update={"draws": 2 * attack.draws}) if attack.threat.fresh else None
