"""The active test (Zimmermann et al. 2022): an attack is shown images that it must be able to find.

A head is planted behind the classifier's features such that an adversarial image is known to exist in each ball. A
sound attack finds one; random noise of the same size does not.

Around each image lie inner points: the image, and random points and corners of its ball. One more point of the ball is
a coarse pattern of blocks, which a purifier does not take for noise. A linear head is put between the features of the
inner points, which are one class, and those of that point, which are the other. No gradient is used to make it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from assay.attacks.methods.best import as_stored
from assay.attacks.methods.geometry import length, random_point
from assay.attacks.methods.method import aims
from assay.attacks.queries import answers
from assay.attacks.threats.victim import Query, Victim
from assay.defended import Defended
from assay.evaluation.probes.gradients import share
from assay.evaluation.probes.sample import Sample, judge, judging, run_attack
from assay.files import AssayError
from assay.noise import derive_seed
from assay.study.attacks import Attack

CLASSIFIER = "classifier"  # its name in a victim
INNER = 24  # random points of each ball that are of the clean image's class
PATTERNS = 8  # points of each ball of which the best is planted
BLOCKS = (2, 4, 8)  # blocks of a pattern along a side
DEPTH = 0.5  # where the head cuts: halfway from the furthest inner point to the planted one
SHRINKAGE = 0.1  # of the features' variances towards their mean
SCALE = 10.0  # logits between the inner points and the planted one


def probe_active(attack: Attack, victim: Victim, sample: Sample, seed: int) -> dict[str, Any]:
    """`planted`: share of the images in whose ball there is one, under noise that it was not chosen on; and of these,
    the shares for which the attack and random noise `found` it."""
    labels = torch.zeros_like(sample.labels)
    parent, name, head = head_of(victim)
    points = [random_point(sample.clean, attack.ball, attack.radius, seed, sample.keys, n) for n in range(INNER // 2)]
    corners = [corner(sample, attack, seed + n) for n in range(INNER - len(points))]
    candidates = [as_stored(pattern(sample, attack, seed + n), sample.clean, attack) for n in range(PATTERNS)]
    with replaced(parent, name, nn.Identity()):
        inner = torch.cat([features(attack, victim, x, sample) for x in [sample.clean, *points, *corners]], dim=1)
        outer = torch.stack([features(attack, victim, x, sample) for x in candidates], dim=1)
    planted, chosen = plant(inner, outer)
    known = torch.stack(candidates, dim=1)[torch.arange(len(labels), device=chosen.device), chosen]
    with replaced(parent, name, planted.to(head.weight)):
        victim = Planted(victim, planted, sample.keys)
        there = (judge(attack, victim, known, sample, labels).mean(1) < 0) & (
            judge(attack, victim, sample.clean, sample, labels).mean(1) > 0
        )
        searching = _for_two_classes(attack)
        found = run_attack(searching, victim, sample, aims(searching, labels, sample.keys, 2, seed), 2, seed)
        random = as_stored(corner(sample, attack, seed + INNER), sample.clean, attack)
        fooled = [judge(attack, victim, x, sample, labels).mean(1) < 0 for x in (found, random)]
    return {"planted": share(there)} | {
        what: share(where[there]) if there.any() else 0.0
        for what, where in zip(("found", "random"), fooled, strict=True)
    }


class PlantedHead(nn.Module):
    """A linear head of two classes for each image of the sample: features (rows x draws, f) to logits.

    `rows` are the images that the victim is being asked for; the draws of a row stand together.
    """

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)
        self.rows = torch.arange(len(weight), device=weight.device)

    def forward(self, found: Tensor) -> Tensor:
        rows = self.rows.repeat_interleave(len(found) // len(self.rows))
        score = (found * self.weight[rows]).sum(1) + self.bias[rows]
        return torch.stack([-score, score], dim=1) / 2


class Planted(Victim):
    """A victim whose classifier has a planted head, which is told by the noise keys of the sample whom it is asked."""

    def __init__(self, victim: Victim, head: PlantedHead, keys: Tensor) -> None:
        super().__init__()
        self.victim = victim
        self.head = head
        self.keys = keys

    def forward(self, x: Tensor, keys: Tensor, query: Query) -> Tensor:
        self.head.rows = (keys[:, None] == self.keys).to(torch.uint8).argmax(1)
        return self.victim(x, keys, query)


def plant(inner: Tensor, outer: Tensor) -> tuple[PlantedHead, Tensor]:
    """The head, and which candidate (n,) it has on its other side; from features of inner points (n, points, f), and of
    candidates and draws (n, candidates, draws, f).

    The direction is Fisher's, with variances in place of covariances. Of the candidates, the one is taken that lies
    furthest from all inner points, in terms of its distance from their mean.
    """
    middle, spread = inner.mean(1), inner.var(1)
    spread = (1 - SHRINKAGE) * spread + SHRINKAGE * spread.mean(1, keepdim=True) + 1e-12
    directions = (outer.mean(2) - middle[:, None]) / spread[:, None]
    reach = torch.einsum("ncf,npf->ncp", directions, inner).amax(2)
    centre = torch.einsum("ncf,nf->nc", directions, middle)
    nearest = torch.einsum("ncf,ncdf->ncd", directions, outer).amin(2)
    distance = torch.einsum("ncf,ncf->nc", directions, outer.mean(2)) - centre
    chosen = ((nearest - reach) / distance.clamp_min(1e-12)).argmax(1)
    rows = torch.arange(len(inner), device=inner.device)
    scale = SCALE / distance[rows, chosen].clamp_min(1e-12)
    cut = (reach + DEPTH * (nearest - reach))[rows, chosen]
    return PlantedHead(scale[:, None] * directions[rows, chosen], -scale * cut), chosen


def features(attack: Attack, victim: Victim, x: Tensor, sample: Sample) -> Tensor:
    """What the classifier's head is given (n, draws, f), under noise that no query and no judgement meets."""
    with single_draws(victim):
        return answers(victim, x, sample.keys, judging(attack, "plant"), room=len(x)).float()


@contextlib.contextmanager
def single_draws(victim: Victim) -> Iterator[None]:
    """A victim whose defence does not vote, for a while: features are no answers to count."""
    voting = {module: module.votes for module in victim.modules() if isinstance(module, Defended)}
    try:
        for module in voting:
            module.votes = 1
        yield
    finally:
        for module, votes in voting.items():
            module.votes = votes


def head_of(victim: Victim) -> tuple[nn.Module, str, nn.Linear]:
    """The classifier's last linear layer, the module that holds it, and its name there."""
    places = [(path.split("."), module) for path, module in victim.named_modules()]
    networks = [module for path, module in places if path[-1] == CLASSIFIER and CLASSIFIER not in path[:-1]]
    linear = [
        (parent, name, child)
        for network in networks
        for parent in network.modules()
        for name, child in parent.named_children()
        if isinstance(child, nn.Linear)
    ]
    if len(networks) != 1 or not linear:
        raise AssayError("checks.active: the classifier has no linear layer at its end; set checks.active: false")
    return linear[-1]


@contextlib.contextmanager
def replaced(parent: nn.Module, name: str, module: nn.Module) -> Iterator[None]:
    """Another module in the place of one, for a while."""
    own = getattr(parent, name)
    setattr(parent, name, module.eval())
    try:
        yield
    finally:
        setattr(parent, name, own)


def corner(sample: Sample, attack: Attack, seed: int) -> Tensor:
    """Random noise of the ball's full size, a value at a time."""
    return _at_wall(_coins(sample.clean.shape, derive_seed(seed, "corner")).to(sample.clean), sample, attack)


def pattern(sample: Sample, attack: Attack, seed: int) -> Tensor:
    """A coarse random pattern of the ball's full size: every block of every colour up or down."""
    images, colours, height, width = sample.clean.shape
    side = BLOCKS[seed % len(BLOCKS)]
    blocks = _coins((images, colours, side, side), derive_seed(seed, "pattern"))
    return _at_wall(nn.functional.interpolate(blocks, (height, width)).to(sample.clean), sample, attack)


def _at_wall(signs: Tensor, sample: Sample, attack: Attack) -> Tensor:
    unit = signs if attack.ball == "Linf" else signs / length(signs)
    return (sample.clean + attack.radius * unit).clamp(0, 1)


def _coins(shape: tuple[int, ...], seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed >> 1)
    return torch.randint(0, 2, shape, generator=generator) * 2.0 - 1


def _for_two_classes(attack: Attack) -> Attack:
    """The attack, with a loss that two classes have."""
    return attack.model_copy(update={"loss": "margin"}) if getattr(attack, "loss", None) == "dlr" else attack
