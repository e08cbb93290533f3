"""What an artifact reads besides images: the networks and choices that its config model names, each by its role."""

from __future__ import annotations

from typing import Literal, NamedTuple

Kind = Literal["classifier", "diffusion", "selection"]


class Need(NamedTuple):
    """An artifact that another one reads: its kind, and its name in the study."""

    kind: Kind
    name: str


Needs = dict[str, Need]  # by role: "diffusion", "guide", "start", …

# The module that loads an artifact of each kind: whoever reads one depends on that code.
LOADERS: dict[str, str] = {
    "classifier": "assay.networks.classifier",
    "diffusion": "assay.diffusion.denoiser",
    "file list": "assay.data.listed",  # images to train on that are read from a data set's own files
}
