"""Trainings as small as can be, for the tests: a user's network on 16-pixel images, or a U-Net of two levels."""

from pathlib import Path

import pytest

from assay.data.prepare import prepare_images
from assay.inputs import Inputs
from assay.study.classifiers import ClassifierSpec
from assay.study.diffusions import DiffusionSpec
from assay.study.images import ImagesSpec
from assay.training.checkpoints import Checkpoints
from assay.training.classifier import train_classifier
from assay.training.diffusion import train_diffusion

STEPS = 5
NETWORK = """
import torch

def build(spec, classes):
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(), torch.nn.Linear(4, classes),
    )
"""
CLASSIFIER = {"method": "python", "steps": STEPS, "batch_size": 8, "validate_every": 2}
DIFFUSION = {
    "channels": [8, 8],
    "layers_per_block": 1,
    "norm_groups": 4,
    "middle_attention": False,
    "objective": {"method": "denoising", "max_sigma": 0.3},
    "steps": STEPS,
    "batch_size": 8,
    "validate_every": 2,
}


class Stopped(Exception):
    """As good as a crash."""


class Saves(list):
    """The steps that checkpoints were saved after; after `stop_after` of them the training crashes."""

    stop_after: int | None = None


def save_always(monkeypatch: pytest.MonkeyPatch) -> Saves:
    """Have trainings save a checkpoint after every step."""
    made, save = Saves(), Checkpoints.save

    def counted(self: Checkpoints, state: dict) -> None:
        save(self, state)
        made.append(state["step"])
        if len(made) == made.stop_after:
            raise Stopped

    monkeypatch.setattr(Checkpoints, "due", lambda self: True)
    monkeypatch.setattr(Checkpoints, "save", counted)
    return made


def prepare(folder: Path) -> Path:
    """A folder with images to train and to validate on, and with the classifier's network."""
    for split, count in (("train", 24), ("validation", 8)):
        spec = ImagesSpec(images={"source": "phantom", "size": 16}, split=split, count=count, seed=0)
        prepare_images(spec, "", Inputs({}), folder / split)
    (folder / "network.py").write_text(NETWORK)
    return folder


def train(kind: str, prepared: Path, out: Path, *, needs: dict[str, Path] | None = None, **changes: object) -> Path:
    """Train a classifier or a diffusion on prepared images."""
    inputs = Inputs({"train": prepared / "train", "validation": prepared / "validation", **(needs or {})})
    if kind == "classifier":
        described = CLASSIFIER | {"module": str(prepared / "network.py")} | changes
        train_classifier(ClassifierSpec(classifier=described, seed=0), "code", inputs, out, 1)
    else:
        train_diffusion(DiffusionSpec(diffusion=DIFFUSION | changes, seed=0), "code", inputs, out, 1)
    return out


def contents(folder: Path) -> dict[str, bytes]:
    """The bytes of an artifact's files."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
