"""The demo and the paper in miniature, as they stand in config/, shrunk until they run here: nothing of them but sizes
is changed."""

import json

import pandas as pd
import pytest
import yaml
from checkout import Checkout

from assay.study.parse import parse_study

TINY = {
    "classifiers": {"arguments": {"layers": [1, 1, 1, 1], "channels": [8, 8, 8, 8]}, "epochs": 2, "batch_size": 16},
    "diffusions": {"channels": [8, 8], "norm_groups": 4, "steps": 4, "batch_size": 8, "validate_every": 2},
    "attacks": {"eps": ["4/255"], "steps": 2, "draws": 2, "queries": 2},
}
THREATS = {"transfer", "bpda", "surrogate", "adaptive", "locked", "blackbox"}
FAMILIES = {"stored", "order", "controls", "attacks"}


def shrunk(study: dict) -> dict:
    """The study with every block, and as little in each as can be."""
    study = json.loads(json.dumps(study)) | {"study": "tiny"}
    study["images"] |= {"size": 16, "train": 48, "validation": 16}
    study["evaluation"] |= {"images": 8, "draws": 2, "batch_size": 8}
    for kind, sizes in TINY.items():
        for entry in study[kind].values():
            if kind == "attacks":
                preset, stochastic = (
                    entry.pop("preset", None),
                    entry.get("threat", "transfer") not in ("transfer", "locked"),
                )
                entry |= {"steps": 2} if preset else {}
                entry |= {"draws": 2} if preset and stochastic else {}
                entry |= {key: value for key, value in sizes.items() if key in entry and entry[key] != ["1/2"]}
                entry |= {"images": 4} if "images" in entry else {}
            else:
                entry |= sizes
            if entry.get("objective", {}).get("method") == "adversarial":
                entry["objective"]["steps"] = 1
    for purifier in study["purifiers"].values():
        purifier["sigmas"] = purifier["sigmas"][:1]
    for block in study["cross"]:
        block.pop("eps", None)
        if "sigmas" in block:
            block["sigmas"] = [0.05]
    if "selection" in study:
        study["selection"] |= {"images": 6, "sigmas": [0.05, 0.2]}
    if "checks" in study:
        study["checks"]["images"] = 2
    return study


@pytest.fixture(scope="module", params=["config.yaml", "phantom.yaml"])
def ended(request: pytest.FixtureRequest, pristine: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A shrunk study, run from nothing to its report."""
    checkout = pristine.copy(tmp_path_factory.mktemp("whole") / "study")
    checkout.set_config(shrunk(yaml.safe_load((checkout.root / "config" / request.param).read_text())))
    checkout.complete()
    return checkout


def test_every_cell_is_measured_and_every_table_written(ended: Checkout) -> None:
    config = ended.config()
    summary = pd.read_csv(ended.results / "summary.csv", keep_default_na=False)
    assert set(summary["classifier"]) == set(config["classifiers"])
    assert {name.split("@")[0] for name in summary["attack"]} == {"none", *config["attacks"]}
    assert set(summary["defence"]) == {"none", *config["purifiers"]}
    assert summary["accuracy"].between(0, 1).all()
    for table in ("strongest", "comparisons", "worst_case", "resubmission", "per_class", "confusion"):
        assert len(pd.read_csv(ended.results / f"{table}.csv"))
    assert "Does purifying protect the classifier?" in (ended.results / "report.html").read_text()


def test_every_threat_of_the_study_has_cells_and_every_family_of_checks_has_findings(ended: Checkout) -> None:
    config = ended.config()
    summary = pd.read_csv(ended.results / "summary.csv", keep_default_na=False)
    wanted = {attack.threat.name for attack in parse_study(config, "config").attacks.values()}
    assert wanted <= set(summary["threat"])
    checks = pd.read_csv(ended.results / "checks.csv")
    assert set(checks["family"]) == FAMILIES
    if "selection" in config:
        assert wanted == THREATS
        ran = set(checks.loc[~checks["status"].isin(["NOT RUN", "DOES NOT APPLY"]), "check"])
        assert {
            "adaptive not weaker than transfer",
            "black box not stronger than white box",
            "many steps beat one",
        } <= ran
        assert {"gap to known noise", "a large eps leaves nothing", "gradient above its noise", "loss rose"} <= ran
        assert {"gradient is the loss's slope", "gradient has every frequency", "gradient has every colour"} <= ran
        assert {"another start leaves as much", "attack leaves the networks alone"} <= ran
        # Two images leave room for any gain.
        assert {"attack converged", "identity leaves no less", "answers alone leave no less"} <= set(checks["check"])


def test_what_must_be_true_of_any_attack_and_any_network_is_not_failed(ended: Checkout) -> None:
    """Networks that learned nothing may fail what is said of good ones, but not what is said of stored images."""
    checks = pd.read_csv(ended.results / "checks.csv")
    stored = checks[checks["family"] == "stored"]
    failed = stored[(stored["status"] == "FAIL") & (stored["check"] != "values at the eps bound")]
    assert failed["meaning"].tolist() == []


def test_a_second_run_has_nothing_to_do(ended: Checkout) -> None:
    assert not ended.plan()
