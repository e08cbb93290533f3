"""timm, torchvision and diffusers, imported whatever build torch is, and without what nobody here uses.

Import them through `import_library` only.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import types
from collections.abc import Callable, Iterator

import torch

COMPILER = "torch._dynamo"
_declared: list[torch.library.Library] = []  # an operator lives as long as its library object


def import_library(name: str) -> types.ModuleType:
    """Import a module of timm, torchvision or diffusers.

    The registry's torchvision is linked against CUDA. Beside a CPU-only torch its compiled operators cannot load, and
    `import torchvision` (which timm and diffusers do) dies on two operators that nobody declared: they are declared
    here if that happens.
    """
    with _without_compiler():
        try:
            importlib.import_module("torchvision")
        except RuntimeError as error:
            if "torchvision::" not in str(error):
                raise
            for module in [loaded for loaded in sys.modules if loaded.split(".")[0] == "torchvision"]:
                del sys.modules[module]
            library = torch.library.Library("torchvision", "DEF")
            for operator in ("nms", "qnms"):
                library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            _declared.append(library)
        return importlib.import_module(name)


@contextlib.contextmanager
def _without_compiler() -> Iterator[None]:
    """Let the libraries decorate their functions without importing torch's compiler for it.

    They only mark functions as not (or always) to be compiled. Importing the compiler takes longer than importing
    torch itself, in each of a study's many short jobs; `benchmarks/start_up.py` measures it.
    """
    if COMPILER in sys.modules:
        yield
        return
    compiler, utilities = types.ModuleType(COMPILER), types.ModuleType(f"{COMPILER}.utils")
    compiler.allow_in_graph = compiler.disable = _unchanged
    compiler.utils = utilities
    utilities.is_compile_supported = lambda device_type: False
    sys.modules |= {COMPILER: compiler, f"{COMPILER}.utils": utilities}
    try:
        yield
    finally:
        for name in (COMPILER, f"{COMPILER}.utils"):
            sys.modules.pop(name, None)


def _unchanged(function: Callable | None = None, *arguments: object, **options: object) -> Callable:
    """A decorator, with or without arguments, that leaves the function as it is."""
    return function if callable(function) else _unchanged
