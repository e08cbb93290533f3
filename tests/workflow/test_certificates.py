"""Certificates of a study: they are added to it without redoing anything, in parts, and hold what was counted whole."""

import shutil

import pandas as pd
from checkout import Checkout

from assay.manifests import read_manifest

CERTIFICATES = {"purifiers": ["noise", "oneshot"], "draws": 40, "selection_draws": 10, "alpha": 0.05, "radius": 0.05}
PLACES = ("resnet noise 0.1", "resnet oneshot 0.1")
END = {"summarise", "check", "report"}


def certified(study: Checkout, **changes: object) -> None:
    """Have the study ask for certificates."""
    study.set_config(study.config() | {"certificates": CERTIFICATES | {"attacked_images": 2} | changes})


def test_certificates_are_added_to_a_study_shown_verified_and_the_same_in_parts(study: Checkout) -> None:
    certified(study)
    jobs = {f"{stage} {place}" for stage in ("certify", "attack_certificates") for place in PLACES}
    assert study.plan() == jobs | END
    study.complete()
    assert study.plan() == set()
    table = pd.read_csv(study.results / "certificates.csv")
    assert len(table) == 2 * 8
    curves = pd.read_csv(study.results / "certified_accuracy.csv")
    whole = curves[curves["class"] == "all classes"]
    for _, curve in whole.groupby(["defence", "curve"]):
        assert curve["accuracy"].is_monotonic_decreasing
    right = table[table["correct"] == 1].groupby("defence").size() / 8
    at_zero = whole[(whole["radius"] == 0) & (whole["curve"] == "sigma")].set_index("defence")["accuracy"]
    assert (at_zero == right.reindex(at_zero.index, fill_value=0)).all()
    assert (pd.read_csv(study.results / "sequential.csv")["sequential_draws"] <= 40).all()
    checks = pd.read_csv(study.results / "checks.csv")
    found = checks[checks["family"] == "certificates"]
    assert set(found["status"]) <= {"PASS", "WARN", "DOES NOT APPLY"}, found["meaning"].tolist()
    assert (found["check"] == "certificates hold under attack").sum() == 2
    page = (study.results / "report.html").read_text()
    assert 'href="#certificates"' in page
    assert "certified accuracy with oneshot" in page
    files = read_manifest(study.results / "summary.manifest.json")["files"]
    assert {"certificates.csv", "certified_accuracy.csv", "sequential.csv"} <= set(files)
    assert "all whole" in study.tool("verify", "results/tiny")

    # in parts, one of which is lost
    contents = study.contents()
    config = study.config()
    config["evaluation"]["images_per_job"] = 4
    study.set_config(config)
    place = study.results / "certificates/resnet/oneshot/sigma-0.1"
    shutil.rmtree(place)
    target = "results/tiny/certificates/resnet/oneshot/sigma-0.1/manifest.json"
    parts = {f"certify_part resnet oneshot 0.1 {part}" for part in ("1-of-2", "2-of-2")}
    assert study.plan(target) == parts | {"certify resnet oneshot 0.1"}
    study.complete("--cores", "2", target)
    assert study.contents() == contents
    assert study.litter() == []


def test_another_alpha_or_radius_redoes_the_certificates_and_nothing_else(study: Checkout) -> None:
    certified(study, purifiers=["noise"])
    study.complete("--cores", "2", "results/tiny/certificates/resnet/noise/sigma-0.1/manifest.json")
    certified(study, purifiers=["noise"], attacked_images=0)
    assert study.plan() == END
    certified(study, purifiers=["noise"], attacked_images=0, radius=0.06)
    assert study.plan() == {"certify resnet noise 0.1"} | END
