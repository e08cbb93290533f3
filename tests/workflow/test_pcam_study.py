"""The study of config/pcam.yaml, made small, from fake files of both of PCam's editions to the report."""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
import torch
import yaml
from checkout import ROOT, Checkout
from safetensors.torch import save_file

from assay.evaluation.scores import read_scores
from assay.evaluation.statistics.intervals import accuracy_interval
from assay.networks.libraries import import_library
from assay.networks.unet import build_network
from assay.study.diffusions import Diffusion
from fake_pcam import patches, write_kaggle, write_pcam

SIDE = 96  # the true files'
SPLITS = {"train", "validation", "selection", "test"}
ROLES = {"test": 8, "selection": 6, "validation": 8}
SIGMAS = [0.0794, 0.1437]
SMALL = {"layers": [1, 1, 1, 1], "channels": [8, 8, 8, 8]}
TIMM = {
    "architecture": "resnet101",
    "num_classes": 2,
    "model_args": SMALL,
    "pretrained_cfg": {"mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0], "input_size": [3, SIDE, SIDE]},
}
UNET = {"channels": [8, 8], "layers_per_block": 1, "attention_levels": [], "middle_attention": False}
SCHEDULER = {"beta_schedule": "linear", "beta_start": 0.0001, "beta_end": 0.02, "num_train_timesteps": 1000}
ATTACKS = ["pgd", "adaptive"]


@dataclass(frozen=True)
class Edition:
    """An edition's study, how many images its files leave to train on, and its purifiers."""

    study: Checkout
    name: str
    train: int
    purifiers: list[str]

    @property
    def results(self) -> Path:
        return self.study.root / "results" / self.name

    def json(self, place: str) -> dict:
        return json.loads((self.results / place).read_text())

    def table(self, place: str) -> pd.DataFrame:
        return pd.read_csv(self.results / place, keep_default_na=False)


def small(config: dict, purifiers: list[str]) -> dict:
    """The study with as few images and as small networks as can be, the published ones from a folder.

    Of its purifiers these are left; sigma is chosen for the last, which is attacked adaptively.
    """
    config["threads"] = 1
    config["images"]["validation"] = ROLES["validation"]
    config["classifiers"]["resnet101"]["published"] = "weights/resnet101"
    googlenet = config["classifiers"]["googlenet"]
    googlenet |= {"network": "timm/resnet18", "arguments": SMALL, "epochs": 1, "batch_size": 16}
    googlenet["objective"] |= {"steps": 2, "validation_steps": 2}
    few = {"steps": 4, "batch_size": 4, "warmup_steps": 1, "validate_every": 2}
    config["diffusions"]["unet"] |= UNET | few | {"norm_groups": 4}
    config["diffusions"]["paper"] |= UNET | {"published": "weights/ddpm"}
    config["purifiers"] = {name: config["purifiers"][name] for name in purifiers}
    for purifier in config["purifiers"].values():
        purifier.update({"steps": 2} if "steps" in purifier else {})
    chosen = {"images": ROLES["selection"], "purifier": purifiers[-1], "sigmas": SIGMAS, "draws": 1}
    config["selection"] |= chosen
    config["attacks"] = {name: config["attacks"][name] | {"steps": 2} for name in ATTACKS}
    config["attacks"]["adaptive"] |= {"draws": 2, "selection_draws": 2}
    config["cross"] = [
        block | {"attacks": [name for name in block["attacks"] if name in ATTACKS]}
        for block in config["cross"]
        if set(block["attacks"]) & set(ATTACKS)
    ]
    for block in config["cross"]:
        if "adaptive" in block["attacks"]:
            block["purifiers"] = purifiers[-1:]
    config["evaluation"] = {"images": ROLES["test"], "draws": 2, "batch_size": 8}
    config["checks"] = {}
    return config


def write_weights(folder: Path) -> None:
    """A classifier as timm publishes it, and a diffusion as diffusers does."""
    torch.manual_seed(0)
    (folder / "resnet101").mkdir(parents=True)
    (folder / "resnet101/config.json").write_text(json.dumps(TIMM))
    classifier = import_library("timm").create_model("resnet101", num_classes=2, **SMALL)
    save_file(classifier.state_dict(), folder / "resnet101/model.safetensors")
    build_network(Diffusion(**UNET, norm_groups=4, steps=1), SIDE).save_pretrained(folder / "ddpm/unet")
    (folder / "ddpm/scheduler").mkdir()
    (folder / "ddpm/scheduler/scheduler_config.json").write_text(json.dumps(SCHEDULER))
    (folder / "ddpm/model_index.json").write_text(json.dumps({"_class_name": "DDPMPipeline"}))


def joined(*sets: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    images, labels = zip(*sets, strict=True)
    return np.concatenate(images), np.concatenate(labels)


def some(images: tuple[np.ndarray, np.ndarray], count: int) -> tuple[np.ndarray, np.ndarray]:
    return images[0][:count], images[1][:count]


def zenodo(study: Checkout) -> Edition:
    """Six files, with every test image and every valid one among the images to train on, so the drawn ones are too."""
    test, valid, train = (patches(count, seed, SIDE) for seed, count in enumerate((12, 18, 24)))
    content = {
        "test": joined(test, some(test, 1)),
        "valid": joined(valid, some(valid, 2), some(test, 1)),
        "train": joined(test, train, valid, some(train, 3)),
    }
    hashes = write_pcam(study.root / "data/pcam", content)
    config = yaml.safe_load((ROOT / "config/pcam.yaml").read_text())
    config["images"]["sha256"] = hashes  # of data of one's own
    purifiers = ["noise", "ddpm-paper", "ddpm"]
    study.set_config(small(config, purifiers))
    return Edition(study, "pcam", 24, purifiers)


def kaggle(study: Checkout) -> Edition:
    """One folder, with copies of images in it; the study of pcam.yaml with the two lines that its comment names."""
    images = patches(48, 0, SIDE)
    write_kaggle(study.root / "data/kaggle", *joined(images, some(images, 4)))
    text = (ROOT / "config/pcam.yaml").read_text()
    for old, new in (("study: pcam\n", "study: pcam-kaggle\n"), ("  source: pcam\n", "  source: kaggle\n")):
        assert text.count(old) == 1
        text = text.replace(old, new)
    purifiers = ["noise", "ddpm-paper"]  # all that is trained is a classifier, to save time
    study.set_config(small(yaml.safe_load(text), purifiers))
    return Edition(study, "pcam-kaggle", 48 - sum(ROLES.values()), purifiers)


@pytest.fixture(scope="module", params=[zenodo, kaggle], ids=["zenodo", "kaggle"])
def edition(request: pytest.FixtureRequest, pristine: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Edition:
    """The study after one run."""
    study = pristine.copy(tmp_path_factory.mktemp("pcam") / "study")
    write_weights(study.root / "weights")
    made = request.param(study)
    study.complete()
    return made


def test_every_baseline_has_its_cells(edition: Edition) -> None:
    summary = edition.table("summary.csv")
    assert set(zip(summary["classifier"], summary["attack"], summary["defence"], strict=True)) == {
        *(("resnet101", attack, defence) for attack in ("none", "pgd") for defence in ("none", *edition.purifiers)),
        ("resnet101", "adaptive", edition.purifiers[-1]),
        *(("googlenet", attack, "none") for attack in ("none", "pgd")),
    }
    assert set(summary["images"]) == {ROLES["test"]}
    assert set(summary["sigma"]) == {0.0, edition.json("selection/sigma.json")["sigma"]}


def test_the_report_judges_every_claim_of_the_paper(edition: Edition) -> None:
    report = (edition.results / "report.html").read_text()
    section = report.split('<section id="papers">')[1].split("</section>")[0]
    claims = section.split("<tbody>")[1].split("</tbody>")[0]
    verdicts = re.findall(r"<td class=\"\w*\">(.*?)</td>", claims)
    assert len(verdicts) == claims.count("<tr") == 10
    assert set(verdicts) <= {"holds", "does not hold", "inconclusive"}, "measured, all of them"
    assert "Its numbers are not compared" not in section
    for subject in ("no defence", "noise alone", "adversarially trained", "purified"):
        assert f'<div class="name">{subject}</div>' in section
    assert "published as weights/ddpm" in report


def test_intervals_go_by_slide_where_slides_are_known(edition: Edition) -> None:
    report, images = (edition.results / "report.html").read_text(), edition.table("images/test/table.csv")
    if edition.name != "pcam":
        assert "slide" not in images
        assert "intervals go by slide" not in report
        return
    assert f"from {images['slide'].nunique()} slides; intervals go by slide" in report
    summary = edition.table("summary.csv").set_index("scores")
    for place in ("resnet101/clean/none/sigma-0", "googlenet/clean/none/sigma-0"):
        scores = read_scores(edition.results / "scores" / place)
        slides = images.set_index("id").loc[scores.ids, "slide"].to_numpy()
        low, high = (float(summary.loc[place, bound]) for bound in ("ci_low", "ci_high"))
        assert (low, high) == pytest.approx(accuracy_interval(scores.correct, clusters=slides)[1:])
        assert (low, high) != pytest.approx(accuracy_interval(scores.correct)[1:])


def test_copies_are_dropped_and_no_image_plays_two_roles(edition: Edition) -> None:
    assert edition.json("images/roles/roles.json") == {
        "images": ROLES | {"train": edition.train},
        "duplicates": dict.fromkeys(SPLITS, 0),
        "overlaps": 0,
    }
    hashes = {split: pixels(edition.results / "images" / split) for split in SPLITS}
    assert {split: len(found) for split, found in hashes.items()} == ROLES | {"train": edition.train}
    assert len(set().union(*hashes.values())) == edition.train + sum(ROLES.values())


def pixels(stack: Path) -> set[str]:
    """Hashes of a stack's images, as this test computes them."""
    return {hashlib.sha256(image.tobytes()).hexdigest() for image in tifffile.imread(stack / "images.tif")}


def test_the_index_counts_what_was_dropped(edition: Edition) -> None:
    files = edition.json("images/index/manifest.json")["facts"]["files"]
    found = {name: (file["duplicates"], file["elsewhere"], file["kept"]) for name, file in files.items()}
    assert found == (
        {"test": (1, 0, 12), "valid": (2, 1, 18), "train": (3, 30, 24)}
        if edition.name == "pcam"
        else {"train": (4, 0, 48)}
    )


def test_sigma_is_chosen_on_no_test_image(edition: Edition) -> None:
    drawn = set(edition.table("images/selection/table.csv")["id"])
    tested = set(edition.table("images/test/table.csv")["id"])
    scores = sorted((edition.results / "selection/scores").rglob("table.csv"))
    assert len(scores) == 2 * len(SIGMAS)
    for path in scores:
        assert set(pd.read_csv(path)["id"]) == drawn
    assert not drawn & tested
    assert not pixels(edition.results / "images/selection") & pixels(edition.results / "images/test")


def test_a_second_run_has_nothing_to_do(edition: Edition) -> None:
    assert edition.study.plan() == set()
