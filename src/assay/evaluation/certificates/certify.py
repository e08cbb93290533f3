"""The certify stage: the votes of a smoothed classifier, from which its certificates are told.

Votes of a fixed number of draws bound how likely an answer is, and give the whole curve of radii. For one radius that
was named beforehand a sequential test needs fewer: it stops at each image as soon as it knows.
"""

from __future__ import annotations

import collections
import functools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.stats import norm
from torch import Tensor

from assay import device as devices
from assay.artifacts import Wanted
from assay.batches import Part, folder_name
from assay.evaluation.certificates.betting import Verdict, judge
from assay.evaluation.certificates.smoothed import (
    ESTIMATION,
    SELECTION,
    SEQUENTIAL,
    Smoothed,
    build_smoothed,
    stretch_of,
)
from assay.evaluation.certificates.votes import DRAWS, HITS, VERDICT, Votes, write_votes
from assay.evaluation.classify import require_same_classes
from assay.evaluation.spread import spread
from assay.inputs import Inputs
from assay.noise import image_key
from assay.program import provenance
from assay.purifiers.purifier import sigma_of
from assay.resume import Arrays, Resume
from assay.stacks import Stack, to_pixels
from assay.study.certificates import CertifySpec

PIECE = 500  # draws of each image that are counted, and kept, at a time
BELOW_ONE = 1 - 2**-53  # a radius of many sigmas asks for more than any draws show: it is refused at the first miss
VOTES = "votes"  # of a piece
ROUND = 16  # draws of each image between two looks of the sequential test


@dataclass(frozen=True)
class Pieces:
    """The pieces that votes are counted in: for each batch of images the draws that choose, those that bound, and those
    of the sequential test, of which each piece goes on where the one before it stopped."""

    images: int
    batch_size: int
    draws: int
    sequential: bool

    @property
    def of_each(self) -> int:
        """Pieces of draws for each batch: of those that bound, and of the sequential test if there is one."""
        return math.ceil(self.draws / PIECE)

    @property
    def per_batch(self) -> int:
        return 1 + self.of_each * (2 if self.sequential else 1)

    @property
    def batches(self) -> int:
        return math.ceil(self.images / self.batch_size)

    def rows(self, batch: int) -> range:
        """The places of a batch's images."""
        return range(batch * self.batch_size, min((batch + 1) * self.batch_size, self.images))

    def draws_of(self, place: int) -> range:
        """The draws of a piece, by its place among those of one kind."""
        return range(place * PIECE, min((place + 1) * PIECE, self.draws))

    def of_batches(self, batches: range) -> range:
        """The numbers of all pieces of some batches."""
        return range(batches.start * self.per_batch, batches.stop * self.per_batch)


def certify_stack(
    spec: CertifySpec, code: str, inputs: Inputs, out: Path, threads: int, part: Part | None = None
) -> None:
    """Count the votes of a spec's smoothed classifier on the input `images`, and write them to the artifact `out`.

    Given a `part`, only the pieces of its images are counted; they are kept for the job that writes them all.
    """
    wanted = Wanted(out, "certificates", spec.model_dump(mode="json"), code, inputs.manifests())
    if wanted.found() or wanted.unmade() if part else wanted.is_there():
        return
    device = devices.prepare(threads)
    inputs = inputs.on(device)
    stack = inputs.images()
    require_same_classes(inputs.folder("classifier"), inputs.folder("images"))
    rows = spread(stack.labels, spec.images) if spec.images else list(range(len(stack.table)))
    sigma, stretch = sigma_of(spec.purifier, inputs), stretch_of(spec.purifier, inputs, stack.side)
    p0 = min(norm.cdf(spec.radius * stretch / sigma), BELOW_ONE) if spec.radius else None
    pieces = Pieces(len(rows), spec.batch_size, spec.draws, spec.radius is not None)
    load = functools.cache(
        lambda: build_smoothed(spec.purifier, inputs, len(stack.classes), spec.seed, spec.batch_size)
    )
    resume = Resume(out, wanted.work)

    def count(index: int) -> Arrays:
        number, place = divmod(index, pieces.per_batch)
        x, labels, keys = load_images(stack, [rows[row] for row in pieces.rows(number)], device)
        if place <= pieces.of_each:
            asked = (ESTIMATION, pieces.draws_of(place - 1)) if place else (SELECTION, range(spec.selection_draws))
            counted = load().votes(x, keys, *asked).cpu().numpy()
            found = {VOTES: counted.astype(np.min_scalar_type(len(asked[1])))}
        else:
            first = place == pieces.of_each + 1
            before = begin(len(x)) if first else resume.batch(index - 1, count)
            draws = pieces.draws_of(place - pieces.of_each - 1)
            found = sequential(load(), x, labels, keys, before, draws, lambda *so_far: judge(*so_far, p0, spec.alpha))
        return found | {"device": np.array(devices.name(device))}

    label = f"certify {folder_name(out, 3)}"
    batches = part.batches(pieces.batches) if part else range(pieces.batches)
    results = resume.batches(pieces.of_batches(batches), count, label)
    if part:
        collections.deque(results, maxlen=0)
        return
    selection, votes, tested, made_by = put_together(results, pieces, len(stack.classes))
    table = stack.table.loc[rows, ["id", "label"]].reset_index(drop=True).assign(**tested)
    libraries = ("torch", "numpy", "scipy") + (("diffusers",) if spec.purifier.needs else ())
    with wanted.write(provenance(libraries, devices.names(made_by))) as draft:
        write_votes(draft, Votes(table, selection, votes, stack.classes, sigma, stretch, stack.side))
    resume.clear()


def put_together(
    results: Iterable[Arrays], pieces: Pieces, classes: int
) -> tuple[np.ndarray, np.ndarray, Arrays, list[Arrays]]:
    """All pieces, in order, as the votes that choose and those that bound, both (images, classes), what the sequential
    test did with each image if there was one, and the devices that they were counted on."""
    selection, votes = (np.zeros((pieces.images, classes), np.int64) for _ in range(2))
    tested = begin(pieces.images) if pieces.sequential else {}
    made_by = []
    for index, found in enumerate(results):
        number, place = divmod(index, pieces.per_batch)
        own = slice(pieces.rows(number).start, pieces.rows(number).stop)
        made_by.append({"device": found["device"]})
        if place <= pieces.of_each:
            (votes if place else selection)[own] += found[VOTES]
        else:  # each one holds what the ones before it found
            for column in tested:
                tested[column][own] = found[column]
    return selection, votes, tested, made_by


def load_images(stack: Stack, rows: list[int], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Images (n, 3, h, w) in [0,1], labels and noise keys (n,) of some rows of a stack."""
    images = torch.from_numpy(to_pixels(stack.rows(rows)))
    labels = torch.from_numpy(stack.labels[rows].astype("int64"))
    keys = torch.tensor([image_key(stack.ids[row]) for row in rows])
    return images.to(device), labels.to(device), keys.to(device)


def begin(images: int) -> Arrays:
    """Where the sequential test of each image begins."""
    return {name: np.zeros(images, np.int64) for name in (HITS, DRAWS, VERDICT)}


def sequential(
    smoothed: Smoothed,
    x: Tensor,
    labels: Tensor,
    keys: Tensor,
    before: Arrays,
    draws: range,
    judge: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> Arrays:
    """Go on with the sequential test of each image that is not decided, over these draws: hits of its label, draws that
    were taken, and the verdict. What was drawn counts whole: a round that decides is counted to its end."""
    hits, taken, verdict = (before[name].copy() for name in (HITS, DRAWS, VERDICT))
    for first in range(0, len(draws), ROUND):
        rows = np.flatnonzero(verdict == Verdict.OPEN)
        if not len(rows):
            break
        own, asked = torch.from_numpy(rows).to(x.device), draws[first : first + ROUND]
        votes = smoothed.votes(x[own], keys[own], SEQUENTIAL, asked)
        hits[rows] += votes.gather(1, labels[own, None])[:, 0].cpu().numpy()
        taken[rows] += len(asked)
        verdict[rows] = judge(hits[rows], taken[rows])
    return {HITS: hits, DRAWS: taken, VERDICT: verdict}
