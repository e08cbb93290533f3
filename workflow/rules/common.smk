# The study, its specs, and the places of its artifacts. What the other rules files share.

import os
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod

from assay.planning.containers import RECIPES, image, require_images
from assay.files import AssayError
from assay.planning.interpreter import provide_python
from assay.planning.locks import clear_stale_locks
from assay.study.parse import parse_study
from assay.planning.resources import JobNeeds
from assay.planning.sources import source_input
from assay.planning.specs import Specs, split_of

if not workflow.overwrite_configfiles:

    configfile: Path(workflow.basedir) / "config" / "config.yaml"


IN_CONTAINERS = DeploymentMethod.APPTAINER in workflow.deployment_settings.deployment_method

try:
    STUDY = parse_study(config, ", ".join(map(str, workflow.configfiles)) or "--config")
    clear_stale_locks(Path(".snakemake"))
    if IN_CONTAINERS:
        require_images()
except AssayError as error:
    raise WorkflowError(str(error))

provide_python(in_containers=IN_CONTAINERS)
SPECS = Specs(STUDY)
NEEDS = JobNeeds(STUDY)
RESULTS = f"results/{STUDY.study}"
# Relative where it can be: Snakemake looks an image up in the working directory.
IMAGES = {kind: os.path.relpath(image(kind)) for kind in RECIPES}


wildcard_constraints:
    split="train|validation|selection|test",
    role="(selection/)?",
    file="[^/]+",
    classifier="[^/]+",
    diffusion="[^/]+",
    attack="[^/]+",
    part="[0-9]+-of-[0-9]+",
    purifier="[^/]+",
    attacked=r"clean|[^/]+/[^/]+/eps-[^/]+/[^/]+",
    attacked_path=r"[^/]+/[^/]+/eps-[^/]+/[^/]+",
    sigma="[^/]+",


def one_of(names):
    """The pattern of a wildcard that is one of these names; of none where there are none."""
    return "|".join(names) or "(?!)"


# An artifact's manifest stands for it as an input. Its other files are wanted too, but their age does not count.


def manifest(folder):
    """The manifest of an artifact."""
    return f"{folder}/manifest.json"


def stack_files(folder):
    """The other files of a stack, as input."""
    return [ancient(f"{folder}/images.tif"), ancient(f"{folder}/table.csv")]


def stack_output(folder, masked=False):
    """A stack as output, with the masks of its images where there are any."""
    files = {"manifest": manifest(folder), "images": f"{folder}/images.tif", "table": f"{folder}/table.csv"}
    return files | ({"masks": f"{folder}/masks.tif"} if masked else {})


def roles():
    """That no image plays two roles. Ancient: that it was looked at again changes no artifact."""
    return ancient(f"{RESULTS}/images/roles.json")


# Where a data set's files lie, and how it is fetched, are no params: they change no artifact.


def index_files():
    """The index that images are drawn from, as input; nothing for a data set without files.

    Ancient: all that can change it is in the spec and the code fingerprint of what reads it.
    """
    files = [f"{RESULTS}/images/index/manifest.json", f"{RESULTS}/images/index/table.csv"]
    return [ancient(file) for file in files] if STUDY.images.folder else []


def source_options():
    """The options that name the index, and the folder of the data set's files, to a stage."""
    folder = STUDY.images.folder
    return f"--index {RESULTS}/images/index --folder {folder}" if folder else ""


def classifier_folder(name):
    """The folder of a classifier."""
    return f"{RESULTS}/classifiers/{name}"


def classifier_files(name):
    """The other files of a classifier, as input."""
    return [ancient(f"{classifier_folder(name)}/model.safetensors")]


def diffusion_folder(name):
    """The folder of a diffusion."""
    return f"{RESULTS}/diffusions/{name}"


def diffusion_manifest(name):
    """The manifest of a diffusion; nothing where there is none."""
    return [manifest(diffusion_folder(name))] if name else []


def diffusion_files(name):
    """The other files of a diffusion, as input; none where there is no diffusion."""
    files = ["diffusion_pytorch_model.safetensors", "config.json"]
    return [ancient(f"{diffusion_folder(name)}/{file}") for file in files] if name else []


def diffusion_option(name):
    """The option that names a diffusion's folder to a stage; empty where there is none."""
    return f"--diffusion {diffusion_folder(name)}" if name else ""


def classifier_source(name):
    """The local files that a published classifier is imported from."""
    published, code = STUDY.classifiers[name].published, SPECS.code("import_classifier")
    return source_input(published, classifier_folder(name), SPECS.classifier(name), code)


def diffusion_source(name):
    """The local files that a published diffusion is imported from."""
    published, code = STUDY.diffusions[name].published, SPECS.code("import_diffusion")
    return source_input(published, diffusion_folder(name), SPECS.diffusion(name), code)


# Test images and the images that sigma is chosen on go through the same rules; `role` tells them apart: it is empty
# for the former, and `selection/` for the latter, whose artifacts lie below a folder of that name.


def clean_folder(role):
    """The folder of the clean images of a role."""
    return f"{RESULTS}/images/{split_of(role)}"


def part_marks(role, prefix):
    """The marks of the parts that a stack is put together from; none where one job computes it whole."""
    return [f"{prefix}{part}" for part in STUDY.evaluation.parts(STUDY.counts[split_of(role)])]


def images_folder(role, attacked):
    """The folder of a stack by its path below adversarial/, or of the clean images."""
    return clean_folder(role) if attacked == "clean" else f"{RESULTS}/{role}adversarial/{attacked}"


def scored_folder(role, attacked, purifier, sigma):
    """The folder of the stack that a cell's classifier sees."""
    if purifier == "none":
        return images_folder(role, attacked)
    return f"{RESULTS}/{role}purified/{attacked}/{purifier}/sigma-{sigma}"


def selected_files(sigma):
    """The file of the selected sigma, where that is the sigma."""
    return [f"{RESULTS}/selection/sigma.json"] if sigma == "selected" else []


def selected_option(sigma):
    """The option that names the file of the selected sigma to a stage, where that is the sigma."""
    return f"--selected {selected_files(sigma)[0]}" if sigma == "selected" else ""
