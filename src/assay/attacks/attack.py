"""The attack stage: adversarial examples of a stack against a victim, on disk."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from assay import device as devices
from assay.artifacts import Wanted
from assay.attacks.ball import project, to_pixels, to_stored
from assay.attacks.chosen import chosen_images
from assay.attacks.methods.best import require_finite
from assay.attacks.methods.method import aims, build_search
from assay.attacks.perturbation import boundary, sizes
from assay.attacks.queries import Counted, answers, margins
from assay.attacks.threats.victim import build_victim, judgement
from assay.attacks.trail import Trail
from assay.batches import Part, batch_count, folder_name, load_batch
from assay.files import AssayError
from assay.inputs import Inputs
from assay.noise import derive_seed
from assay.program import provenance
from assay.resume import Arrays, Resume
from assay.stacks import TRAJECTORY, Stack, write_images, write_table
from assay.study.attacks import AttackSpec
from assay.study.fields import SELECTED

PER_BATCH = {"queries", "device"}  # of what is measured; all else is of each image


def attack_stack(
    spec: AttackSpec,
    code: str,
    inputs: Inputs,
    out: Path,
    threads: int,
    part: Part | None = None,
) -> None:
    """Attack the input `images`, or as many of them as the attack names; the stack `out` has their ids and labels in
    the same order.

    The table says of each image whether it is `perturbed`, the norms `linf` and `l2` of its stored perturbation (pixel
    units), for an L-infinity ball the share of its values at the `boundary` (on the ball's bound, or at 0 or 1), the
    mean `margin` of what the attack is judged on over draws that the attack has not met, and whether that is `fooled`
    (margin below 0); of a targeted attack also the `target`, a class, and whether that is `hit` (its mean margin above
    0). An attack with a trajectory also leaves `trajectory.csv`: the class of each image after some of its steps. The
    fact `queries` counts how often an image went through the victim, with and without gradient, on average.
    Given a `part`, only its batches are computed; they are kept for the job that puts the stack together.
    """
    wanted = Wanted(out, "stack", spec.model_dump(mode="json"), code, inputs.manifests())
    if wanted.found() or wanted.unmade() if part else wanted.is_there():
        return
    device = devices.prepare(threads)
    inputs = inputs.on(device)
    attack = spec.attack
    stack = chosen_images(inputs.images(), attack.images, spec.seed)
    classes = len(stack.classes)
    norm, eps = attack.ball, attack.radius
    libraries = ("torch", *attack.libraries, "numpy", "tifffile")
    load = functools.cache(lambda: build_victim(spec, inputs))

    def attack_batch(index: int) -> Arrays:
        victim, batch = Counted(load()), load_batch(stack, index, spec.batch_size, device)
        trail = Trail(victim, attack, batch.images) if attack.noted_steps else None
        search = build_search(attack, trail or victim, classes, derive_seed(spec.seed, "attack", "search"))
        goals = aims(attack, batch.labels, batch.keys, classes, spec.seed)
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(derive_seed(spec.seed, "attack", index) >> 1)
            try:
                found = search(batch.images, goals, batch.keys).detach()
                require_finite(found)
            except FloatingPointError as error:
                raise AssayError(f"{out}: {error}") from None
        queries = np.array([victim.with_gradient, victim.without_gradient]) / spec.batch_size
        integers = project(found, batch.images, norm, eps)
        query = judgement("verdict", attack.selection)
        logits = answers(load(), to_pixels(integers, norm, eps), batch.keys, query, room=spec.batch_size)
        first = index * spec.batch_size
        clean = stack.images[first : first + batch.size]
        stored = to_stored(integers[: batch.size], norm, eps)
        linf, l2 = sizes(stored, clean)
        measured = {"linf": linf, "l2": l2}
        if norm == "Linf":
            measured["boundary"] = boundary(stored, clean, eps)
        measured["margin"] = _mean_margins(logits, batch.labels, batch.size)
        if attack.target:
            measured["target"] = goals[: batch.size].cpu().numpy()
            measured["target_margin"] = _mean_margins(logits, goals, batch.size)
        if trail:
            measured["trajectory"] = trail.classes(logits)[: batch.size].cpu().numpy()
        return {"images": stored, **measured, "queries": queries, "device": np.array(devices.name(device))}

    resume = Resume(out, wanted.work)
    label = f"attack {folder_name(out, 4)}"
    count = batch_count(stack, spec.batch_size)
    results = [
        {name: value for name, value in result.items() if name != "images"}  # those are written batch by batch
        for result in resume.batches(part.batches(count) if part else range(count), attack_batch, label)
    ]
    if part:
        return
    of_images = results[0].keys() - PER_BATCH
    measured = {name: np.concatenate([result[name] for result in results]) for name in of_images}
    table = _table(stack, measured)
    made_by = provenance(libraries, devices.names(results))
    with wanted.write(made_by) as draft:
        gradients, forwards = np.average(
            [result["queries"] for result in results], axis=0, weights=[len(result["margin"]) for result in results]
        )
        draft.facts |= {"classes": stack.classes, "norm": norm, "eps": eps, "fooled": int(table["fooled"].sum())}
        if "hit" in table:
            draft.facts["hit"] = int(table["hit"].sum())
        if spec.purifier:
            (sigma,) = spec.purifier["sigmas"]
            draft.facts["sigma"] = inputs.sigma() if sigma == SELECTED else sigma
        draft.facts["queries"] = {"gradient": float(gradients), "forward": float(forwards)}
        write_images(draft, (resume.batch(index, attack_batch)["images"] for index in range(count)), len(table))
        write_table(draft, table)
        if attack.noted_steps:
            trajectory = pd.DataFrame(measured["trajectory"], columns=attack.noted_steps)
            trajectory.insert(0, "id", table["id"])
            trajectory.to_csv(draft.path(TRAJECTORY), index=False, lineterminator="\n")
    resume.clear()


def _mean_margins(logits: Tensor, labels: Tensor, size: int) -> np.ndarray:
    """Mean margins over the draws, of the first `size` images."""
    return margins(logits, labels).mean(1)[:size].cpu().numpy()


def _table(stack: Stack, measured: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """The table of an adversarial stack."""
    table = stack.table[["id", "label"]].copy()
    table["perturbed"] = (measured["linf"] > 0).astype(int)
    for column in ("linf", "l2", "boundary", "margin"):
        if column in measured:
            table[column] = measured[column]
    table["fooled"] = (measured["margin"] < 0).astype(int)
    if "target" in measured:
        table["target"] = measured["target"]
        table["hit"] = (measured["target_margin"] > 0).astype(int)
    return table
