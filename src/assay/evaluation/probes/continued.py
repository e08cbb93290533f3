"""Would the attack have left less, had it been given more, or been blind to the gradient? Both go on from its points.

What goes on begins at the stored adversarial images and can only gain: of each image the better point counts, chosen on
draws apart from those that all are judged on. An attack that reached the plateau gains next to nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from assay.attacks.methods.best import Best, as_stored
from assay.attacks.methods.losses import named_loss
from assay.attacks.methods.nes import estimated_gradient
from assay.attacks.methods.projected import Gradient, descend
from assay.attacks.queries import GRADIENTS, answers, margins, vote_margins
from assay.attacks.threats.victim import Victim, judgement, search_query
from assay.evaluation.probes.sample import Sample, goals_of, loss_of, run_attack
from assay.evaluation.statistics.paired import paired_difference, sign_flip
from assay.noise import derive_seed
from assay.study.attacks import Attack, NesAttack, PgdAttack, PgdL2Attack
from assay.study.threats import BpdaThreat

BuildVictim = Callable[[Attack], Victim]
JUDGED = 16  # draws that no search has met, on which a stochastic victim is judged
FEWEST_STEPS = 10
# From a point that is good already, all steps together are so many eps long: enough to reach any other point of the
# ball, and less than a search from nowhere takes.
TRAVEL = 4.0
FRESH = 1 << 20  # the number of the first query, after all that an attack asks
DIRECTIONS, BLIND_STEPS = 16, 10  # of the attack by answers alone


def probe_convergence(attack: Attack, build: BuildVictim, sample: Sample, seed: int) -> dict[str, Any]:
    """`accuracy` that the stored images leave, and what `more` leaves: the attack made again from another start, then
    going on from the better of the two points with twice the draws; `again`: what another start leaves by itself.

    `parameters_changed` counts parameters and statistics that are not what they were before the attack.
    """
    victim = build(attack)
    before = {name: value.clone() for name, value in victim.state_dict().items()}
    own = judged(attack, victim, sample.attacked, sample)
    goals = goals_of(attack, sample, seed)
    restart = run_attack(attack, victim, sample, goals, sample.classes, derive_seed(seed, "another start"))
    changed = sum(not torch.equal(value, before[name]) for name, value in victim.state_dict().items())
    again = judged(attack, victim, restart, sample)
    more = walker(attack, draws=2 * attack.draws if attack.threat.fresh else 1)
    points = go_on(more, build(more), sample, (sample.attacked, restart), goals)
    return {
        "accuracy": float(own.mean()),
        "images": len(own),
        "again": compared(own, again),
        "more": compared(own, judged(attack, victim, points, sample)),
        "parameters_changed": changed,
    }


def probe_blinder(attack: Attack, build: BuildVictim, sample: Sample, seed: int, defended: bool) -> dict[str, Any]:
    """`accuracy` that the stored images leave, and what two go on to leave that see less of the gradient: `identity`
    takes the purifier for the identity in the backward pass (None where that is no other attack), and `answers` asks
    for no gradient at all."""
    victim, goals = build(attack), goals_of(attack, sample, seed)
    own = judged(attack, victim, sample.attacked, sample)
    found: dict[str, Any] = {"accuracy": float(own.mean()), "images": len(own), "identity": None}
    if defended and attack.threat.fresh and attack.threat.backward:
        blind = walker(attack, draws=attack.draws, threat=BpdaThreat())
        points = go_on(blind, build(blind), sample, (sample.attacked,), goals)
        found["identity"] = compared(own, judged(attack, victim, points, sample))
    asking = by_answers(attack)
    points = go_on(asking, victim, sample, (sample.attacked,), goals, seed=derive_seed(seed, "directions"))
    return found | {"answers": compared(own, judged(attack, victim, points, sample))}


def go_on(
    attack: PgdAttack | PgdL2Attack | NesAttack,
    victim: Victim,
    sample: Sample,
    starts: tuple[Tensor, ...],
    goals: Tensor,
    seed: int = 0,
) -> Tensor:
    """The best points (n, 3, h, w) that the attack finds from the best of some starts, as they would be stored.

    Images whose start every draw of the judgement has wrong are left as they are: there is nothing to gain.
    """
    points = sample.attacked.clone()
    query = judgement("still right", attack.selection)  # draws that the verdict does not meet
    right = margins(answers(victim, points, sample.keys, query, room=len(points)), sample.labels) > 0
    rows = right.any(1).nonzero().flatten()
    if not len(rows):
        return points
    images, keys, goals = sample.clean[rows], sample.keys[rows], goals[rows]
    found = Best(victim, attack, images, goals, keys)
    for start in starts:
        if len(found.rows):
            found.judge(start[rows][found.rows])
            found.leave()
    if len(found.rows):
        descend(attack, found, found.points[found.rows], _gradient(attack, victim, sample, images, goals, keys, seed))
    points[rows] = as_stored(found.points, images, attack)
    return points


def _gradient(
    attack: PgdAttack | PgdL2Attack | NesAttack,
    victim: Victim,
    sample: Sample,
    images: Tensor,
    goals: Tensor,
    keys: Tensor,
    seed: int,
) -> Gradient:
    """The gradient that the attack follows: its victim's own, or what answers tell. Draws are none of the attack's."""
    loss, numbers = named_loss(attack.loss, sample.classes, towards=attack.target is not None), itertools.count(FRESH)
    if isinstance(attack, NesAttack):
        return estimated_gradient(attack, victim, goals, keys, loss, seed)
    followed = GRADIENTS[attack.objective]

    def gradient(x: Tensor, rows: Tensor) -> Tensor:
        query = search_query(next(numbers), attack.draws)
        return followed(victim, x, goals[rows], keys[rows], query, loss, room=len(images))[1]

    return gradient


def walker(attack: Attack, draws: int, **changes: Any) -> PgdAttack | PgdL2Attack:
    """Gradient descent with momentum that goes on where an attack ended: in its ball, under its threat, by its loss,
    with as many steps."""
    method, kind = ("pgd", PgdAttack) if attack.ball == "Linf" else ("pgdl2", PgdL2Attack)
    steps = max(attack.iterations or 0, FEWEST_STEPS)
    own = {"method": method, "eps": attack.eps, "threat": attack.threat, "target": attack.target, "draws": draws}
    own |= {"steps": steps, "step_size": TRAVEL * attack.radius / steps or None}
    own |= {"loss": loss_of(attack), "objective": "majority" if attack.by_vote else "expected"}
    return kind.model_validate(own | changes)


def by_answers(attack: Attack) -> NesAttack:
    """The attack by answers alone that goes on where an attack ended."""
    loss = "ce" if loss_of(attack) == "ce" else "margin"
    own = {"method": "nes", "eps": attack.eps, "threat": attack.threat, "target": attack.target, "loss": loss}
    own |= {"norm": attack.ball, "steps": BLIND_STEPS, "directions": DIRECTIONS}
    own |= {"step_size": TRAVEL * attack.radius / BLIND_STEPS}
    return NesAttack.model_construct(**own)  # its victim answers under any threat, which a study does not ask for


def judged(attack: Attack, victim: Victim, x: Tensor, sample: Sample) -> np.ndarray:
    """Verdicts (n, draws) of bool on images in the place of the sample's, under noise that no search meets; of an
    attack on the majority vote those (n, 1) of the vote."""
    query = judgement("continued", JUDGED if attack.threat.fresh else 1)
    logits = answers(victim, x, sample.keys, query, room=len(x))
    of = vote_margins(logits, sample.labels)[:, None] if attack.by_vote else margins(logits, sample.labels)
    return (of > 0).cpu().numpy()


def compared(own: np.ndarray, other: np.ndarray) -> dict[str, float]:
    """What another attack leaves on the same images: its `accuracy`, the `gain` over the attack itself, the p-value of
    the exact test that there is none, and the largest gain that these images leave room for, `at_most`, with 95 %
    confidence: that of the paired difference, and no less than the bound of Clopper and Pearson (1934) for as many
    images of which so many are won."""
    from scipy.special import betaincinv  # half a second to import, and stages that ask for no probe need none

    gain = float(own.mean() - other.mean())
    _, low, _ = paired_difference(own, other, confidence=0.90)
    won = min(max(gain, 0.0) * len(own), len(own) - 1)
    bound = float(betaincinv(won + 1, len(own) - won, 0.95))
    return {
        "accuracy": float(other.mean()),
        "gain": gain,
        "p": sign_flip(other, own, alternative="greater"),
        "at_most": max(bound, -low),
    }
