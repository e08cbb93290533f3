"""A study that chooses its sigma on images of its own, and judges the chosen one on test images."""

import json

import pandas as pd
from checkout import Checkout

SIGMAS = [0.05, 0.1, 0.2]
CELL = "resnet/resnet/pgd/eps-4_255/undefended/oneshot/sigma-selected"


def choosing(study: Checkout) -> None:
    config = study.config()
    config["purifiers"]["oneshot"]["sigmas"] = ["selected"]
    config["purifiers"]["noise"]["sigmas"] = [0.1, "selected"]
    config["selection"] = {
        "images": 6,
        "purifier": "oneshot",
        "classifier": "resnet",
        "attack": "pgd",
        "eps": "4/255",
        "sigmas": SIGMAS,
        "draws": 2,
    }
    study.set_config(config)


def test_the_chosen_sigma_is_used_on_the_test_images_and_only_it(study: Checkout) -> None:
    choosing(study)
    planned = study.plan()
    assert {job for job in planned if job.startswith(("prepare_images", "choose"))} == {
        "prepare_images selection",
        "choose_sigma",
    }
    assert not any(job.startswith("train") for job in planned), "what is trained is not trained again"
    study.complete()
    chosen = json.loads((study.results / "selection/sigma.json").read_text())["sigma"]
    sweep = pd.read_csv(study.results / "selection/sweep.csv")
    assert sweep["sigma"].tolist() == SIGMAS
    assert sweep.loc[sweep["chosen"] == 1, "sigma"].tolist() == [chosen]
    summary = pd.read_csv(study.results / "summary.csv", keep_default_na=False)
    row = summary[summary["scores"] == CELL].iloc[0]
    assert row["sigma"] == chosen
    purified = json.loads((study.results / f"purified/{CELL.split('/', 1)[1]}/manifest.json").read_text())
    assert purified["facts"]["sigma"] == chosen
    adaptive = study.results / "adversarial/resnet/adaptive/eps-8_255/oneshot-selected/manifest.json"
    assert json.loads(adaptive.read_text())["facts"]["sigma"] == chosen

    tested = pd.read_csv(study.results / "images/test/table.csv")["id"]
    judged = pd.read_csv(study.results / f"selection/scores/resnet/clean/oneshot/sigma-{SIGMAS[0]:g}/table.csv")["id"]
    assert judged.nunique() == 6
    assert not set(judged) & set(tested)
    assert not study.plan(), "a second run has nothing to do"


def test_cells_are_computed_again_only_if_another_sigma_is_chosen(study: Checkout) -> None:
    choosing(study)
    study.complete()
    config = study.config()
    config["selection"]["sigmas"] = [*SIGMAS, 0.3]
    study.set_config(config)
    chosen = study.results / "selection/sigma.json"
    before = chosen.read_text()
    study.complete("--cores", "2", "results/tiny/selection/sigma.json")
    assert chosen.read_text() == before, "the test's premise: the new sigma of the sweep is not the one chosen"
    assert {job.split()[0] for job in study.plan()} <= {"summarise", "check", "report"}
    chosen.write_text('{\n  "sigma": 0.15\n}\n')
    assert {"choose_sigma", "purify clean oneshot selected"} <= study.plan(), "what was edited is made again"
