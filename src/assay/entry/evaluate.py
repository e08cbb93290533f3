"""Measure networks that are in memory, as the workflow measures a study's: `assay.evaluate`.

The same stages run, by the library's own functions, on a study that is made up from the arguments: so the numbers are
those of the workflow for the same images, seeds and attacks.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from assay.artifacts import Wanted
from assay.attacks.attack import attack_stack
from assay.entry.arrays import as_stored, class_names
from assay.entry.behaviour import Behaviour, as_function, behaviour_of
from assay.entry.config import CLASSIFIER, made_up, stand_in, usual_attacks
from assay.entry.networks import Given, borrowed, weights_hash
from assay.entry.study import Study
from assay.evaluation.checks.run import make_checks
from assay.evaluation.classify import classify_stack
from assay.evaluation.probes.probe import probe_attack
from assay.evaluation.tables import make_tables
from assay.files import AssayError
from assay.inputs import Inputs
from assay.manifests import MANIFEST
from assay.planning.cells import sigma_token
from assay.planning.jobs import Job, Jobs
from assay.program import provenance
from assay.progress import track
from assay.purifiers.purifier import Purify
from assay.purifiers.purify import purify_stack
from assay.reporting.page import write_report
from assay.stacks import to_pixels, write_images, write_table
from assay.study.model import Study as Config

TRIED = 2  # images that the networks are tried on first


def evaluate(
    classifier: nn.Module,
    images: Tensor | np.ndarray,
    labels: Tensor | np.ndarray | Sequence[int],
    purify: Callable[..., Tensor] | None = None,
    eps: float | Sequence[float] = 8 / 255,
    *,
    sigma: float = 1.0,
    attacks: Mapping[str, Mapping[str, Any]] | None = None,
    preset: str = "standard",
    draws: int = 3,
    seed: int = 0,
    batch_size: int = 64,
    classes: Sequence[str] | None = None,
    ids: Sequence[str] | None = None,
    checks: Mapping[str, Any] | None = None,
    name: str = "evaluation",
    folder: str | Path | None = None,
) -> Evaluated:
    """What a classifier keeps under attack, without and with a purifier before it.

    - `classifier` gives logits (n, classes) for images (n, 3, h, w) in [0,1]; it normalises them itself. It is frozen
      and in evaluation mode meanwhile, and afterwards as it was.
    - `images` (n, 3, h, w) or (n, h, w, 3), in [0,1] or uint8, are kept with 8 bits; `labels` are n places among the
      classes.
    - `purify(x, noise)` or `purify(x)` gives images like x; differentiable, for attacks through it. `noise(k)` is the
      noise of step k. One that draws with torch.randn by itself is given Assay's noise; `result.purifier` says so.
    - `eps` is the radius, or several, of the L-infinity ball in pixel units; `sigma` only names the noise level.
    - `attacks` by name, as a study's config has them; if absent, PGD by transfer and, where there is a purifier,
      through the identity (bpda), through the purifier (adaptive), and with its noise known (locked), each with the
      steps and draws of the `preset`: quick, standard or thorough.
    - `draws` of the purifier per image are evaluated. `seed` is of everything random, beside the `ids` of the images:
      their names in a study, or their places if absent.
    - `checks` asks for probes of the attacks, as a study's config does: `{"gradients": True}` unless given.
    - `folder`, which must not exist or be empty, keeps all results as a study's; if absent, they go with the result.
    """
    call, takes_noise = as_function(purify) if purify else (None, False)
    stored = as_stored(images)
    labels = np.array(labels.cpu().numpy() if isinstance(labels, Tensor) else labels, dtype=np.int64)
    with borrowed(classifier, purify) as device:
        sample = torch.from_numpy(to_pixels(stored[:TRIED])).to(device)
        names = class_names(classes, _outputs(classifier, sample), labels, len(stored))
        behaviour = behaviour_of(call, takes_noise, sample) if call else None
        config = made_up(
            behaviour,
            study=name,
            seed=seed,
            images=stand_in(size=stored.shape[1], classes=names),
            sigma=sigma,
            attacks=usual_attacks(eps, preset, behaviour) if attacks is None else attacks,
            evaluation={"images": len(stored), "draws": draws, "batch_size": min(batch_size, len(stored))},
            checks={"gradients": True} if checks is None else checks,
        )
        kept = None if folder else tempfile.TemporaryDirectory(prefix="assay-")
        place = _empty(Path(folder or kept.name).resolve())
        _write_images(place, stored, labels, names, ids)
        _write_classifier(place, classifier, names)
        _run(config, place, classifier, call)
    return Evaluated(place, behaviour, kept)


class Evaluated(Study):
    """What `assay.evaluate` found: all that a study has; and how the purifier behaved, `purifier`."""

    def __init__(self, folder: Path, purifier: Behaviour | None, kept: tempfile.TemporaryDirectory | None) -> None:
        super().__init__(folder)
        self.purifier = purifier
        self._kept = kept  # the results are deleted when this is

    def __repr__(self) -> str:
        return "\n".join([super().__repr__(), *([str(self.purifier)] if self.purifier else [])])


def _outputs(classifier: nn.Module, images: Tensor) -> int:
    """How many classes a classifier tells apart."""
    with torch.no_grad():
        logits = classifier(images)
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(images) or logits.shape[1] < 2:
        found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise AssayError(
            f"classifier: gives {found} for {len(images)} images; return logits (images, classes), of two or more"
        )
    return logits.shape[1]


def _empty(folder: Path) -> Path:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise AssayError(f"folder: {folder} is not an empty folder; name another, or remove what is in it")
    return folder


def _write_images(
    place: Path, stored: np.ndarray, labels: np.ndarray, classes: Sequence[str], ids: Sequence[str] | None
) -> None:
    """Write the images as the study's test images."""
    names = [str(each) for each in (range(len(stored)) if ids is None else ids)]
    if len(set(names)) != len(stored):
        raise AssayError(f"ids: {len(set(names))} different ids for {len(stored)} images; give each image its own")
    with Wanted(place / "images/test", "stack", {}, _code(), {}).write(provenance(("numpy", "tifffile"))) as draft:
        write_images(draft, [stored], len(stored))
        write_table(draft, pd.DataFrame({"id": names, "label": labels}))
        draft.facts["classes"] = list(classes)


def _write_classifier(place: Path, classifier: nn.Module, classes: Sequence[str]) -> None:
    """Write what stands for the classifier: no weights, but what tells them from others."""
    spec = {"weights": weights_hash(classifier)}
    with Wanted(place / f"classifiers/{CLASSIFIER}", "classifier", spec, _code(), {}).write(
        provenance(("torch",))
    ) as draft:
        draft.facts |= {"classes": list(classes), "parameters": sum(each.numel() for each in classifier.parameters())}


def _run(config: Config, place: Path, classifier: nn.Module, purify: Purify | None) -> None:
    """Run the stages of the study one after the other."""
    jobs, threads, code = Jobs(config), torch.get_num_threads(), _code()
    jobs.results = str(place)

    def step(stage: Callable[..., None], job: Job) -> Callable[[], None]:
        folders = {role: Path(artifact.folder) for role, artifact in job.inputs.items()}
        inputs = Given(folders, network=classifier, purify=purify)
        return lambda: stage(job.spec, code, inputs, Path(job.makes.folder), threads)

    steps = [step(attack_stack, jobs.job("attack", role="", attacked_path=each.path)) for each in jobs.attacked]
    for cell in jobs.cells:
        shown = {"role": "", "attacked": cell.stack, "purifier": cell.defence.name}
        shown["sigma"] = sigma_token(cell.defence.sigma)
        if cell.defence.purifier:
            steps.append(step(purify_stack, jobs.job("purify", **shown)))
        steps.append(step(classify_stack, jobs.job("classify", classifier=cell.classifier, **shown)))
    steps += [step(probe_attack, jobs.job("probe", attacked_path=each.path)) for each in jobs.probed]
    for each in track(steps, config.study, len(steps), unit="stages"):
        with contextlib.redirect_stderr(io.StringIO()):  # this bar is enough
            each()
    _tell(jobs, place, code)


def _tell(jobs: Jobs, place: Path, code: str) -> None:
    """Make the tables, the checks and the report."""
    config, roles = jobs.study, ("scores", "adversarial", *(["probes"] if jobs.probed else []))
    places = {role: place / role for role in roles} | {"images": place / "images/test"}
    tables, found = place / f"summary.{MANIFEST}", place / f"checks.{MANIFEST}"
    make_tables(config, code, Inputs({role: places[role] for role in ("scores", "images")}), tables)
    make_checks(config, code, Inputs(places | {"tables": tables}), found)
    write_report(config, code, Inputs({"tables": tables, "checks": found}), place / f"report.{MANIFEST}")


def _code() -> str:
    """What stands for the code in the manifests."""
    return f"assay {importlib.metadata.version('assay')}"
