"""A study whose classifiers and diffusion were all published elsewhere: nothing is trained."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from checkout import CONFIG, Checkout
from safetensors.torch import save_file
from torch import nn
from weights import SIDE, TIMM

from assay.evaluation.scores import read_scores
from assay.networks.libraries import import_library
from assay.networks.unet import build_network
from assay.stacks import read_stack
from assay.study.diffusions import Diffusion

UNET = {"channels": [8, 8], "layers_per_block": 1, "norm_groups": 4, "middle_attention": False, "steps": 1}
SCHEDULER = {"beta_schedule": "linear", "beta_start": 0.0001, "beta_end": 0.02, "num_train_timesteps": 1000}
STUDY = {
    "classifiers": {
        "timm": {"published": "weights/timm", "layout": "timm"},
        "toolbox": {
            "published": "weights/resnet18-pcam.pth",
            "layout": "tiatoolbox",
            "network": "torchvision/resnet18",
        },
    },
    "diffusions": {
        "unet": {"published": "weights/ddpm", "data_range": [0, 1]}
        | {key: UNET[key] for key in ("channels", "layers_per_block", "middle_attention")}
        | {"attention_levels": []}
    },
    "purifiers": {"oneshot": {"method": "oneshot", "diffusion": "unet", "sigmas": [0.1]}},
    "attacks": {"pgd": {"method": "pgd", "eps": ["4/255"], "steps": 2}},
    "cross": [
        {"classifiers": ["timm"], "attacks": ["pgd"], "purifiers": []},
        {"classifiers": ["toolbox"], "attacks": [], "purifiers": ["oneshot"]},
    ],
}


@pytest.fixture(scope="module")
def networks() -> dict[str, nn.Module]:
    torch.manual_seed(0)
    return {
        "timm": import_library("timm").create_model("resnet18", num_classes=2, **TIMM["model_args"]).eval(),
        "toolbox": import_library("torchvision").models.resnet18(num_classes=2).eval(),
        "unet": build_network(Diffusion(**UNET), SIDE).eval(),
    }


@pytest.fixture(scope="module")
def elsewhere(pristine: Checkout, networks: dict, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout with the study of published weights, and those weights in weights/."""
    study = pristine.copy(tmp_path_factory.mktemp("elsewhere") / "study")
    study.set_config(study.config() | STUDY)
    weights = study.root / "weights"
    (weights / "timm").mkdir(parents=True)
    (weights / "timm/config.json").write_text(json.dumps(TIMM))
    save_file(networks["timm"].state_dict(), weights / "timm/model.safetensors")
    toolbox = nn.Module()
    toolbox.feat_extract = nn.Sequential(*list(networks["toolbox"].children())[:-2])
    toolbox.classifier = networks["toolbox"].fc
    torch.save(toolbox.state_dict(), weights / "resnet18-pcam.pth")
    networks["unet"].save_pretrained(weights / "ddpm/unet")
    (weights / "ddpm/scheduler").mkdir()
    (weights / "ddpm/scheduler/scheduler_config.json").write_text(json.dumps(SCHEDULER))
    (weights / "ddpm/model_index.json").write_text(json.dumps({"_class_name": "DDPMPipeline"}))
    return study


def test_a_study_of_published_weights_goes_from_images_to_scores(elsewhere: Checkout, networks: dict) -> None:
    assert {job for job in elsewhere.plan() if job.startswith(("train", "import"))} == {
        "import_classifier timm",
        "import_classifier toolbox",
        "import_diffusion unet",
    }
    elsewhere.complete()
    images = torch.from_numpy(read_stack(elsewhere.results / "images/test").pixels())
    for name in ("timm", "toolbox"):
        scores = read_scores(elsewhere.results / f"scores/{name}/clean/none/sigma-0")
        with torch.inference_mode():
            logits = networks[name](images).numpy()
        assert np.allclose(scores.logits[:, 0], logits, atol=1e-4)
    summary = pd.read_csv(elsewhere.results / "summary.csv", keep_default_na=False)
    assert set(zip(summary["classifier"], summary["attack"], summary["defence"], strict=True)) == {
        *(("timm", attack, "none") for attack in ("none", "pgd")),
        *(("toolbox", "none", defence) for defence in ("none", "oneshot")),
    }
    assert "published as weights/ddpm" in (elsewhere.results / "report.html").read_text()

    weights = elsewhere.root / "weights/resnet18-pcam.pth"
    weights.rename(elsewhere.root / "moved.pth")
    assert elsewhere.plan() == set(), "what was imported does not need its source any more"
    (elsewhere.root / "moved.pth").rename(weights)
    weights.touch()
    assert elsewhere.plan() == set(), "its bytes count, not its age"
    content = weights.read_bytes()
    weights.write_bytes(content + b"\0")  # over the file: its folder keeps its time
    assert "import_classifier toolbox" in elsewhere.plan(), "a source that changed is imported again"
    weights.write_bytes(content)


def test_a_source_that_is_not_there_is_named(elsewhere: Checkout, tmp_path) -> None:
    study = elsewhere.copy(tmp_path / "study")
    config = study.config()
    config["classifiers"]["timm"]["published"] = "weights/nowhere"
    study.set_config(config)
    status, output = study.snakemake("--cores", "1", "results/tiny/classifiers/timm/manifest.json")
    assert status == 1
    assert (
        f"{study.root / CONFIG}: classifiers.timm.published: weights/nowhere: not found; published must name a folder, "
        "a file or hf-hub:OWNER/NAME"
    ) in output.splitlines()
    assert "Traceback" not in output
