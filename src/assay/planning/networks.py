"""What a call of each of a study's networks costs: measured once by torch, and kept in results/<study>/sizes.json.

Planning imports no torch: networks are measured by a program of their own, and only when somebody asks for it.
"""

from __future__ import annotations

import functools
import importlib.metadata
import json
import math
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.files import AssayError, canonical_json, digest, read_json
from assay.planning.fingerprint import ROOT, fingerprint
from assay.planning.published import CONFIG, timm_config
from assay.study.classifiers import AnyClassifier, PublishedClassifier
from assay.study.diffusions import AnyDiffusion, Diffusion, PublishedDiffusion
from assay.study.networks import AnyNetwork, PythonNetwork

SIZES = "sizes.json"
PROGRAM = ROOT / "workflow" / "stages" / "measure_networks.py"
LIBRARIES = ("torch", "torchvision", "timm", "diffusers")  # what the networks come from
CLASSIFIER_KEYS = ("network", "arguments", "small_stem")
DIFFUSION_KEYS = ("channels", "layers_per_block", "attention_levels", "middle_attention")

Described = dict[str, Any]  # all that the size of a network depends on


@dataclass(frozen=True)
class Size:
    """Parameters of a network; multiply-adds of a call on one image, and bytes kept for a gradient of it."""

    parameters: int
    multiply_adds: float
    gradient_bytes: int

    @property
    def call_bytes(self) -> int:
        """Bytes that a call without gradient holds at most (ResNets and U-Nets: 0.14 to 0.34 of the others)."""
        return math.ceil(0.35 * self.gradient_bytes)


# What an image of 96 pixels costs a network that cannot be measured; all but parameters grow with the number of pixels.
USUAL_SIDE = 96
USUAL = {
    "classifier": Size(25_600_000, 0.75e9, 16_000_000),  # ResNet-50
    "diffusion": Size(113_700_000, 34.9e9, 297_000_000),  # the U-Net of ankile/ddpm-pcam-96-flip
}


def describe(network: AnyClassifier | AnyDiffusion, side: int, classes: int) -> Described | None:
    """All that a network's size depends on, for images of `side` pixels; None if the config does not tell."""
    if isinstance(network, Diffusion | PublishedDiffusion):
        return {"network": {key: getattr(network, key) for key in DIFFUSION_KEYS}, "side": side}
    code = fingerprint(network.implementation) if isinstance(network, PythonNetwork) else ""
    keys = _published(network) if isinstance(network, PublishedClassifier) else _keys(network)
    return {"network": keys, "side": side, "classes": classes, "code": code} if keys else None


def _keys(classifier: AnyNetwork) -> dict[str, Any]:
    """What a classifier is built from: the name of its network, or a user's module and its keys."""
    brought = isinstance(classifier, PythonNetwork)
    kept = {*PythonNetwork.model_fields, *classifier.model_extra} if brought else set(CLASSIFIER_KEYS)
    return classifier.model_dump(mode="json", include=kept)


def _published(classifier: PublishedClassifier) -> dict[str, Any] | None:
    """What a published classifier is built from, as far as its config, or config.json in a local folder, tells."""
    named = {"network": classifier.network, "arguments": classifier.arguments, "small_stem": False}
    if classifier.network:
        return named
    try:
        told = timm_config(Path(classifier.published) / CONFIG)
    except (AssayError, OSError):
        return None
    return named | {"network": told.network, "arguments": told.model_args or {}}


class NetworkSizes:
    """The sizes of networks: those kept in `file`, to which more are added by measuring, and in the files beside."""

    def __init__(self, file: Path, beside: Iterable[Path] = ()) -> None:
        self.file = file
        self._kept: dict[str, Any] = {}
        for path in [*beside, file]:
            self._read(path)

    def of(self, network: AnyClassifier | AnyDiffusion, side: int, classes: int) -> Size:
        """The size of a network for images of `side` pixels; the usual one of its kind if it was not measured."""
        described = describe(network, side, classes)
        kept = self._kept.get(_key(described), {}) if described else {}
        if "size" in kept:
            return Size(**kept["size"])
        usual = USUAL["diffusion" if isinstance(network, Diffusion | PublishedDiffusion) else "classifier"]
        share = (side / USUAL_SIDE) ** 2
        return Size(usual.parameters, usual.multiply_adds * share, round(usual.gradient_bytes * share))

    def measure(self, described: Iterable[Described | None]) -> None:
        """Measure all of these networks that are not kept yet, in one process of its own."""
        missing = {_key(found): found for found in described if found and _key(found) not in self._kept}
        if missing:
            command = [sys.executable, str(PROGRAM), "--networks", json.dumps(missing), "--out", str(self.file)]
            done = subprocess.run(command, capture_output=True, text=True)
            fault = (done.stderr.strip() or "it gave no size").splitlines()[-1]
            self._kept |= {key: {"fault": fault} for key in missing}
            self._read(self.file)

    def fault(self, described: Described | None) -> str:
        """Why a network has no measured size; empty if it has one."""
        kept = self._kept.get(_key(described), {"fault": "not measured"}) if described else {}
        return kept.get("fault", "") if kept else "its config does not name its network"

    def _read(self, path: Path) -> None:
        try:
            found = read_json(path)
            self._kept |= {key: kept for key, kept in found.items() if "fault" in kept or Size(**kept["size"])}
        except (AssayError, AttributeError, KeyError, TypeError):  # none yet, or of other code
            return


def _key(described: Described) -> str:
    """What a size is kept by: all that it depends on, the libraries' versions included."""
    return digest([canonical_json(described), library_versions()])


def library_versions() -> dict[str, str]:
    """The versions of the libraries that networks come from."""
    return {name: _version(name) for name in LIBRARIES}


@functools.cache
def _version(library: str) -> str:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return "absent"
