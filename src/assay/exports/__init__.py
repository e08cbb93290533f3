"""A study's results in the formats of other tools: one module per format, with `write(study, out)`."""

from __future__ import annotations

import importlib
from pathlib import Path

from assay.entry.study import Study

# The formats by name: the ending of what is written (a folder has none), and what it holds.
FORMATS = {
    "npz": (".npz", "images, adversarial images, labels and logits as NumPy arrays in one file"),
    "datasets": ("", "a folder that Hugging Face's load_dataset reads: clean and adversarial images with their tables"),
    "latex": (".tex", "the accuracies as LaTeX tables (booktabs), one per classifier"),
    "robustbench": ("", "a folder of JSON files like RobustBench's model_info, one per classifier, eps and defence"),
}


def export(study: Study, kind: str, out: Path) -> None:
    """Write a study's results in one of FORMATS."""
    importlib.import_module(f"assay.exports.{kind}").write(study, out)
