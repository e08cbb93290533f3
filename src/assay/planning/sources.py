"""Local files that published networks come from, as inputs of the jobs that import them."""

from __future__ import annotations

import json
import os
from pathlib import Path

from assay.files import AssayError, read_manifest
from assay.study.fields import HUB


def source_input(published: str, folder: Path, spec: str, code: str) -> list[str]:
    """The input of the job that imports `published` into `folder`: a source that changes is imported again.

    A source that is gone is no input, so that the job runs and says so; but where it has made just what this spec and
    code would make, nothing needs it any more. (Snakemake takes the outputs of a job that lacks an input as they are.)
    """
    if published.startswith(HUB):
        return []
    return [published] if os.path.exists(published) or is_made(folder, spec, code) else []


def is_made(folder: Path, spec: str, code: str) -> bool:
    """Whether an artifact is what this spec and code would make."""
    try:
        manifest = read_manifest(folder)
    except (AssayError, OSError):
        return False
    return manifest.get("spec") == json.loads(spec) and manifest.get("code") == code
