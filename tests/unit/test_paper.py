"""Papers' claims: what can be compared is, what cannot is named with the reason, and verdicts follow from intervals."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from assay.diffusion.schedule import Schedule
from assay.evaluation.scores import read_scores
from assay.evaluation.summary import measure
from assay.files import AssayError
from assay.reporting.choice import choices
from assay.reporting.page import render
from assay.reporting.papers import FAILS, HOLDS, NOT_COMPARED, NOT_MEASURED, OPEN, Beside, Claim, beside, read_papers
from assay.reporting.trust import Checked
from assay.study.model import Study
from study_tables import as_the_page_reads, finding, logits_of, made_up, strongest_of, write_scores, write_tables

IMAGES = 400
EPS = 2 / 255
SIGMA = 0.1437
SELECTION = {
    "purifier": "ddpm",
    "classifier": "plain",
    "attack": "pgd",
    "eps": EPS,
    "sigmas": [0.05, 0.1],
    "images": 400,
}
# (classifier, attack, threat, defence): share of right answers, as the paper has them
PUBLISHED = {
    ("plain", "none", "none", "none"): 0.87,
    ("plain", "none", "none", "noise"): 0.66,
    ("plain", "none", "none", "ddpm"): 0.87,
    ("plain", "pgd", "transfer", "none"): 0.06,
    ("plain", "pgd", "transfer", "noise"): 0.58,
    ("plain", "pgd", "transfer", "ddpm"): 0.80,
    ("plain", "through", "adaptive", "ddpm"): 0.30,
    ("robust", "none", "none", "none"): 0.70,
    ("robust", "pgd", "transfer", "none"): 0.57,
}


def made(source: str = "pcam", network: str = "timm/resnet101", **parts: Any) -> Study:
    """A study of the paper's parts, by default in its setting too."""
    images = {"source": source, "train": 64, "validation": 64, **({"size": 32} if source == "phantom" else {})}
    robust = {"network": network, "objective": {"method": "adversarial", "eps": EPS}}
    classifiers = {"plain": {"network": network}, "robust": robust}
    attacks = {
        "pgd": {"method": "pgd", "eps": [EPS]},
        "through": {"method": "pgd", "eps": [EPS], "threat": "adaptive"},
    }
    return made_up({}, images=images, classifiers=classifiers, attacks=attacks, **parts)


def summary_of(folder: Path, shares: dict[tuple[str, ...], float]) -> pd.DataFrame:
    """A study's scores with these shares of right answers, on the same images; its summary."""
    labels = np.arange(IMAGES) % 2
    order = np.random.default_rng(0).permutation(IMAGES)
    ids = [f"test-{index}" for index in range(IMAGES)]
    rows = []
    for (classifier, attack, threat, defence), share in shares.items():
        right = order < share * IMAGES
        place = f"{classifier}/{attack}/{threat}/{defence}/sigma-{'0' if defence == 'none' else 'selected'}"
        write_scores(folder / "scores" / place, logits_of(right[:, None], labels), labels, ids)
        cell = {"classifier": classifier, "attack": attack, "threat": threat, "defence": defence, "scores": place}
        cell |= {"norm": "none" if attack == "none" else "Linf", "eps": 0.0 if attack == "none" else EPS}
        cell |= {"sigma": 0.0 if defence == "none" else SIGMA}
        rows.append({"study": "paper", **cell, **measure(read_scores(folder / "scores" / place))})
    return pd.DataFrame(rows)


def compared(
    folder: Path, shares: dict[tuple[str, ...], float], study: Study | None = None, sweep: pd.DataFrame | None = None
) -> Beside:
    """The first paper beside a study with these shares of right answers."""
    study = study or made()
    summary, strongest = as_the_page_reads(summary_of(folder, shares), study)
    checked = Checked(pd.DataFrame([finding("images/test")]))
    return beside(read_papers()[0], folder, summary, choices(summary, strongest, study), study, checked, sweep)


def verdict(found: Beside, words: str) -> str:
    (judgement,) = [judgement for judgement in found.judgements if words in judgement.claim.says]
    return judgement.verdict


def test_the_papers_own_numbers_bear_out_what_they_can_and_no_more(tmp_path: Path) -> None:
    found = compared(tmp_path, PUBLISHED)
    assert found.why_not == []
    assert verdict(found, "takes the classifier") == HOLDS
    assert verdict(found, "88%") in (HOLDS, OPEN)
    assert verdict(found, "noise alone") == HOLDS
    assert verdict(found, "better than an adversarially trained") == HOLDS
    assert verdict(found, "goes through the defence too") == FAILS
    assert verdict(found, "full knowledge") == FAILS, "an attack through the purifier leaves far less"
    assert verdict(found, "collapses") == FAILS, "the trained classifier is far above the undefended one"
    assert verdict(found, "noise levels") == NOT_MEASURED
    assert found.figure.count("; published: ") == 8


@pytest.mark.parametrize(
    ("cell", "share", "words", "expected"),
    [
        (("plain", "pgd", "transfer", "ddpm"), 0.50, "88%", FAILS),
        (("plain", "pgd", "transfer", "ddpm"), 0.50, "noise alone", FAILS),
        (("plain", "pgd", "transfer", "noise"), 0.80, "noise alone", OPEN),
        (("plain", "none", "none", "ddpm"), 0.60, "two points", FAILS),
        (("plain", "pgd", "transfer", "none"), 0.80, "takes the classifier", FAILS),
        (("robust", "pgd", "transfer", "none"), 0.90, "better than an adversarially trained", FAILS),
    ],
)
def test_a_verdict_changes_with_what_is_measured(
    tmp_path: Path, cell: tuple[str, ...], share: float, words: str, expected: str
) -> None:
    assert verdict(compared(tmp_path, PUBLISHED | {cell: share}), words) == expected


def test_what_a_study_lacks_is_not_measured(tmp_path: Path) -> None:
    lacking = {key: share for key, share in PUBLISHED.items() if key[0] == "plain" and key[1] != "through"}
    found = compared(tmp_path, lacking)
    assert verdict(found, "knowledge") == verdict(found, "collapses") == NOT_MEASURED


@pytest.mark.parametrize(
    ("study", "reason"),
    [
        (made("phantom"), "its data are PCam, this study's phantom"),
        (made(network="timm/resnet18"), "its network is ResNet101, this study's timm/resnet18"),
    ],
)
def test_in_another_setting_numbers_are_not_compared_but_orders_are_tested(
    tmp_path: Path, study: Study, reason: str
) -> None:
    found = compared(tmp_path, PUBLISHED, study)
    assert found.why_not == [reason]
    assert found.figure is None
    assert verdict(found, "88%") == verdict(found, "two points") == NOT_COMPARED
    assert verdict(found, "noise alone") == HOLDS


def test_another_eps_is_a_reason_not_to_compare(tmp_path: Path) -> None:
    study = made()
    larger = summary_of(tmp_path, PUBLISHED)
    larger["eps"] *= 2
    summary, strongest = as_the_page_reads(larger, study)
    checked = Checked(pd.DataFrame([finding("images/test")]))
    found = beside(read_papers()[0], tmp_path, summary, choices(summary, strongest, study), study, checked, None)
    assert found.why_not == ["its eps is 2/255 (Linf), this study's 4/255 (Linf)"]


def test_papers_that_no_study_can_repeat_yet_say_why(tmp_path: Path) -> None:
    study = made("phantom")
    summary, strongest = as_the_page_reads(summary_of(tmp_path, PUBLISHED), study)
    checked = Checked(pd.DataFrame([finding("images/test")]))
    papers = read_papers()
    assert len(papers) == 4
    for paper in papers[1:]:
        found = beside(paper, tmp_path, summary, choices(summary, strongest, study), study, checked, None)
        assert found.why_not
        assert not found.says_something


def test_unverified_facts_are_never_read(tmp_path: Path) -> None:
    setting = {"data": "a", "sources": [], "network": "b", "networks": [], "eps": ["1/255"]}
    paper = {
        "title": "T",
        "authors": "A",
        "setting": setting,
        "numbers": [{"subject": "undefended", "clean": 0.5, "tag": "MEM"}, {"subject": "undefended", "clean": 0.6}],
        "claims": [{"says": "Never looked up.", "tag": "MEM"}, {"says": "Looked up."}],
    }
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(paper))
    (found,) = read_papers(tmp_path)
    assert [number.clean for number in found.numbers] == [0.6]
    assert found.untested == ["Looked up."]


@pytest.mark.parametrize(
    ("low", "high", "expected"), [(0.9, 1.0, HOLDS), (0.1, 0.2, FAILS), (0.4, 0.6, OPEN), (0.5, 0.5, HOLDS)]
)
def test_a_claim_holds_or_fails_only_where_its_whole_interval_says_so(low: float, high: float, expected: str) -> None:
    assert Claim(says="a", at_least=0.5).verdict(low, high) == expected


def sweep(equal: list[int]) -> pd.DataFrame:
    chosen = [int(index == equal.index(1)) for index in range(len(equal))]
    columns = {"sigma": [0.03, 0.07, 0.14, 0.38][: len(equal)], "equal": equal, "chosen": chosen, "images": IMAGES}
    for kind in ("clean", "robust"):
        columns |= {f"{kind}_accuracy": 0.7, f"{kind}_low": 0.6, f"{kind}_high": 0.8}
    return pd.DataFrame(columns)


def test_a_range_of_noise_levels_does_equally_well_only_where_several_are_equal_to_the_best(tmp_path: Path) -> None:
    assert verdict(compared(tmp_path, PUBLISHED, sweep=sweep([0, 0, 1, 0])), "noise levels") == FAILS
    assert verdict(compared(tmp_path, PUBLISHED, sweep=sweep([0, 1, 1, 1])), "noise levels") == HOLDS


def test_the_papers_step_on_unit_range_is_the_sigma_and_the_step_that_the_claims_name() -> None:
    own, usual = Schedule("linear", 1000, (0.0, 1.0)), Schedule("linear", 1000, (-1.0, 1.0))
    assert float(own.sigmas[40]) == pytest.approx(0.1437, abs=1e-4)
    assert usual.time_of(float(own.sigmas[40])) == pytest.approx(84, abs=1)


def test_the_section_is_on_the_page(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, PUBLISHED)
    write_tables(tmp_path, summary, strongest=strongest_of(summary, made()))
    (tmp_path / "selection").mkdir()
    sweep([0, 1, 1, 0]).to_csv(tmp_path / "selection/sweep.csv", index=False)
    (tmp_path / "report.html").write_text(render(tmp_path, made(), {}, {}), encoding="utf-8")
    page = (tmp_path / "report.html").read_text()
    assert "Ankile, Midgley and Weisshaar" in page
    assert page.count('class="wrong">does not hold') == 3
    assert "The choice of sigma" not in page, "a study that chooses no sigma shows no sweep"
    (tmp_path / "report.html").write_text(render(tmp_path, made(selection=SELECTION), {}, {}), encoding="utf-8")
    assert "The choice of sigma" in (tmp_path / "report.html").read_text()


def test_a_truncated_sweep_is_one_clear_line(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, PUBLISHED)
    write_tables(tmp_path, summary, strongest=strongest_of(summary, made()))
    path = tmp_path / "selection/sweep.csv"
    path.parent.mkdir()
    sweep([0, 1, 1, 0]).to_csv(path, index=False)
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(AssayError, match=r"sweep\.csv: ends too early \(truncated\?\); delete it and run again"):
        (tmp_path / "report.html").write_text(render(tmp_path, made(selection=SELECTION), {}, {}), encoding="utf-8")
    assert not (tmp_path / "report.html").exists()
