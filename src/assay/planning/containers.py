"""Container images: which recipe a kind of stage has, where its image lies, and what to do where it does not."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from assay.files import AssayError

FOLDER = Path(__file__).parents[3] / "containers"
SHARED = ("install", "check.py")
RECIPES = {
    "data": ("data.def", "data.lock", *SHARED),
    "torch": ("torch.def", "torch.lock", "torch-cuda.lock", *SHARED),
    "report": ("report.def", "report.lock", *SHARED),
}
PROGRAMS = ("apptainer", "singularity")


def recipe_hash(kind: str, folder: Path = FOLDER) -> str:
    """The hash of all that an image of this kind is built from."""
    parts = [f"{name} {hashlib.sha256((folder / name).read_bytes()).hexdigest()}" for name in RECIPES[kind]]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def image(kind: str, folder: Path = FOLDER) -> Path:
    """Where the image of this kind lies: another recipe, another name."""
    return folder / "images" / f"{kind}-{recipe_hash(kind, folder)}.sif"


def require_images(folder: Path = FOLDER) -> None:
    """Fail unless there is a program to run containers, and every image."""
    if not any(shutil.which(program) for program in PROGRAMS):
        raise AssayError(
            "containers: neither apptainer nor singularity is on PATH; install Apptainer, or load its module, "
            "or run without --software-deployment-method apptainer"
        )
    missing = [kind for kind in RECIPES if not image(kind, folder).is_file()]
    if missing:
        names = ", ".join(image(kind, folder).name for kind in missing)
        raise AssayError(f"{folder / 'images'}: no {names}; run: containers/build {' '.join(missing)}")
