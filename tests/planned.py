"""A config that has a part of every kind, and what planning says of a config: for tests of bad input."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from assay.files import AssayError
from assay.planning.bring import plan_study
from assay.planning.jobs import Jobs
from assay.planning.outside import check_outside
from assay.study.fields import Brought, Model
from assay.study.model import Study

NAME = "mine.yaml"
MODULE = "mine/part.py"
CODE = '"""A part."""\n\n\ndef build(*arguments):\n    return None\n\n\ndef open_split(*arguments):\n    return None\n'
Place = tuple[str | int, ...]

IMAGES = {
    "phantom": {"source": "phantom", "size": 16, "train": 48, "validation": 16, "task": "tumour"},
    "pcam": {"source": "pcam", "validation": 16, "size": 96},
    "kaggle": {"source": "kaggle", "validation": 16, "size": 96, "folder": "mine"},
    "cifar10": {"source": "cifar10", "validation": 16},
    "cifar100": {"source": "cifar100", "validation": 16},
    "medmnist": {"source": "medmnist", "validation": 16},
    "imagenet": {"source": "imagenet", "validation": 16, "folder": "mine"},
    "folder": {"source": "folder", "validation": 16, "size": 32, "folder": "mine", "classes": ["cat", "dog"]},
    "python": {"source": "python", "module": MODULE, "size": 32, "train": 9, "validation": 9, "classes": ["a", "b"]},
}
STUDY: dict[str, Any] = {
    "study": "whole",
    "seed": 0,
    "threads": 2,
    "images": IMAGES["phantom"],
    "classifiers": {
        "plain": {"network": "timm/resnet18", "arguments": {"layers": [1, 1]}, "epochs": 2, "batch_size": 16},
        "robust": {
            "network": "torchvision/resnet18",
            "objective": {"method": "adversarial", "eps": "4/255"},
            "steps": 4,
            "batch_size": 16,
            "augment": [
                "flip_lr",
                {"crop": 4},
                {"resized_crop": [0.5, 1]},
                {"method": "colour", "brightness": 0.4},
            ],
            "ranks": {"nodes": 1, "gpus": 2},
            "learning_rate_schedule": "step",
            "start": "plain",
            "denoise": {"operation": "bilateral_gaussian", "after": ["layer1", "layer3"], "embed": False},
        },
        "helper": {
            "network": "timm/resnet18",
            "arguments": {"layers": [1, 1]},
            "epochs": 1,
            "objective": {"method": "guide", "max_sigma": 0.1},
        },
        "timm": {"published": "hf-hub:someone/net", "layout": "timm", "revision": "abc"},
        "toolbox": {
            "published": "hf-hub:some/net/x.pth",
            "layout": "tiatoolbox",
            "network": "torchvision/resnet18",
            "sha256": "0" * 64,
        },
        "xie": {
            "published": "hf-hub:some/net/y.pytorch",
            "layout": "feature_denoising",
            "network": "torchvision/resnet18",
            "same_padding": True,
            "denoise": {"operation": "non_local_gaussian", "after": "stages"},
        },
        "own": {"method": "python", "module": MODULE, "epochs": 1},
    },
    "diffusions": {
        "unet": {
            "channels": [8, 16],
            "norm_groups": 4,
            "attention_levels": [1],
            "steps": 6,
            "batch_size": 8,
            "objective": {"method": "denoising", "max_sigma": 0.3},
        },
        "tuned": {
            "channels": [8, 16],
            "norm_groups": 4,
            "steps": 6,
            "batch_size": 8,
            "start": "unet",
            "objective": {"method": "addt", "guide": "plain", "max_sigma": 0.3, "strength": "4/255"},
        },
        "velocity": {
            "channels": [8],
            "norm_groups": 4,
            "steps": 6,
            "batch_size": 8,
            "schedule": "flow",
            "prediction": "flow",
        },
        "elsewhere": {"published": "hf-hub:someone/ddpm", "data_range": [0, 1]},
    },
    "purifiers": {
        "noise": {"method": "noise", "sigmas": [0.1]},
        "jpeg": {"method": "jpeg", "quality": 50},
        "median": {"method": "median", "sigmas": [0, 0.1]},
        "means": {"method": "nonlocal_means", "sigmas": [0.1], "strength": "10/255", "window": 5},
        "oneshot": {"method": "oneshot", "diffusion": "unet", "sigmas": [0.1, "selected"]},
        "ddpm": {"method": "ddpm", "diffusion": "unet", "sigmas": [0.2], "steps": 3},
        "sde": {"method": "sde", "diffusion": "unet", "sigmas": [0.1], "steps": 3},
        "ode": {"method": "ode", "diffusion": "unet", "sigmas": [0.1]},
        "bridge": {"method": "bridge", "diffusion": "tuned", "sigmas": [0.1], "new_noise": True},
        "flow": {"method": "flow", "diffusion": "velocity", "sigmas": [0.15]},
        "gradual": {"method": "gradual", "diffusion": "unet", "sigmas": [0.1], "schedule": [[0.5, 2], [1, 1]]},
        "guided": {
            "method": "guided",
            "diffusion": "unet",
            "sigmas": [0.1],
            "rounds": 2,
            "energy": {"method": "distance", "scale": 1000, "perturbation": "4/255"},
        },
        "answers": {
            "method": "guided",
            "diffusion": "unet",
            "sigmas": [0.1],
            "energy": {"method": "classifier", "guide": "helper", "scale": 2},
        },
        "likelihood": {"method": "likelihood", "diffusion": "unet", "sigmas": [0.1], "step_size": "10/255"},
        "ddim": {"method": "ddim", "diffusion": "elsewhere", "sigmas": [0.2]},
        "own": {"method": "python", "module": MODULE, "sigmas": [0.1], "uses": {"guide": ["diffusion", "unet"]}},
    },
    "attacks": {
        "fgsm": {"method": "fgsm", "eps": ["4/255"], "target": "random"},
        "pgd": {"method": "pgd", "eps": ["4/255", 0.1], "preset": "quick", "step_size": 0.01},
        "length": {"method": "pgdl2", "eps": [0.5], "threat": "adaptive", "draws": 2, "selection_draws": 4},
        "auto": {"method": "apgd", "eps": [0.1], "restarts": 2, "threat": "bpda"},
        "fewer": {"method": "pgd", "eps": [0.1], "threat": {"method": "surrogate", "steps": 2}},
        "square": {"method": "square", "eps": [0.1], "threat": "blackbox", "queries": 5},
        "random": {"method": "random_sign", "eps": [0.1]},
        "own": {
            "method": "python",
            "module": MODULE,
            "eps": [0.1],
            "threat": {"method": "python", "module": MODULE, "rank": 1},
        },
    },
    "cross": [
        {"classifiers": ["plain"], "attacks": ["fgsm", "pgd", "random"], "purifiers": ["noise", "oneshot", "own"]},
        {"attacks": ["length", "auto", "square"], "purifiers": ["oneshot"], "sigmas": [0.1]},
        {"attacks": ["fewer", "own"], "purifiers": ["ddpm"], "eps": [0.1]},
        {"attacks": ["pgd"], "purifiers": [], "classifiers": ["plain"], "sources": ["robust"]},
    ],
    "selection": {
        "images": 8,
        "purifier": "ddpm",
        "classifier": "plain",
        "attack": "pgd",
        "eps": 0.1,
        "sigmas": [0.1, 0.2],
        "draws": 2,
    },
    "evaluation": {"images": 8, "draws": 2, "batch_size": 4, "images_per_job": 4},
    "certificates": {
        "classifiers": ["plain"],
        "purifiers": ["noise", "oneshot"],
        "sigmas": [0.1],
        "images": 4,
        "draws": 100,
        "radius": "1/20",
    },
    "checks": {"images": 4, "gradients": True},
}


def bring_modules(folder: Path) -> None:
    """Have a folder hold the module that the config names."""
    (folder / "mine").mkdir()
    (folder / MODULE).write_text(CODE)


def planned(config: dict) -> Study:
    """The study of a config, all of whose jobs can be told; as much as is done before the first job."""
    study = plan_study(copy.deepcopy(config), NAME)
    jobs = Jobs(study)
    check_outside(jobs, NAME)
    told = [jobs.summarise(), jobs.check(), jobs.report(), *(jobs.prepare_images(split) for split in study.counts)]
    for kind in ("classifier", "diffusion"):
        told += [jobs.job(f"train_{kind}", **{kind: name}) for name in jobs.named(kind, False)]
        told += [jobs.job(f"import_{kind}", **{kind: name}) for name in jobs.named(kind, True)]
    told += [jobs.attack("", attacked.path) for attacked in jobs.attacked]
    for one in jobs.smoothed:
        place = (one.classifier, *one.defence.path.split("/sigma-"))
        told += [jobs.certify(*place), jobs.attack_certificates(*place)]
    for cell in jobs.cells:
        purifier, sigma = cell.defence.path.split("/sigma-")
        if cell.defence.purifier:
            told.append(jobs.purify("", cell.stack, purifier, sigma))
        told.append(jobs.classify("", cell.classifier, cell.stack, purifier, sigma))
    for job in told:
        assert job.text, job
        assert jobs.options(job), job
        assert job.code, job
    return study


def refusal(config: dict) -> str | None:
    """What planning says of a config that it refuses; None where it accepts it."""
    try:
        planned(config)
    except AssayError as error:
        return str(error)
    return None


def keys_of(value: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """The places of all keys that the models of a study's parts know, set or not, each with its field."""
    if isinstance(value, Model | Brought):
        for name, field in type(value).model_fields.items():
            yield (*place, name), field
            yield from keys_of(getattr(value, name), (*place, name))
    elif isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from keys_of(part, (*place, key))


def put(config: dict, place: Place, value: Any) -> dict:
    """A copy of a config with a value at a place; short forms on the way are written out."""
    changed = copy.deepcopy(config)
    here: Any = changed
    for key in place[:-1]:
        inner = here[key] if isinstance(here, list) else here.get(key, {})
        here[key] = {"method": inner} if isinstance(inner, str) else inner
        here = here[key]
    here[place[-1]] = value
    return changed
