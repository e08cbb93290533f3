"""Weights that were published elsewhere: where their files are, that they are the right ones, and reading them.

Nothing is unpickled: safetensors, or PyTorch files of plain tensors.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from assay.files import AssayError, sha256
from assay.study.fields import HUB

NAMED_KEYS = 3

State = dict[str, Tensor]


@dataclass(frozen=True)
class Source:
    """What a config names under `published`: a local folder or file, or a repository of the hub at a revision."""

    published: str
    revision: str | None = None
    # The local files that were looked for, for the manifest: their SHA-256 by path; None of those that are not there.
    read: dict[str, str | None] = field(default_factory=dict, compare=False)

    @property
    def on_hub(self) -> bool:
        return self.published.startswith(HUB)

    @property
    def named_file(self) -> str | None:
        """The one file that was named, if it was a file: its name beside its neighbours."""
        if self.on_hub:
            return "/".join(self.published.removeprefix(HUB).split("/")[2:]) or None
        return None if Path(self.published).is_dir() else Path(self.published).name

    def find(self, *names: str) -> Path | None:
        """The first of these files that the source has, as a local path."""
        return next((path for name in names if (path := self._file(name))), None)

    def require(self, *names: str) -> Path:
        """The first of these files that the source has; an `AssayError` if it has none."""
        if not self.on_hub and not Path(self.published).exists():
            raise AssayError(f"{self.published}: not found; published must name a folder, a file or hf-hub:OWNER/NAME")
        if found := self.find(*names):
            return found
        raise AssayError(f"{self.published}: has no {' or '.join(names)}; check published and, of a classifier, layout")

    def _file(self, name: str) -> Path | None:
        if self.on_hub:
            return self._download(name)
        folder = Path(self.published)
        path = (folder if folder.is_dir() else folder.parent) / name
        found = path if path.is_file() else None
        if str(path) not in self.read:
            self.read[str(path)] = sha256(found) if found else None
        return found

    def _download(self, name: str) -> Path | None:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HFValidationError, HTTPError, RemoteEntryNotFoundError

        repository = "/".join(self.published.removeprefix(HUB).split("/")[:2])
        try:
            return Path(hf_hub_download(repository, name, revision=self.revision))
        except RemoteEntryNotFoundError:
            return None
        except (OSError, HTTPError, HFValidationError) as error:
            raise AssayError(
                f"{self.published}: {name} was not downloaded ({_first_line(error)}); check the name and the network, "
                f"or download it elsewhere and name the local folder under published"
            ) from None


def read_pinned(source: Source, pinned: str | None, *names: str) -> tuple[State, str]:
    """The state dict in the first of these files that the source has, and the file's SHA-256.

    A file of another hash than was pinned is not read; of a download that is not pinned, the hash is told.
    """
    weights = source.require(*names)
    found = sha256(weights)
    if pinned and found != pinned:
        raise AssayError(
            f"{source.published}: {weights.name} has SHA-256 {found}, the config's sha256 is {pinned}; "
            f"find the right file or correct sha256"
        )
    if source.on_hub and not pinned:
        note(f"{source.published}: not pinned; add 'sha256: {found}' to its keys in the config")
    return read_weights(weights), found


def note(text: str) -> None:
    """Say one line in the stage's log."""
    print(f"note: {text}", file=sys.stderr)


def read_weights(path: Path) -> State:
    """The state dict in a safetensors file, or in a PyTorch file of plain tensors."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # whatever the readers do with bytes that are no weights
        raise AssayError(
            f"{path}: not a readable file of plain tensors ({_first_line(error)}); publish it as safetensors"
        ) from None
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):  # a checkpoint, with more beside it
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
    ):
        raise AssayError(f"{path}: holds no state dict of plain tensors; name the file of a state dict")
    return state


def load_state(network: nn.Module, state: State, of: str, what: str) -> None:
    """Load a state dict that must fit exactly; `of` names its source and `what` the network."""
    expected = network.state_dict()
    other = [name for name in state if name in expected and state[name].shape != expected[name].shape]
    faults = [
        f"{said} {_named(names)}"
        for said, names in (
            ("lacks", [name for name in expected if name not in state]),
            ("has left over", [name for name in state if name not in expected]),
            ("has of another shape", other),
        )
        if names
    ]
    if faults:
        raise AssayError(f"{of}: its weights are not those of {what}: it {' and '.join(faults)}; check the network")
    network.load_state_dict(state)


def _named(names: list[str]) -> str:
    rest = len(names) - NAMED_KEYS
    return ", ".join(names[:NAMED_KEYS]) + (f" and {rest} more" if rest > 0 else "")


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".:")
