"""A study with a network that cannot be trained, and that is to be recorded: all else is measured."""

import pandas as pd
from checkout import Checkout

from assay.manifests import check, read_manifest
from assay.reporting.audit import audit

CELL = "scores/resnet/clean/lost/sigma-0.1"


def test_what_needs_a_network_that_diverged_is_empty_and_says_why(study: Checkout) -> None:
    config = study.config()
    unet = config["diffusions"]["unet"]
    config["diffusions"]["wild"] = unet | {"learning_rate": 1e30, "gradient_clip": None, "on_divergence": "record"}
    config["diffusions"]["onward"] = unet | {"start": "wild"}
    config["purifiers"]["lost"] = {"method": "oneshot", "diffusion": "onward", "sigmas": [0.1]}
    config["cross"].append({"attacks": ["pgd", "adaptive"], "purifiers": ["lost"]})
    study.set_config(config)
    study.complete()
    facts = read_manifest(study.results / "diffusions/wild")["facts"]
    assert facts["diverged"]["step"] >= 1
    assert not (study.results / "diffusions/wild/diffusion_pytorch_model.safetensors").exists()
    why = f"its start could not be trained: diverged at step {facts['diverged']['step']}"
    assert read_manifest(study.results / "diffusions/onward")["facts"] == {"unmade": why}
    assert check(study.results / CELL, "scores")["facts"] == {"unmade": why}
    untrained = pd.read_csv(study.results / "untrained.csv", keep_default_na=False)
    assert set(untrained["defence"]) == {"lost"}
    assert set(untrained["attack"]) == {"none", "pgd", "adaptive"}
    assert set(untrained["why"]) == {why}
    summary = pd.read_csv(study.results / "summary.csv", keep_default_na=False)
    assert f"was not trained, for {why}" in (study.results / "report.html").read_text()
    assert "lost" not in set(summary["defence"])
    assert len(summary) == 8
    assert f"3 cells not measured: {why}." in (study.results / "report.html").read_text()
    assert f"3 cells not measured: {why}" in study.tool("show", "results/tiny")
    assert audit([study.results]).faults == []
    assert study.plan() == set()
