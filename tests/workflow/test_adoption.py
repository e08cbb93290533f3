"""What another study has already is taken over, and not made again."""

import json
import os
from pathlib import Path

from checkout import CONFIG, Checkout

from assay.manifests import MANIFEST


def times(study: Checkout, name: str) -> set[str]:
    """The stages that said in their logs that they had nothing to make."""
    folder = study.root / "results" / name / "logs"
    return {
        path.relative_to(folder).as_posix().removesuffix(".log")
        for path in folder.rglob("*.log")
        if "taken over from" in path.read_text()
    }


def test_a_study_takes_over_what_is_the_same_in_another(study: Checkout) -> None:
    other = study.root / "config/other.yaml"
    config = study.config() | {"study": "other"}
    config["attacks"]["pgd"]["eps"] = ["4/255", "6/255"]
    other.write_text(json.dumps(config))
    plan = study.tool("plan", "--configfile", str(other))
    assert "taken over from tiny" in plan
    status, output = study.snakemake("--cores", "2", "--configfile", str(other))
    assert status == 0, output
    taken = times(study, "other")
    assert {"train_classifier/resnet", "train_diffusion/unet", "prepare_images/test"} <= taken
    assert "attack/resnet/pgd/eps-4_255/undefended" in taken
    assert "attack/resnet/pgd/eps-6_255/undefended" not in taken
    weights = "classifiers/resnet/model.safetensors"
    here, there = (study.root / "results" / name / weights for name in ("other", "tiny"))
    assert os.path.samefile(here, there), "a hard link where the file system has them"
    for place in ("classifiers/resnet", "scores/resnet/clean/ddpm/sigma-0.2"):
        one, two = (study.root / "results" / name / place / MANIFEST for name in ("other", "tiny"))
        assert one.read_bytes() == two.read_bytes()


def test_what_is_damaged_elsewhere_is_not_taken_over(study: Checkout) -> None:
    path = study.results / "classifiers/resnet/model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    other = study.root / "config/other.yaml"
    other.write_text(json.dumps(study.config() | {"study": "other"}))
    target = f"results/other/classifiers/resnet/{MANIFEST}"
    status, output = study.snakemake("--cores", "2", target, "--configfile", str(other))
    assert status == 0, output
    assert "train_classifier/resnet" not in times(study, "other")
    assert Path(study.root / "results/other/classifiers/resnet/model.safetensors").read_bytes() != bytes(content)
    assert (study.root / CONFIG).is_file()
