"""Edits of config, code and files, and what they change in the results of a study that is made from nothing."""

import contextlib
from dataclasses import dataclass

from checkout import CONFIG, Checkout

from assay.files import AssayError
from assay.manifests import read_manifest
from assay.planning.bring import plan_study
from assay.planning.jobs import Artifact, Jobs


@dataclass(frozen=True)
class Edit:
    """A text that is replaced in a file, or appended to it where there is none to replace."""

    name: str
    path: str
    old: str | None
    new: str


def in_config(name: str, old: str, new: str) -> Edit:
    return Edit(name, CONFIG, old, new)


def in_code(path: str) -> Edit:
    return Edit(path, f"src/assay/{path}.py", None, "\nA_NEW_NAME = 1\n")


EDITS = [
    in_config("seed", "seed: 0", "seed: 1"),
    in_config("threads", "threads: 2", "threads: 1"),
    in_config("comment", "evaluation:", "# Another comment.\nevaluation:"),
    in_config("side", "  size: 16", "  size: 24"),
    in_config("training images", "train: 48", "train: 64"),
    in_config("validation images", "validation: 16", "validation: 20"),
    in_config("epochs", "epochs: 2", "epochs: 3"),
    in_config("batches of a classifier", "batch_size: 16", "batch_size: 12"),
    in_config("channels of a classifier", "channels: [8, 8, 8, 8]", "channels: [8, 8, 8, 16]"),
    in_config("channels of a diffusion", "channels: [8, 8]\n", "channels: [8, 16]\n"),
    in_config("steps of a diffusion", "steps: 6", "steps: 7"),
    in_config("highest sigma", "max_sigma: 0.3", "max_sigma: 0.4"),
    in_config("validations", "validate_every: 3", "validate_every: 2"),
    in_config("sigma of noise", "noise, sigmas: [0.1]", "noise, sigmas: [0.15]"),
    in_config("another sigma of noise", "noise, sigmas: [0.1]", "noise, sigmas: [0.1, 0.2]"),
    in_config("another sigma of oneshot", "unet, sigmas: [0.1]", "unet, sigmas: [0.1, 0.2]"),
    in_config("steps of a purifier", "sigmas: [0.2], steps: 2", "sigmas: [0.2], steps: 3"),
    in_config("another eps", "eps: [4/255]", "eps: [4/255, 6/255]"),
    in_config("eps", "eps: [8/255]", "eps: [6/255]"),
    in_config("steps of an attack", "eps: [4/255], steps: 3", "eps: [4/255], steps: 4"),
    in_config("draws of an attack", "steps: 2, draws: 2", "steps: 2, draws: 3"),
    in_config("grid", "{attacks: [pgd], purifiers: [noise, oneshot]}", "{attacks: [pgd], purifiers: [noise]}"),
    in_config("test images", "  images: 8", "  images: 12"),
    in_config("draws", "draws: 2\n  batch_size", "draws: 3\n  batch_size"),
    in_config("batches", "  batch_size: 4", "  batch_size: 8"),
    *map(
        in_code,
        [
            *("files", "manifests", "artifacts", "stacks", "noise", "inputs", "data/check", "data/prepare"),
            *("data/phantom/tumour", "networks/classifier", "diffusion/denoiser", "diffusion/samplers"),
            *("purifiers/ddpm", "purifiers/noise", "attacks/methods/pgd", "attacks/threats/adaptive"),
            *("training/fit", "training/objectives/denoising", "evaluation/classify", "evaluation/summary"),
            *("evaluation/checks/stored", "reporting/page", "planning/plan", "reporting/audit"),
        ],
    ),
    Edit("a template of the report", "src/assay/reporting/templates/style.css", None, "\n/* another style */\n"),
    Edit("a comment in code", "src/assay/files.py", None, "\n# another comment\n"),
    Edit("a tool", "scripts/show.py", None, "\nA_NEW_NAME = 1\n"),
]


def apply(edit: Edit, study: Checkout) -> None:
    if edit.old is None:
        study.append(edit.path, edit.new)
    else:
        study.edit(edit.path, edit.old, edit.new)


def seals(study: Checkout) -> dict[str, str]:
    """The seals of all that a study's report rests on, by job: `purify clean ddpm 0.2`."""
    with contextlib.chdir(study.root):
        jobs = Jobs(plan_study(study.config(), CONFIG))
        found: dict[str, str] = {}
        waiting, seen = [jobs.page(), jobs.roles()], set[Artifact]()
        while waiting:
            artifact = waiting.pop()
            if artifact in seen:
                continue
            seen.add(artifact)
            waiting.extend(jobs.maker(artifact).all_inputs.values())
            name = " ".join([artifact.stage, *(value for _, value in artifact.wildcards if value)])
            with contextlib.suppress(AssayError):
                manifest = read_manifest(artifact.folder)
                found[name] = manifest["key"] if artifact.kind == "report" else manifest["seal"]
        return found


def jobs_that_changed(anew: Checkout, before: Checkout) -> set[str]:
    """The jobs whose artifacts are others in a study made anew, by their seals; the report by its key: it has times."""
    old = seals_at(before, anew)
    return {job for job, seal in seals(anew).items() if old.get(job) != seal}


def seals_at(study: Checkout, config_of: Checkout) -> dict[str, str]:
    """The seals of one study's artifacts at the places that the config of another names."""
    text = (study.root / CONFIG).read_text()
    (study.root / CONFIG).write_text((config_of.root / CONFIG).read_text())
    try:
        return seals(study)
    finally:
        (study.root / CONFIG).write_text(text)
