"""The artifacts that a job reads, by role: one option of every stage, and how the library asks for them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from assay.files import MANIFEST, AssayError, read_manifest
from assay.modules import load
from assay.stacks import Images, read_stack
from assay.study.needs import LOADERS
from assay.study.selection import SIGMA, read_sigma

if TYPE_CHECKING:
    import torch

    from assay.diffusion.denoiser import Denoiser
    from assay.networks.classifier import Normalised

SELECTED = "selected"  # the role of the study's selection


@dataclass(frozen=True)
class Inputs:
    """The folders of a job's artifacts by role, and the device that their networks are loaded to."""

    folders: Mapping[str, Path]
    device: torch.device | None = None

    def on(self, device: torch.device) -> Inputs:
        """The same artifacts, with networks on a device."""
        return replace(self, device=device)

    def folder(self, role: str) -> Path:
        """The folder of the artifact that plays a role."""
        if role not in self.folders:
            raise AssayError(f"--inputs: no folder for the role '{role}'; add it")
        return Path(self.folders[role])

    def __contains__(self, role: str) -> bool:
        return role in self.folders

    def manifests(self) -> dict[str, Path]:
        """What stands for each artifact by role, its manifest, for the manifest of what is made of them."""
        own = {SELECTED: SIGMA}  # of the selection only the sigma counts, not what it was chosen from
        return {role: Path(folder) / own.get(role, MANIFEST) for role, folder in self.folders.items()}

    def images(self, role: str = "images") -> Images:
        """The images that play a role: a stack, but for training images that are read from a data set's own files."""
        return open_images(self.folder(role))

    # The loaders are found by name: a job depends on the code of those kinds only that it has inputs of.

    def classifier(self, role: str = "classifier") -> Normalised:
        """The classifier that plays a role, frozen and in evaluation mode."""
        return load(LOADERS["classifier"]).load_classifier(self.folder(role), self.device)

    def denoiser(self, role: str = "diffusion") -> Denoiser:
        """The denoiser of the diffusion that plays a role, frozen and in evaluation mode."""
        return load(LOADERS["diffusion"]).load_denoiser(self.folder(role), self.device)

    def sigma(self) -> float:
        """The sigma that the study's selection chose."""
        return read_sigma(self.folder(SELECTED) / SIGMA)


def open_images(folder: Path) -> Images:
    """The images of a split: a stack, or training images that are read from the data set's own files."""
    kind = read_manifest(folder)["kind"]
    return load(LOADERS[kind]).read_images(folder) if kind in LOADERS else read_stack(folder)


def parse_inputs(text: str) -> Inputs:
    """The inputs of a stage's option `--inputs`: JSON, folders by role."""
    try:
        folders = json.loads(text)
    except json.JSONDecodeError as error:
        raise AssayError(f'--inputs: not valid JSON ({error}); write {{"role": "folder"}}') from None
    if not isinstance(folders, dict) or not all(isinstance(folder, str) for folder in folders.values()):
        raise AssayError('--inputs: must be folders by role; write {"role": "folder"}')
    return Inputs({role: Path(folder) for role, folder in folders.items()})
