"""Assay: whether a defence protects a classifier from adversarial images, and how far the number can be trusted.

`assay.evaluate` measures networks that are in memory; `assay.Study` reads what a study of the workflow found. Both are
loaded when they are first used: importing Assay imports nothing else.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from assay.entry.evaluate import evaluate
    from assay.entry.study import Study

__all__ = ["Study", "evaluate"]
PLACES = {"evaluate": "assay.entry.evaluate", "Study": "assay.entry.study"}


def __getattr__(name: str) -> Any:
    if name not in PLACES:
        raise AttributeError(f"module 'assay' has no attribute '{name}'")
    return getattr(importlib.import_module(PLACES[name]), name)
