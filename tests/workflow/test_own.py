"""What users bring, as examples/ tells them: one module and one model each, no other file touched.

The modules and configs on those pages are taken from them to the letter.
"""

import functools
import re

import pandas as pd
import pytest
import yaml
from checkout import CONFIG, ROOT, Checkout

from assay.files import AssayError
from assay.planning.bring import plan_study

MODULE = re.compile(r"^`(mine/\w+\.py)`:\n\n```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
KEYS = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAGES = {path.stem: path.read_text() for path in (ROOT / "examples").glob("*.md")}
PGD = "pgd/eps-4_255/undefended"


def with_pages(study: Checkout, *pages: str) -> dict:
    """The modules of the pages in a folder of their own, and the tests' config with the pages' first keys."""
    config = study.config()
    (study.root / "mine").mkdir()
    for page in pages:
        for place, code in MODULE.findall(PAGES[page]):
            (study.root / place).write_text(code)
        for section, parts in yaml.safe_load(KEYS.search(PAGES[page])[1]).items():
            config[section] = config[section] | parts if section != "images" else parts
    return config


@pytest.fixture(scope="module")
def own(pristine: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A study with a classifier, an objective, a defence, an attack and a threat of the user's own, finished."""
    study = pristine.copy(tmp_path_factory.mktemp("own") / "study")
    config = with_pages(study, "defence", "classifier", "objective", "attack", "threat")
    second = yaml.safe_load(KEYS.findall(PAGES["defence"])[1])["purifiers"]
    config["purifiers"] = {name: config["purifiers"][name] for name in ("smooth", "noise")} | second
    config["purifiers"]["smooth"]["sigmas"] = [0.05]
    config["cross"] = [
        {"classifiers": ["small", "noisy"], "attacks": ["pgd"], "purifiers": ["smooth"]},
        {"classifiers": ["small"], "attacks": ["drift", "pgd-blurred"], "purifiers": ["smooth", "twice"]},
        {"classifiers": ["small"], "attacks": [], "purifiers": ["noise"]},
    ]
    config["classifiers"].pop("resnet")
    config["attacks"].pop("adaptive")
    study.set_config(config)
    study.complete()
    return study


def test_every_cell_of_what_a_user_brought_is_measured_and_reported(own: Checkout) -> None:
    summary = pd.read_csv(own.results / "summary.csv", keep_default_na=False)
    assert set(summary["classifier"]) == {"small", "noisy"}
    assert {"smooth", "twice"} <= set(summary["defence"])
    assert {"drift", "pgd-blurred"} <= set(summary["attack"])
    assert set(summary.loc[summary["attack"] == "pgd-blurred", "threat"]) == {"blurred"}
    page = (own.results / "report.html").read_text()
    assert "The attack follows the gradient of the defended classifier at slightly blurred images." in page
    assert not own.plan()


@pytest.mark.parametrize(
    ("module", "old", "new", "concerned"),
    [
        ("smooth", "count_include_pad=False", "count_include_pad=True", "smooth"),
        ("twice", "noise(1), spec.sigma / 2)", "noise(2), spec.sigma / 2)", "twice"),
        ("drift", "2.5 * attack.radius", "3 * attack.radius", "drift"),
        ("blurred", "(1 - share) * x", "(1 - share) * x * 1.0", "blurred"),
        ("smooth", '"""Noise of level sigma, then a moving average."""', '"""Other words."""', None),
    ],
)
def test_changed_code_rebuilds_what_it_made_and_nothing_else(
    own: Checkout, module: str, old: str, new: str, concerned: str | None
) -> None:
    study = own.root / f"mine/{module}.py"
    before = study.read_text()
    assert before.count(old) == 1
    study.write_text(before.replace(old, new))
    try:
        planned = own.plan()
    finally:
        study.write_text(before)
    assert bool(planned) == bool(concerned)
    made = {job for job in planned if job.split()[0] in ("attack", "purify", "classify")}
    assert all(concerned in job for job in made)
    assert not any(job.startswith(("train", "prepare")) for job in planned)


def test_an_objective_s_code_concerns_its_own_networks_only(own: Checkout) -> None:
    module = own.root / "mine/noisy.py"
    before = module.read_text()
    module.write_text(before.replace("self.sigma * batch", "2 * self.sigma * batch"))
    try:
        planned = own.plan()
    finally:
        module.write_text(before)
    assert "train_classifier noisy" in planned
    assert not {"train_classifier small", "train_diffusion unet"} & planned


@pytest.mark.parametrize(
    ("place", "keys", "message"),
    [
        (
            "purifiers.smooth",
            {"widht": 3},
            "purifiers.smooth.widht: unknown key of mine/smooth.py; did you mean 'width'?",
        ),
        ("purifiers.smooth", {"width": 0}, "purifiers.smooth.width: Input should be greater than 0"),
        ("purifiers.smooth", {"module": "mine/smoth.py"}, "purifiers.smooth.module: mine/smoth.py not found; give its"),
        (
            "purifiers.smooth",
            {"module": "mine/small.py"},
            "purifiers.smooth.width: unknown key of mine/small.py; known",
        ),
        ("purifiers.twice", {"diffusion": "unnet"}, "purifiers.twice.diffusion: 'unnet' is not among ['unet']"),
        (
            "attacks.pgd-blurred.threat",
            {"shares": 1},
            "attacks.pgd-blurred.threat.shares: unknown key of mine/blurred.py",
        ),
    ],
)
def test_a_fault_in_a_key_of_one_s_own_is_one_line(
    own: Checkout, monkeypatch: pytest.MonkeyPatch, place: str, keys: dict, message: str
) -> None:
    monkeypatch.chdir(own.root)
    config = own.config()
    functools.reduce(dict.__getitem__, place.split("."), config).update(keys)
    with pytest.raises(AssayError) as caught:
        plan_study(config, CONFIG)
    assert str(caught.value).startswith(f"{CONFIG}: {message}")
    assert "\n" not in str(caught.value)


def test_a_data_set_of_one_s_own_goes_through_the_whole_study(fresh: Checkout) -> None:
    config = with_pages(fresh, "source")
    config["purifiers"] = {"noise": config["purifiers"]["noise"]}
    config["attacks"].pop("adaptive")
    config["cross"] = [{"attacks": ["pgd"]}]
    config.pop("diffusions")
    fresh.set_config(config)
    fresh.complete()
    confusion = pd.read_csv(fresh.results / "confusion.csv")
    assert set(confusion["label"]) == {"upright", "lying"}
    assert not fresh.plan()
