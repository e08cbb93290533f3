"""A training on two nodes: Slurm starts processes on each, in containers; the weights are those of one process."""

import re

import numpy as np
import pytest
from conftest import EXACT_COMMAND, HERE
from safetensors.numpy import load_file

pytestmark = pytest.mark.skipif(HERE, reason="asks for two nodes at once")

NETWORKS = {
    "classifiers/resnet": "model.safetensors",
    "diffusions/unet": "diffusion_pytorch_model.safetensors",
}
TARGETS = [f"results/cluster/{folder}/manifest.json" for folder in NETWORKS]
TOLERANCE = 1e-3  # of the largest weight: sums over ranks are added in another order


@pytest.fixture(scope="module")
def on_two_nodes(pristine, work):
    """The study's networks, trained on two nodes with two processes each."""
    study = pristine.copy(work / "nodes")
    for sizes in ("epochs: 2", "steps: 6"):
        study.edit("config/cluster.yaml", sizes, f"{sizes}\n    ranks: {{nodes: 2, gpus: 2}}")
    # The test's nodes have one GPU each, which is none: two processes a node run on its CPUs.
    study.output = study.complete(
        *EXACT_COMMAND,
        "--set-resources",
        *(f"{rule}_on_nodes:gpu=0" for rule in ("train_classifier", "train_diffusion")),
        "--",
        *TARGETS,
    )
    return study


@pytest.mark.parametrize("folder", NETWORKS)
def test_the_weights_are_those_of_one_process(folder, on_two_nodes, local):
    here, there = (load_file(study.results / folder / NETWORKS[folder]) for study in (local, on_two_nodes))
    assert here.keys() == there.keys()
    for name in here:
        most = max(np.abs(here[name]).max(), 1e-3)
        assert np.abs(here[name] - there[name]).max() <= TOLERANCE * most, name


@pytest.mark.parametrize(("kind", "name"), [("classifier", "resnet"), ("diffusion", "unet")])
def test_both_nodes_and_the_image_took_part(kind, name, on_two_nodes):
    log = on_two_nodes.stage_log(f"train_{kind}/{name}")
    assert len(re.findall(r"on \S+, Slurm job \d+, image torch-[0-9a-f]{12}\.sif", log)) == 4, log


def test_where_a_network_was_trained_rebuilds_nothing(on_two_nodes):
    on_two_nodes.edit("config/cluster.yaml", "epochs: 2\n    ranks: {nodes: 2, gpus: 2}", "epochs: 2")
    assert "Nothing to be done" in on_two_nodes.complete("--cores", "2", "--dry-run", "--", *TARGETS)
