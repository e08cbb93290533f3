"""attention-imagenet.yaml and attention-cifar10.yaml, made small: from the data sets' own files to the report."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from checkout import ROOT, Checkout
from safetensors.torch import save_file

from assay.evaluation.scores import read_scores
from assay.manifests import read_manifest
from assay.networks.libraries import import_library
from assay.stacks import read_stack
from originals.planted import planted
from small_sets import CIFAR10, WNIDS, cifar10_files, noise, photographs, sha256, tar_of, write_imagenet

SIDE = 32
ORIGINALS = json.loads((ROOT / "tests/originals/values.json").read_text())
COATNET = {
    "img_size": SIDE,
    "stem_width": 8,
    "embed_dim": [8, 16],
    "depths": [1, 1],
    "block_type": ["C", "T"],
    "transformer_dim_head": 8,
}
CROSS = [
    {"attacks": ["pgd"], "purifiers": ["oneshot"]},
    {"attacks": ["adaptive"], "purifiers": ["oneshot"]},
]


def small(name: str, keys: dict, eps: list[float]) -> dict:
    """The study with one sigma, these eps, two attacks of few steps, and these keys instead of its own."""
    config = yaml.safe_load((ROOT / f"config/{name}.yaml").read_text())
    config["threads"] = 1
    for section, changes in keys.items():
        for key, change in changes.items():
            config[section][key] = config[section].get(key, {}) | change if isinstance(change, dict) else change
    config["purifiers"] = {"oneshot": config["purifiers"]["oneshot"] | {"sigmas": [0.25]}}
    config["attacks"] = {
        "pgd": config["attacks"]["pgd"] | {"eps": eps, "steps": 2},
        "adaptive": {"method": "pgd", "threat": "adaptive", "eps": eps[:1], "steps": 2, "draws": 2},
    }
    return config | {"cross": CROSS, "checks": {}}


def write_unet(study: Checkout, edition: str, network: str, file: str) -> dict:
    """OpenAI's state dict of planted weights; the keys that a config has of it."""
    path = study.root / "weights" / file
    path.parent.mkdir(exist_ok=True)
    torch.save(planted(ORIGINALS[edition]["networks"][network]["shapes"]), path)
    return {"published": f"weights/{file}", "layout": "openai", "head_channels": 32, "image_size": 16}


@pytest.fixture(scope="module")
def imagenet(pristine: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """The ImageNet study after one run: three classes of six photographs, of which every sixth is tested on."""
    study = pristine.copy(tmp_path_factory.mktemp("imagenet") / "study")
    labels = [number % 3 for number in range(18)]
    hashes = write_imagenet(study.root / "data/imagenet", labels, photographs(18))
    folder = study.root / "weights/coatnet"
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    network = import_library("timm").create_model("coatnet_rmlp_2_rw_384", num_classes=3, **COATNET)
    save_file(network.state_dict(), folder / "model.safetensors")
    pretrained = {"mean": [0.5] * 3, "std": [0.5] * 3, "input_size": [3, SIDE, SIDE], "interpolation": "bicubic"}
    pretrained |= {"crop_pct": 1.0, "crop_mode": "squash"}
    told = {"architecture": "coatnet_rmlp_2_rw_384", "num_classes": 3, "model_args": COATNET}
    (folder / "config.json").write_text(json.dumps(told | {"pretrained_cfg": pretrained}))
    unet = write_unet(study, "guided", "resnets", "256x256_diffusion_uncond.pt")
    unet |= {"channels": [32, 64, 96], "layers_per_block": 1, "attention_levels": [1, 2]}
    keys = {
        "images": {"size": SIDE, "every": 6, "validation": 3, "sha256": hashes},
        "classifiers": {"coatnet": {"published": "weights/coatnet"}},
        "diffusions": {"guided": unet | {"sha256": sha256(study.root / unet["published"])}},
        "evaluation": {"images": 3, "draws": 2, "batch_size": 3, "images_per_job": None},
    }
    study.set_config(small("attention-imagenet", keys, [0.005, 0.1]))
    study.complete()
    return study


@pytest.fixture(scope="module")
def cifar10(pristine: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """The CIFAR-10 study after one run, with one network of each kind, trained for a few steps."""
    study = pristine.copy(tmp_path_factory.mktemp("cifar10") / "study")
    (study.root / "data/cifar10").mkdir(parents=True)
    archive = study.root / "data/cifar10" / CIFAR10
    archive.write_bytes(tar_of(cifar10_files(noise(20, 10, 0), noise(50, 10, 1))))
    narrow = {"layers": [1, 1, 1, 1], "channels": [8, 8, 8, 8]}
    attended = narrow | {"block_args": {"attn_layer": "cbam"}}
    few = {"epochs": None, "steps": 2, "batch_size": 8}
    unet = write_unet(study, "improved", "scaled", "cifar10_uncond_50M_500K.pt") | {"image_size": SIDE}
    unet |= {"schedule": "cosine", "time_steps": 4000}
    unet |= {"channels": [32, 64, 64], "layers_per_block": 2, "attention_levels": [1]}
    keys = {
        "images": {"validation": 10, "sha256": {CIFAR10: sha256(archive)}},
        "classifiers": {
            "cbam-paper": few | {"arguments": attended, "input_size": 48},
            "resnet": few | {"arguments": narrow},
        },
        "diffusions": {"ddpm": unet},
        "evaluation": {"images": 10, "draws": 2, "batch_size": 10},
    }
    config = small("attention-cifar10", keys, [8 / 255])
    config["classifiers"] = {name: config["classifiers"][name] for name in ("cbam-paper", "resnet")}
    config["cross"] = [CROSS[0], CROSS[1] | {"classifiers": ["cbam-paper"]}]
    study.set_config(config)
    study.complete()
    return study


def cells_of(study: Checkout, name: str) -> pd.DataFrame:
    return pd.read_csv(study.root / "results" / name / "summary.csv", keep_default_na=False)


def test_the_imagenet_study_goes_from_the_archives_to_the_report(imagenet: Checkout) -> None:
    results = imagenet.root / "results/attention-imagenet"
    cells = cells_of(imagenet, "attention-imagenet")
    assert set(zip(cells["attack"], cells["eps"], cells["defence"], cells["sigma"], strict=True)) == {
        *(("none", 0.0, defence, sigma) for defence, sigma in (("none", 0), ("oneshot", 0.25))),
        *(("pgd", eps, defence, sigma) for eps in (0.005, 0.1) for defence, sigma in (("none", 0), ("oneshot", 0.25))),
        ("adaptive", 0.005, "oneshot", 0.25),
    }
    stack = read_stack(results / "images/test")
    assert stack.classes == list(WNIDS)
    assert sorted(stack.labels.tolist()) == [0, 1, 2]
    assert "Safeguarding Attention" in (results / "report.html").read_text()


def test_attacks_at_other_eps_are_other_attacks_and_each_uses_all_of_its_eps(imagenet: Checkout) -> None:
    results = imagenet.root / "results/attention-imagenet"
    clean = read_stack(results / "images/test").pixels()
    for eps in (0.005, 0.1):
        folder = next(
            path for path in results.glob("adversarial/coatnet/pgd/eps-*/*") if float(path.parent.name[4:]) == eps
        )
        found = np.abs(read_stack(folder).pixels() - clean)
        assert found.max() == pytest.approx(eps, abs=2e-5)


def test_the_cifar10_study_trains_resnets_with_and_without_attention_at_both_sizes(cifar10: Checkout) -> None:
    results = cifar10.root / "results/attention-cifar10"
    assert set(cells_of(cifar10, "attention-cifar10")["classifier"]) == {"cbam-paper", "resnet"}
    networks = {}
    for name in ("cbam-paper", "resnet"):
        assert read_scores(results / f"scores/{name}/clean/none/sigma-0").logits.shape == (10, 1, 10)
        networks[name] = read_manifest(results / f"classifiers/{name}")["facts"]["network"]
    assert networks["cbam-paper"]["input_size"] == 48
    assert networks["resnet"]["small_stem"]
    assert read_stack(results / "images/test").images.shape == (10, SIDE, SIDE, 3)
    assert read_manifest(results / "diffusions/ddpm")["facts"]["time_scale"] == 0.25
    assert (results / "report.html").is_file()


def test_nothing_is_made_again(imagenet: Checkout) -> None:
    assert imagenet.plan() == set()
    assert not (imagenet.root / "results/attention-imagenet/images/train/images.tif").exists()
