"""The attack_certificates stage: attacks inside certified radii, which must not change what the vote answers.

PGD in L2 along the gradient of what the vote approaches, the mean of the class probabilities over draws (Salman et al.
2019, eq. 6), then PREDICT at the image that it found. The same attack far outside the radius shows that it works.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from assay import device as devices
from assay.artifacts import Wanted
from assay.attacks.methods.geometry import ascent, into_ball, random_point
from assay.evaluation.certificates.certify import load_images
from assay.evaluation.certificates.cohen import certify, predict
from assay.evaluation.certificates.smoothed import Smoothed, build_smoothed
from assay.evaluation.certificates.votes import read_votes
from assay.evaluation.spread import spread
from assay.inputs import Inputs
from assay.noise import derive_seed
from assay.program import provenance
from assay.progress import track
from assay.stacks import TABLE
from assay.study.certificates import ATTACK_DRAWS, ATTACK_STEPS, AttackCertificatesSpec

TRAVEL = 2.5  # radii that all steps go together, as Madry et al. (2018) have it
INSIDE = 1 - 1e-4  # of the radius: the proof is for less than it, and float32 rounds
BEYOND = 4.0  # times the radius, where nothing is proven
COLUMNS = ["id", "label", "answer", "radius", "inside", "length", "beyond"]


def attack_certificates(spec: AttackCertificatesSpec, code: str, inputs: Inputs, out: Path, threads: int) -> None:
    """Attack some images of the input `certificates` inside their radius and beyond it: one row of the table each.

    `inside` and `beyond` are what PREDICT answers at what was found (-1: it abstains), `length` is the L2 length of the
    perturbation inside.
    """
    wanted = Wanted(out, "attacked certificates", spec.model_dump(mode="json"), code, inputs.manifests())
    if wanted.is_there():
        return
    device = devices.prepare(threads)
    inputs = inputs.on(device)
    votes, stack = read_votes(inputs.folder("certificates")), inputs.images()
    found = certify(votes.selection, votes.votes, votes.level, spec.alpha)
    certified = np.flatnonzero(found.radius > 0)
    chosen = certified[spread(found.answer[certified], spec.images)] if len(certified) else certified
    smoothed = build_smoothed(spec.purifier, inputs, len(votes.classes), spec.seed, spec.batch_size)
    places = {image: place for place, image in enumerate(stack.ids)}
    lines = []
    for row in track(chosen, f"attack certificates {out.parent.name}", len(chosen), unit="images"):
        one = votes.table.iloc[row]
        x, _, keys = load_images(stack, [places[one["id"]]], device)
        answer, radius = int(found.answer[row]), float(found.radius[row])
        ends = [search(smoothed, x, keys, answer, reach * radius) for reach in (INSIDE, BEYOND)]
        said = [_predict(smoothed, end, keys, spec) for end in ends]
        length = torch.linalg.vector_norm((ends[0] - x).double()).item()
        lines.append([one["id"], one["label"], answer, radius, said[0], length, said[1]])
    made_by = provenance(("torch", "numpy", "scipy"), devices.name(device))
    with wanted.write(made_by) as draft:
        draft.facts["draws"] = spec.draws
        pd.DataFrame(lines, columns=COLUMNS).to_csv(draft.path(TABLE), index=False, lineterminator="\n")


def search(smoothed: Smoothed, x: Tensor, keys: Tensor, answer: int, radius: float) -> Tensor:
    """The point of the L2 ball around an image (1, 3, h, w) where PGD leaves the vote least sure of `answer`."""
    point = random_point(x, "L2", radius, derive_seed(smoothed.seed, "start"), keys, 0)
    queried = min(ATTACK_DRAWS, smoothed.room)
    for step in range(ATTACK_STEPS):
        leaf = point.detach().requires_grad_()
        draws = range(step * queried, (step + 1) * queried)
        logs = smoothed.logits(leaf, keys, "attack", draws).log_softmax(-1)[0, :, answer]
        (gradient,) = torch.autograd.grad(-logs.logsumexp(0), leaf)
        point = into_ball(point + TRAVEL * radius / ATTACK_STEPS * ascent(gradient, "L2"), x, "L2", radius)
    return point


def _predict(smoothed: Smoothed, x: Tensor, keys: Tensor, spec: AttackCertificatesSpec) -> int:
    counted = smoothed.votes(x, keys, "prediction", range(spec.draws)).cpu().numpy()
    return int(predict(counted, spec.alpha)[0])
