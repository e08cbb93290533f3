"""Code that is found by name: a module of the library, or a file that a user brings (`method: python`)."""

from __future__ import annotations

import difflib
import functools
import importlib
import importlib.util
import inspect
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import ValidationError

from assay.files import AssayError


@functools.cache
def load(implementation: str) -> ModuleType:
    """The module of a dotted name (`assay.purifiers.ddpm`), or of the path of a user's file (`my/defence.py`).

    A user's file may import its neighbours: its folder is searched for them.
    """
    if not implementation.endswith(".py"):
        try:
            return importlib.import_module(implementation)
        except ModuleNotFoundError as error:
            raise AssayError(
                f"{implementation}: needs the Python package {error.name}, which is not installed; "
                "install it (README.md, 'Install')"
            ) from None
    path = Path(implementation)
    if not os.path.isfile(path):
        raise AssayError(f"module: {implementation} not found; give its path from the folder that the study runs in")
    folder = str(path.parent.resolve())
    if folder not in sys.path:
        sys.path.append(folder)
    spec = importlib.util.spec_from_file_location(f"assay_user_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where pydantic looks up the names in a model's annotations
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        message = " ".join(str(error).split())
        raise AssayError(f"{implementation}: cannot be imported ({type(error).__name__}: {message})") from error
    return module


def build(part: Any, *arguments: Any) -> Any:
    """What the module of a part of the study builds: `build(part, *arguments)`, the part as its module's own model."""
    module = load(part.implementation)
    if not hasattr(module, "build"):
        raise AssayError(f"{part.implementation}: has no function build; see README.md, 'Bring your own'")
    return module.build(own_model(part), *arguments)


def own_model(part: Any) -> Any:
    """A part of the study as the model that its user's module defines; the part itself if it is one of ours.

    The model is the one class of the module that derives from the part's own; a module without keys needs none.
    """
    if not part.implementation.endswith(".py"):
        return part
    found = [
        kind
        for _, kind in inspect.getmembers(load(part.implementation), inspect.isclass)
        if issubclass(kind, type(part)) and kind.__module__ == load(part.implementation).__name__
    ]
    if len(found) > 1:
        raise AssayError(f"{part.implementation}: has {len(found)} models of {type(part).__name__}; keep one")
    kind = found[0] if found else type(part)
    keys = part.model_dump(exclude_unset=True)  # what is not set has the own model's defaults
    for key in keys:
        if key not in kind.model_fields:
            near = difflib.get_close_matches(key, kind.model_fields, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(sorted(kind.model_fields))}"
            raise AssayError(f"{key}: unknown key of {part.implementation}; {hint}")
    try:
        return kind.model_validate(keys)
    except ValidationError as error:
        fault = error.errors()[0]
        key = ".".join(str(place) for place in fault["loc"])
        message = fault["msg"].removeprefix("Value error, ")
        raise AssayError(f"{key}: {message}".removeprefix(": ")) from None
