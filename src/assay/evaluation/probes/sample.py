"""The images that an attack is probed on, and what all probes do with them: attack, judge."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from assay.attacks.methods.best import as_stored
from assay.attacks.methods.losses import LOSSES
from assay.attacks.methods.method import aims, build_search
from assay.attacks.queries import answers, margins
from assay.attacks.threats.victim import Query, Victim, judgement
from assay.evaluation.spread import spread
from assay.noise import derive_seed, image_key
from assay.stacks import Stack, to_pixels
from assay.study.attacks import Attack

JUDGED = 8  # draws that no attack has met, on which a stochastic victim is judged


@dataclass(frozen=True)
class Sample:
    """Some images of a study: clean and attacked (n, 3, h, w) in [0,1], labels and noise keys (n,)."""

    clean: Tensor
    attacked: Tensor
    labels: Tensor
    keys: Tensor
    classes: int


def take(clean: Stack, attacked: Stack, count: int, device: torch.device) -> Sample:
    """About `count` of the attacked images, as many of each class, spread over the stack."""
    clean = clean.of(attacked.ids)
    rows = spread(clean.labels, count)
    keys = torch.tensor([image_key(clean.ids[row]) for row in rows])
    images = (torch.from_numpy(to_pixels(stack.images[rows])).to(device) for stack in (clean, attacked))
    labels = torch.from_numpy(clean.labels[rows].astype("int64"))
    return Sample(*images, labels.to(device), keys.to(device), len(clean.classes))


def fewer(sample: Sample, count: int) -> Sample:
    """About `count` of a sample's images, as many of each class."""
    rows = torch.tensor(spread(sample.labels.cpu().numpy(), count), device=sample.labels.device)
    images = (sample.clean[rows], sample.attacked[rows], sample.labels[rows], sample.keys[rows])
    return sample if len(rows) == len(sample.labels) else Sample(*images, sample.classes)


def loss_of(attack: Attack) -> str:
    """The name of the loss that an attack raises; one of your own that names no known loss is taken to raise the
    negative margin."""
    name = getattr(attack, "loss", "margin")
    return name if name in LOSSES else "margin"


def goals_of(attack: Attack, sample: Sample, seed: int) -> Tensor:
    """The labels (n,) that an attack of the sample is given: the images' own, or those of its targets."""
    return aims(attack, sample.labels, sample.keys, sample.classes, seed)


def run_attack(attack: Attack, victim: Victim, sample: Sample, goals: Tensor, classes: int, seed: int) -> Tensor:
    """The images that an attack makes of the clean ones, given its goals (n,), as they would be stored."""
    device = sample.clean.device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(derive_seed(seed, "probe") >> 1)
        search = build_search(attack, victim, classes, derive_seed(seed, "attack", "search"))
        found = search(sample.clean, goals, sample.keys).detach()
    return as_stored(found, sample.clean, attack)


def judging(attack: Attack, purpose: str) -> Query:
    """The draws that a probe judges on, which no search meets; one where the victim is deterministic."""
    return judgement(purpose, JUDGED if attack.threat.fresh else 1)


def judge(attack: Attack, victim: Victim, x: Tensor, sample: Sample, labels: Tensor) -> Tensor:
    """Margins (n, draws) of images in the place of a sample's, under noise that no query meets."""
    return margins(answers(victim, x, sample.keys, judging(attack, "probe"), room=len(x)), labels)
