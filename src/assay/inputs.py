"""The artifacts that a job reads, by role: one option of every stage, and how the library asks for them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from assay.files import AssayError, digest
from assay.manifests import manifest_path, read_manifest
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
    """The places of a job's artifacts by role, the keys that they must have where the workflow says so, and the device
    that their networks are loaded to."""

    folders: Mapping[str, Path]
    keys: Mapping[str, str] = field(default_factory=dict)
    device: torch.device | None = None

    def on(self, device: torch.device) -> Inputs:
        """The same artifacts, with networks on a device."""
        return replace(self, device=device)

    def folder(self, role: str) -> Path:
        """The place of the artifact that plays a role."""
        if role not in self.folders:
            raise AssayError(f"--inputs: no folder for the role '{role}'; add it")
        return Path(self.folders[role])

    def __contains__(self, role: str) -> bool:
        return role in self.folders

    def each(self, role: str, names: Iterable[str]) -> Inputs:
        """The same artifacts, but for a role whose folder holds one of each name: each has a role of its own."""
        folders = {path: folder for path, folder in self.folders.items() if path != role}
        found = {f"{role}/{name}": self.folder(role) / name for name in names}
        if role in self.keys:
            require_key(self.folder(role), role, keys_of_all(found), self.keys[role])
        return replace(self, folders=folders | found)

    def manifests(self) -> dict[str, Path]:
        """The manifest of each artifact by role, for the manifest of what is made of them."""
        return {role: manifest_path(folder) for role, folder in self.folders.items()}

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


def parse_inputs(text: str, keys: str = "{}") -> Inputs:
    """The inputs of a stage's options `--inputs` and `--keys`: JSON, folders by role and keys by role.

    An artifact with another key is refused: it is not the one that the workflow meant when it started the stage.
    """
    folders, wanted = _by_role("--inputs", "folder", text), _by_role("--keys", "key", keys)
    inputs = Inputs({role: Path(folder) for role, folder in folders.items()}, wanted)
    for role, folder in inputs.folders.items():
        if role in wanted and manifest_path(folder).is_file():  # else a folder of many: see `each`
            require_key(folder, role, read_manifest(folder)["key"], wanted[role])
    return inputs


def keys_of_all(places: Mapping[str, Path]) -> str:
    """One key of many artifacts by role."""
    return digest({role: read_manifest(place)["key"] for role, place in places.items()})


def require_key(folder: Path, role: str, found: str, wanted: str) -> None:
    """Refuse an artifact that has another key than it must have."""
    if found != wanted:
        raise AssayError(
            f"{folder}: is not what the study wants as '{role}' (changed or swapped since planning); run again"
        )


def _by_role(option: str, what: str, text: str) -> dict[str, str]:
    form = f'{{"role": "{what}"}}'
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise AssayError(f"{option}: not valid JSON ({error}); write {form}") from None
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise AssayError(f"{option}: must be {what}s by role; write {form}")
    return found
