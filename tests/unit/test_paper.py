"""The paper's claims, checked: each verdict follows from what was measured, and from nothing else."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from assay.evaluation.scores import read_scores
from assay.evaluation.summary import measure
from assay.files import AssayError
from assay.reporting.answer import answers
from assay.reporting.page import write_report
from assay.reporting.paper import published
from assay.reporting.paper.claims import FAILS, HOLDS, NOT_MEASURED, OPEN, Claim, claims
from assay.reporting.paper.subjects import find_subjects
from study_tables import logits_of, write_scores, write_tables

IMAGES = 400
EPS = published.EPS
CONFIG: dict[str, Any] = {
    "classifiers": {"plain": {}, "robust": {"adversarial": {"eps": EPS}}},
    "purifiers": {
        "noise": {"method": "noise", "sigmas": ["selected"]},
        "ddpm": {"method": "ddpm", "diffusion": "unet", "sigmas": ["selected"]},
    },
    "attacks": {"pgd": {"method": "pgd"}, "through": {"method": "pgd", "threat": "adaptive"}},
}
SIGMA = published.paper_sigma(40)
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


def study(folder: Path, shares: dict[tuple[str, ...], float]) -> pd.DataFrame:
    """A study's scores with these shares of right answers, on the same images; its summary."""
    labels = np.arange(IMAGES) % 2
    order = np.random.default_rng(0).permutation(IMAGES)
    rows = []
    for (classifier, attack, threat, defence), share in shares.items():
        right = order < share * IMAGES
        place = f"{classifier}/{attack}/{threat}/{defence}/sigma-{'0' if defence == 'none' else 'selected'}"
        ids = [f"test-{i}" for i in range(IMAGES)]
        write_scores(folder / "scores" / place, logits_of(right[:, None], labels), labels, ids)
        cell = {"classifier": classifier, "attack": attack, "threat": threat, "defence": defence, "scores": place}
        cell |= {"norm": "none" if attack == "none" else "Linf", "eps": 0.0 if attack == "none" else EPS}
        cell |= {"sigma": 0.0 if defence == "none" else SIGMA}
        rows.append({"study": "paper", **cell, **measure(read_scores(folder / "scores" / place))})
    return pd.DataFrame(rows)


def judged(folder: Path, shares: dict[tuple[str, ...], float], sweep: pd.DataFrame | None = None) -> list[Claim]:
    summary = study(folder, shares)
    subjects = find_subjects(summary, answers(summary, CONFIG), CONFIG)
    return claims(folder, subjects, sweep)


def verdict(found: list[Claim], words: str) -> str:
    (claim,) = [claim for claim in found if words in claim.claim]
    return claim.verdict


def test_the_papers_own_numbers_bear_out_what_they_can_and_no_more(tmp_path: Path) -> None:
    found = judged(tmp_path, PUBLISHED)
    assert verdict(found, "takes the classifier") == HOLDS
    assert verdict(found, "88 %") in (HOLDS, OPEN)
    assert verdict(found, "noise alone") == HOLDS
    assert verdict(found, "adversarially trained") == HOLDS
    assert verdict(found, "full knowledge") == FAILS, "the aware attacker leaves far less"
    assert verdict(found, "collapse") == FAILS, "the trained classifier is far above the undefended one"
    assert verdict(found, "best noise level") == NOT_MEASURED


@pytest.mark.parametrize(
    ("cell", "share", "words", "expected"),
    [
        (("plain", "pgd", "transfer", "ddpm"), 0.50, "88 %", FAILS),
        (("plain", "pgd", "transfer", "ddpm"), 0.50, "noise alone", FAILS),
        (("plain", "pgd", "transfer", "noise"), 0.80, "noise alone", OPEN),
        (("plain", "none", "none", "ddpm"), 0.60, "two points", FAILS),
        (("plain", "pgd", "transfer", "none"), 0.80, "takes the classifier", FAILS),
        (("robust", "pgd", "transfer", "none"), 0.90, "adversarially trained", FAILS),
    ],
)
def test_a_verdict_changes_with_what_is_measured(
    tmp_path: Path, cell: tuple[str, ...], share: float, words: str, expected: str
) -> None:
    assert verdict(judged(tmp_path, PUBLISHED | {cell: share}), words) == expected


def test_what_a_study_lacks_is_not_measured(tmp_path: Path) -> None:
    lacking = {key: share for key, share in PUBLISHED.items() if key[0] == "plain" and key[1] != "through"}
    found = judged(tmp_path, lacking)
    assert {claim.verdict for claim in found if "knowledge" in claim.claim or "GoogLeNet" in claim.claim} == {
        NOT_MEASURED
    }


def sweep(equal: list[int]) -> pd.DataFrame:
    chosen = [int(index == equal.index(1)) for index in range(len(equal))]
    sigmas = [published.paper_sigma(step) for step in (5, 20, 40, 100)][: len(equal)]
    columns = {"sigma": sigmas, "equal": equal, "chosen": chosen, "images": IMAGES}
    for kind in ("clean", "robust"):
        columns |= {f"{kind}_accuracy": 0.7, f"{kind}_low": 0.6, f"{kind}_high": 0.8}
    return pd.DataFrame(columns)


def test_one_best_noise_level_holds_only_where_no_other_is_equal_to_it(tmp_path: Path) -> None:
    assert verdict(judged(tmp_path, PUBLISHED, sweep([0, 0, 1, 0])), "best noise level") == HOLDS
    assert verdict(judged(tmp_path, PUBLISHED, sweep([0, 1, 1, 1])), "best noise level") == FAILS


def test_the_papers_step_on_unit_range_is_twice_the_usual_noise() -> None:
    """Reference: abar of step 40 is 0.9798, sigma 0.1437; on [-1,1] that is near step 84."""
    assert published.paper_sigma(40) == pytest.approx(0.1437, abs=1e-4)
    assert published.paper_step(published.paper_sigma(40)) == pytest.approx(40)
    assert published.USUAL_SCHEDULE.time_of(published.paper_sigma(40)) == pytest.approx(84, abs=1)


def test_the_section_stands_on_the_page(tmp_path: Path) -> None:
    write_tables(tmp_path, study(tmp_path, PUBLISHED))
    (tmp_path / "selection").mkdir()
    sweep([0, 1, 1, 0]).to_csv(tmp_path / "selection/sweep.csv", index=False)
    write_report(tmp_path, CONFIG | {"study": "paper", "selection": {}}, tmp_path / "report.html", {})
    page = (tmp_path / "report.html").read_text()
    assert "The paper's claims, checked" in page
    assert page.count('class="wrong">does not hold') == 2
    assert "the paper's time step t" not in page, "a study that chooses no sigma shows no sweep"
    write_report(tmp_path, CONFIG | {"study": "paper", "selection": {"images": 400}}, tmp_path / "report.html", {})
    assert "the paper's time step t" in (tmp_path / "report.html").read_text().replace("’", "'").replace("&#39;", "'")


def test_a_truncated_sweep_is_one_clear_line(tmp_path: Path) -> None:
    write_tables(tmp_path, study(tmp_path, PUBLISHED))
    path = tmp_path / "selection/sweep.csv"
    path.parent.mkdir()
    sweep([0, 1, 1, 0]).to_csv(path, index=False)
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(AssayError, match=r"sweep\.csv: ends too early \(truncated\?\); delete it and run again"):
        write_report(tmp_path, CONFIG | {"study": "paper", "selection": {"images": 400}}, tmp_path / "report.html", {})
    assert not (tmp_path / "report.html").exists()
