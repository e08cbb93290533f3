"""The attack stage: adversarial examples of a stack against a victim, on disk."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import torch

from assay import device as devices
from assay.attacks.ball import boundary, project, sizes
from assay.attacks.methods.best import margins, require_finite
from assay.attacks.methods.method import Search, build_search
from assay.attacks.threats.victim import Victim, build_victim
from assay.batches import Part, batch_count, folder_name, load_batch
from assay.files import AssayError, artifact
from assay.inputs import Inputs
from assay.noise import derive_seed
from assay.program import provenance
from assay.resume import Arrays, Resume, resume_key
from assay.stacks import to_pixels, write_images, write_table
from assay.study.attacks import AttackSpec


def attack_stack(
    spec: AttackSpec,
    code: str,
    inputs: Inputs,
    out: Path,
    threads: int,
    part: Part | None = None,
) -> None:
    """Attack every image of the input `images`; the stack `out` has the same ids and labels in the same order.

    The table says of each image whether it is `perturbed`, the norms `linf` and `l2` of its stored perturbation (pixel
    units), for an L-infinity ball the share of its values at the `boundary` (on the ball's wall, or at 0 or 1), the
    mean `margin` of what the attack is judged on over draws that the attack has not met, and whether that is `fooled`
    (margin below 0). The fact `queries` counts how often an image went through the victim, with and without gradient,
    in the mean.
    Given a `part`, only its batches are computed; they are kept for the job that puts the stack together.
    """
    device = devices.prepare(threads)
    inputs = inputs.on(device)
    stack = inputs.images()
    norm, eps = spec.attack.ball, spec.attack.radius
    libraries = ("torch", "torchattacks", "numpy", "tifffile")

    @functools.cache
    def load() -> tuple[Victim, Search]:
        victim = build_victim(spec, inputs).to(device).eval().requires_grad_(False)
        seed = derive_seed(spec.seed, "attack", "search")
        return victim, build_search(spec.attack, victim, len(stack.classes), seed)

    def attack_batch(index: int) -> Arrays:
        victim, search = load()
        batch = load_batch(stack, index, spec.batch_size, device)
        victim.begin(batch.keys)
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(derive_seed(spec.seed, "attack", index) >> 1)
            try:
                found = search(batch.images, batch.labels, batch.keys).detach()
                require_finite(found)
            except FloatingPointError as error:
                raise AssayError(f"{out}: {error}") from None
        start = index * spec.batch_size
        clean = stack.images[start : start + batch.size]
        stored = project(found[: batch.size].cpu().numpy(), clean, norm, eps)
        queries = np.array([victim.gradient_queries, victim.forward_queries]) / spec.batch_size
        padding = np.repeat(stored[-1:], spec.batch_size - batch.size, axis=0)
        pixels = torch.from_numpy(to_pixels(np.concatenate([stored, padding]))).to(device)
        victim.begin(batch.keys)
        logits = victim.judge(pixels, spec.attack.selection, "verdict")
        verdict = margins(logits, batch.labels).mean(1)[: batch.size].cpu().numpy()
        linf, l2 = sizes(stored, clean)
        wall = {"boundary": boundary(stored, clean, eps)} if norm == "Linf" else {}
        measured = {"linf": linf, "l2": l2, "margin": verdict, "queries": queries}
        return {"images": stored} | measured | wall | {"device": np.array(devices.name(device))}

    resume = Resume(out, resume_key(spec.model_dump(mode="json"), code, inputs.manifests()))
    label = f"attack {folder_name(out, 4)}"
    count = batch_count(stack, spec.batch_size)
    results = [
        {name: value for name, value in result.items() if name != "images"}  # those are written batch by batch
        for result in resume.batches(part.batches(count) if part else range(count), attack_batch, label)
    ]
    if part:
        return
    table = stack.table[["id", "label"]].copy()
    for column in ("linf", "l2", *(("boundary",) if norm == "Linf" else ()), "margin"):
        table[column] = np.concatenate([result[column] for result in results])
    table.insert(2, "perturbed", (table["linf"] > 0).astype(int))
    table["fooled"] = (table["margin"] < 0).astype(int)
    made_by = provenance(libraries, devices.names(results))
    with artifact(out, "stack", spec.model_dump(mode="json"), code, inputs.manifests(), made_by) as draft:
        gradients, forwards = np.average(
            [result["queries"] for result in results], axis=0, weights=[len(result["margin"]) for result in results]
        )
        draft.facts |= {"classes": stack.classes, "norm": norm, "eps": eps, "fooled": int(table["fooled"].sum())}
        draft.facts["queries"] = {"gradient": float(gradients), "forward": float(forwards)}
        write_images(draft, (resume.batch(index, attack_batch)["images"] for index in range(count)), len(table))
        write_table(draft, table)
    resume.clear()
