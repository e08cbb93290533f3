"""The purify stage: every image of a stack, purified once a draw."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import torch

from assay import device as devices
from assay.artifacts import Wanted
from assay.batches import Part, batch_count, folder_name, load_batch
from assay.inputs import Inputs
from assay.program import provenance
from assay.purifiers.purifier import build_purifier, evaluation_noise, sigma_of
from assay.resume import Arrays, Resume
from assay.stacks import to_stored, write_images, write_table
from assay.study.purifiers import PurifySpec

BITS = 16  # fine enough that storing does not change a prediction; an 8-bit image passes through unchanged


def purify_stack(
    spec: PurifySpec,
    code: str,
    inputs: Inputs,
    out: Path,
    threads: int,
    part: Part | None = None,
) -> None:
    """Purify the stack that is the input `images` to the stack `out`: rows by image, then draw, then vote.

    The noise depends on the seed, the image's id, the draw and the step alone, so all purifiers, sigmas and stacks
    share it: comparisons between cells are paired in their noise too. Given a `part`, only its batches are computed;
    they are kept for the job that puts the stack together.
    """
    wanted = Wanted(out, "stack", spec.model_dump(mode="json"), code, inputs.manifests())
    if wanted.found() or wanted.unmade() if part else wanted.is_there():
        return
    device = devices.prepare(threads)
    inputs = inputs.on(device)
    stack = inputs.images()
    draws = spec.draws * spec.purifier.votes
    load = functools.cache(lambda: build_purifier(spec.purifier, inputs))

    def purify_batch(index: int) -> Arrays:
        batch, purify = load_batch(stack, index, spec.batch_size, device), load()
        purified = []
        with torch.inference_mode():
            for draw in range(draws):
                noise = evaluation_noise(spec.seed, batch.keys, draw, batch.images)
                purified.append(to_stored(purify(batch.images, noise)[: batch.size].cpu().numpy(), BITS))
        stored = np.stack(purified, axis=1).reshape(-1, *purified[0].shape[1:])
        return {"images": stored, "device": np.array(devices.name(device))}

    resume = Resume(out, wanted.work)
    count = batch_count(stack, spec.batch_size)
    batches = part.batches(count) if part else range(count)
    label = f"purify {folder_name(out, 2)}"
    results = [{"device": result["device"]} for result in resume.batches(batches, purify_batch, label)]
    if part:
        return
    table = stack.table[["id", "label"]].loc[stack.table.index.repeat(draws)].reset_index(drop=True)
    table["draw"] = np.tile(np.arange(draws), len(stack.table))
    libraries = ("torch", "numpy", "tifffile") + (("diffusers",) if spec.purifier.needs else ())
    made_by = provenance(libraries, devices.names(results))
    with wanted.write(made_by) as draft:
        draft.facts |= {"classes": stack.classes, "sigma": sigma_of(spec.purifier, inputs)}
        write_images(draft, (resume.batch(index, purify_batch)["images"] for index in range(count)), len(table))
        write_table(draft, table)
    resume.clear()
