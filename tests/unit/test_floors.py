"""The plan of the house: a module imports from its own floor and from those below, never from above."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from assay.planning.fingerprint import PACKAGE, running

FLOORS = (
    ("files", "verified", "noise", "progress", "device", "program", "modules", "words", "warm"),
    ("manifests", "kept"),
    ("artifacts",),
    ("stacks", "resume", "batches", "logits"),
    ("study",),
    ("planning", "inputs"),
    ("data",),
    ("networks",),
    ("diffusion",),
    ("training",),
    ("purifiers", "defended"),
    ("attacks",),
    ("evaluation",),
    ("reporting",),
    ("entry",),
    ("exports",),
    ("commands", "__main__"),
)
WITHOUT_TORCH = ("study", "planning", "reporting")
PARTS = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in PACKAGE.rglob("*.py")}
PLACES = sorted(PARTS - {"__init__"})


def floor(place: str) -> int:
    return next(number for number, places in enumerate(FLOORS) if place in places)


def imports(place: str) -> Iterator[tuple[str, str]]:
    """What the modules of a place import, each with the file that does."""
    for path in [PACKAGE / f"{place}.py", *(PACKAGE / place).rglob("*.py")]:
        if path.is_file():
            for node in running(ast.parse(path.read_text(encoding="utf-8"))):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
                for name in names:
                    whole = f"{node.module}.{name}" if isinstance(node, ast.ImportFrom) else name
                    yield path.relative_to(PACKAGE).as_posix(), whole


def test_every_place_has_a_floor() -> None:
    assert sorted(place for places in FLOORS for place in places) == PLACES


@pytest.mark.parametrize("place", PLACES)
def test_nothing_is_imported_from_a_floor_above(place: str) -> None:
    above = {
        f"{file} imports {name}"
        for file, name in imports(place)
        if name.split(".")[0] == "assay" and floor(name.split(".")[1]) > floor(place)
    }
    assert not above


@pytest.mark.parametrize("place", WITHOUT_TORCH)
def test_planning_and_reporting_name_no_torch(place: str) -> None:
    assert not {file for file, name in imports(place) if name.split(".")[0] in ("torch", "timm", "diffusers")}


def test_stages_and_tools_are_thin() -> None:
    root = Path(__file__).parents[2]
    for path in [*(root / "workflow/stages").glob("*.py"), *(root / "scripts").glob("*.py")]:
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 50, f"{path.name}: its work belongs in the library"
