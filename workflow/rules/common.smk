# The study, its specs, and the places of its artifacts. What the other rules files share.

import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.settings.enums import DeploymentMethod

from assay.containers import RECIPES, image, require_images
from assay.files import AssayError
from assay.study.locks import clear_stale_locks
from assay.study.parse import parse_study
from assay.study.resources import Resources
from assay.study.specs import Specs

if "study" not in config:

    configfile: Path(workflow.basedir) / "config" / "config.yaml"


IN_CONTAINERS = (
    DeploymentMethod.APPTAINER in workflow.deployment_settings.deployment_method
)

try:
    STUDY = parse_study(config, ", ".join(map(str, workflow.configfiles)) or "--config")
    clear_stale_locks(Path(".snakemake"))
    if IN_CONTAINERS:
        require_images()
except AssayError as error:
    raise WorkflowError(str(error))

SPECS = Specs(STUDY)
NEEDS = Resources(STUDY)
RESULTS = f"results/{STUDY.study}"
SCRIPTS = f"{workflow.basedir}/scripts"
# In a container, the image's Python and the checkout's code.
PYTHON = (
    f"PYTHONPATH={workflow.basedir}/src python" if IN_CONTAINERS else sys.executable
)
# Relative where it can be: Snakemake looks an image up in the working directory.
IMAGES = {kind: os.path.relpath(image(kind)) for kind in RECIPES}


wildcard_constraints:
    split="train|validation|test",
    classifier="[^/]+",
    diffusion="[^/]+",
    attack="[^/]+",
    purifier="[^/]+",
    attacked=r"clean|[^/]+/[^/]+/eps-[^/]+/[^/]+",
    attacked_path=r"[^/]+/[^/]+/eps-[^/]+/[^/]+",
    eps="[^/]+",
    sigma="[^/]+",


def stack_files(folder):
    """A stack as input: its manifest stands for it; the big files are wanted but their age does not count."""
    return [
        f"{folder}/manifest.json",
        ancient(f"{folder}/images.tif"),
        ancient(f"{folder}/table.csv"),
    ]


def stack_output(folder):
    """A stack as output."""
    return [f"{folder}/manifest.json", f"{folder}/images.tif", f"{folder}/table.csv"]


def classifier_files(name):
    """A classifier as input."""
    folder = f"{RESULTS}/classifiers/{name}"
    return [f"{folder}/manifest.json", ancient(f"{folder}/model.safetensors")]


def diffusion_files(name):
    """A diffusion as input; nothing where there is none."""
    folder = f"{RESULTS}/diffusions/{name}"
    weights = [
        ancient(f"{folder}/diffusion_pytorch_model.safetensors"),
        ancient(f"{folder}/config.json"),
    ]
    return [f"{folder}/manifest.json", *weights] if name else []


def diffusion_option(name):
    """The option that names a diffusion's folder to a stage; empty where there is none."""
    return f"--diffusion {RESULTS}/diffusions/{name}" if name else ""


def images_folder(attacked):
    """The folder of a stack by its path below adversarial/, or of the clean test images."""
    return (
        f"{RESULTS}/images/test"
        if attacked == "clean"
        else f"{RESULTS}/adversarial/{attacked}"
    )


def scored_folder(attacked, purifier, sigma):
    """The folder of the stack that a cell's classifier sees."""
    if purifier == "none":
        return images_folder(attacked)
    return f"{RESULTS}/purified/{attacked}/{purifier}/sigma-{sigma}"
