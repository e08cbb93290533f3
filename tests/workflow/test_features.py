"""A study of feature denoising: blocks inside a network, a fast recipe, and accuracy against attack steps."""

import pandas as pd
from checkout import Checkout


def feature_denoising(study: Checkout) -> None:
    config = study.config()
    plain = config["classifiers"]["resnet"]
    fast = {"method": "n_fgsm", "eps": "4/255", "validation_steps": 1, "validation_images": 8}
    config["classifiers"]["denoised"] = plain | {"denoise": {"operation": "non_local_gaussian"}, "objective": fast}
    config["attacks"]["long"] = {
        "method": "pgd",
        "eps": ["8/255"],
        "steps": 4,
        "step_size": "2/255",
        "decay": "none",
        "target": "random",
        "trajectory": [1, 2],
    }
    config["cross"] = [{"attacks": ["long"], "purifiers": []}]
    study.set_config(config)


def test_blocks_a_fast_recipe_and_a_trajectory_reach_the_report(study: Checkout) -> None:
    feature_denoising(study)
    assert "train_classifier denoised" in study.plan()
    study.complete()
    table = pd.read_csv(study.results / "trajectories.csv")
    assert dict(table.groupby("classifier")["step"].apply(list)) == {"denoised": [1, 2, 4], "resnet": [1, 2, 4]}
    summary = pd.read_csv(study.results / "summary.csv", keep_default_na=False)
    last = summary[summary["attack"] == "long"].set_index("classifier")["accuracy"]
    assert dict(last) == dict(table[table["step"] == 4].set_index("classifier")["accuracy"])
    assert (table["accuracy"] + table["hit"] == 1).all(), "of two classes the wrong one is the target"
    page = (study.results / "report.html").read_text()
    assert "long at eps 8/255 (Linf): accuracy against steps" in page
    assert "under PGD" in page, "the training's own robust accuracy stands beside the attack's"
    assert not study.plan()
