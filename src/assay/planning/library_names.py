"""Whether timm and torchvision have a network of a name, told from their source files: importing them takes seconds."""

from __future__ import annotations

import difflib
import functools
import importlib.util
import re
from pathlib import Path

FUNCTION = re.compile(rb"^def ([a-z]\w+)\(", re.MULTILINE)


@functools.cache
def name_fault(network: str) -> str | None:
    """What is wrong with `timm/NAME` or `torchvision/NAME` if no file of the library's models has the name.

    A library that is not installed here, but in a container, is not looked at.
    """
    library, _, name = network.partition("/")
    bare = name.split(".")[0] if library == "timm" else name.lower()  # timm's names end in the tag of some weights
    # As a function, or in quotes: an old name, or one of several of a function.
    known = re.compile(rf"^def {re.escape(bare)}\(|[\"']{re.escape(bare)}[\"'.]".encode(), re.MULTILINE)
    files = _files(library)
    if not files or any(known.search(file.read_bytes()) for file in files):
        return None
    names = {found.decode() for file in files for found in FUNCTION.findall(file.read_bytes())}
    near = difflib.get_close_matches(bare, sorted(names), n=1)
    hint = f"did you mean '{near[0]}'?" if near else "correct the name"
    return f"{library} has no network '{name}'; {hint}"


def _files(library: str) -> list[Path]:
    """The source files of a library's models."""
    found = importlib.util.find_spec(library)
    places = (found.submodule_search_locations if found else None) or []
    return [path for place in places for path in sorted((Path(place) / "models").rglob("*.py"))]
