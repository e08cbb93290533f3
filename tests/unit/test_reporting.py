"""The report: self-contained, its numbers those of the summary, whole where parts of the study are missing."""

from __future__ import annotations

import copy
import io
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from assay.artifacts import Wanted
from assay.data.phantom import tumour
from assay.evaluation.bounds import with_claims
from assay.evaluation.checks.run import COLUMNS as CHECKS
from assay.evaluation.comparisons import compare_cells
from assay.evaluation.resubmission import resubmission_risk
from assay.evaluation.strongest import strongest_attacks
from assay.evaluation.summary import judge, summarise, write_table
from assay.evaluation.worst_case import worst_cases
from assay.files import AssayError
from assay.manifests import read_manifest
from assay.planning.cells import Cell, Defence, attacked_stacks, cells, rows
from assay.reporting.origin import read_origin
from assay.reporting.page import render
from assay.reporting.words import eps_label, percent, readable_config, with_interval
from assay.study.model import Study
from stack_files import write_stack
from study_tables import finding, strongest_of, write_scores, write_tables

ROOT = Path(__file__).parents[2]
TABLES = ("summary.csv", "strongest.csv", "comparisons.csv", "worst_case.csv", "per_class.csv", "confusion.csv")
MADE_BY = {"versions": {"numpy": np.__version__, "python": "3.11"}, "device": "cpu"}


SIGMAS = [0.05, 0.1, 0.2]
GRID = {
    "purifiers": {
        "noise": {"method": "noise", "sigmas": SIGMAS},
        "oneshot": {"method": "oneshot", "diffusion": "unet", "sigmas": SIGMAS},
        "ddpm": {"method": "ddpm", "diffusion": "unet", "sigmas": [0.1], "steps": 2},
    },
    "attacks": {
        "random": {"method": "random_sign", "eps": ["8/255"]},
        "pgd": {"method": "pgd", "eps": ["4/255", "8/255"]},
        "pgd-adaptive": {"method": "pgd", "threat": "adaptive", "eps": ["4/255", "8/255"]},
    },
    "cross": [
        {"attacks": ["pgd"], "purifiers": ["noise", "oneshot", "ddpm"]},
        {"attacks": ["random"], "purifiers": []},
        {"attacks": ["pgd-adaptive"], "purifiers": ["oneshot"], "sigmas": [0.1]},
    ],
}


def demo() -> dict[str, Any]:
    """The config of the embedded demo, with more sigmas, and defences that were not attacked directly."""
    return yaml.safe_load((ROOT / "config" / "config.yaml").read_text()) | GRID


def fabricate(results: Path, config: dict[str, Any], images: int = 16, size: int = 16, seed: int = 0) -> Study:
    """Write a study's folder with made-up but plausible numbers; return the study."""
    study = Study.model_validate(config)
    rng = np.random.default_rng(seed)
    chosen = [_fabricate_images(results, split, images, size) for split in ("train", "validation", "test")][-1]
    for name in study.classifiers:
        _fabricate_classifier(results / "classifiers" / name, results / "images", rng)
    for name in study.diffusions:
        _fabricate_diffusion(results / "diffusions" / name, results / "images", size, rng)
    stacks = {"clean": chosen[0] / np.float32(255)}
    for attacked in attacked_stacks(study):
        clean = stacks["clean"]
        change = attacked.eps * np.sign(rng.standard_normal(clean.shape))
        stacks[attacked.path] = np.clip(clean + change, 0, 1)
        folder = results / "adversarial" / attacked.path
        stored = np.rint(255 * stacks[attacked.path]).astype(np.uint8)
        inputs = {"images": results / "images/test", "classifier": results / "classifiers" / attacked.classifier}
        _write_stack(folder, stored, _table(chosen[1]), inputs)
    for cell in cells(study):
        inputs = _fabricate_purified(results, cell, stacks[cell.stack], chosen[1], study, rng)
        _fabricate_scores(results, cell, chosen[1], study, inputs, rng)
    judged = judge(rows(study), results / "scores")
    strongest = strongest_attacks(study, judged, results / "scores")
    compared = with_claims(compare_cells(study.study, judged), strongest)
    worst = worst_cases(study.study, judged)
    risk = resubmission_risk(study, judged)
    write_tables(results, summarise(study.study, judged), None, compared, worst, strongest, risk)
    for index, rule in enumerate(("train_classifier", "train_diffusion", "attack", "purify", "classify")):
        folder = results / "benchmarks" / rule / "a"
        folder.mkdir(parents=True)
        head, line = "s\th:m:s\tmax_rss\tcpu_time\n", f"{5 + 90 * index}.5\t0:01:00\t{400 + 60 * index}.1\t60\n"
        (folder / "b.tsv").write_text(head + line)
        (folder / "c.tsv").write_text(head + line.replace(f"{400 + 60 * index}.1", "-"))
    return study


def _fabricate_images(results: Path, split: str, images: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    made, labels = tumour.generate(0, split, range(images), size)
    _write_stack(results / "images" / split, made, _table(labels), {})
    return made, labels


def _table(labels: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"id": [f"test-{index:06d}" for index in range(len(labels))], "label": labels})


def _manifests(inputs: dict[str, Path]) -> dict[str, Path]:
    return {label: folder / "manifest.json" for label, folder in inputs.items()}


def _write_stack(folder: Path, images: np.ndarray, table: pd.DataFrame, inputs: dict[str, Path]) -> None:
    with Wanted(folder, "stack", {"place": str(folder.name)}, "0" * 16, _manifests(inputs)).write(MADE_BY) as draft:
        write_stack(draft, images, table)
        draft.facts["classes"] = ["normal", "tumour"]


def _fabricate_classifier(folder: Path, images: Path, rng: np.random.Generator) -> None:
    epochs = np.arange(1, 7)
    loss = 0.6 * np.exp(-epochs / 2)
    history = pd.DataFrame(
        {
            "epoch": epochs,
            "train_loss": loss,
            "validation_loss": loss + 0.05 + 0.02 * rng.random(6),
            "validation_accuracy": 1 - 0.3 * np.exp(-epochs / 2),
            "learning_rate": 1e-3,
        }
    )
    inputs = _manifests({split: images / split for split in ("train", "validation")})
    with Wanted(folder, "classifier", {"classifier": folder.name}, "1" * 16, inputs).write(MADE_BY) as draft:
        history.to_csv(draft.path("history.csv"), index=False)
        draft.facts |= {"parameters": 1_200_000, "validation_accuracy": 0.985}


def _fabricate_diffusion(folder: Path, images: Path, size: int, rng: np.random.Generator) -> None:
    steps = np.arange(1, 501)
    loss = 0.02 + 0.6 * np.exp(-steps / 40)
    validation = np.where(steps % 50 == 0, loss, np.nan)
    noisy = loss * np.exp(0.2 * rng.standard_normal(500))
    history = pd.DataFrame({"step": steps, "train_loss": noisy, "validation_loss": validation, "learning_rate": 1e-3})
    inputs = _manifests({split: images / split for split in ("train", "validation")})
    with Wanted(folder, "diffusion", {"diffusion": folder.name}, "2" * 16, inputs).write(MADE_BY) as draft:
        history.to_csv(draft.path("history.csv"), index=False)
        sheet, _ = tumour.generate(1, "train", range(8), size)
        Image.fromarray(np.concatenate(np.concatenate(sheet.reshape(2, 4, size, size, 3), axis=1), axis=1)).save(
            draft.path("samples.png")
        )
        draft.facts |= {"parameters": 3_400_000, "validation_loss": 0.021}


def _fabricate_purified(
    results: Path, cell: Cell, images: np.ndarray, labels: np.ndarray, study: Study, rng: np.random.Generator
) -> dict[str, Path]:
    """Write the cell's purified stack if it has one; return what its scores are made from."""
    source = results / ("adversarial/" + cell.stack if cell.attacked else "images/test")
    inputs = {"images": source, "classifier": results / "classifiers" / cell.classifier}
    if cell.defence == Defence():
        return inputs
    folder = results / "purified" / cell.stack / cell.defence.path
    inputs["images"] = folder
    if folder.exists():
        return inputs
    purifier = study.purifiers[cell.defence.purifier]
    draws = study.evaluation.draws
    strength = cell.defence.sigma * (1.0 if purifier.method == "noise" else 0.25)
    table = _table(labels)
    table = table.loc[table.index.repeat(draws)].assign(draw=np.tile(np.arange(draws), len(labels)))
    noisy = np.repeat(images, draws, axis=0)
    noisy = np.clip(noisy + strength * rng.standard_normal(noisy.shape), 0, 1)
    read = {"images": source}
    if hasattr(purifier, "diffusion"):
        read["diffusion"] = results / "diffusions" / purifier.diffusion
    _write_stack(folder, np.rint(65535 * noisy).astype(np.uint16), table, read)
    return inputs


def _fabricate_scores(
    results: Path, cell: Cell, labels: np.ndarray, study: Study, inputs: dict[str, Path], rng: np.random.Generator
) -> None:
    draws = study.evaluation.draws if cell.defence.purifier else 1
    share = _plausible(cell, study)
    right = (rng.random((len(labels), 1)) + 0.2 * rng.standard_normal((len(labels), draws))) < share
    margin = np.where(right, 1, -1) * rng.gamma(3, 0.6, right.shape) * (2 * labels[:, None] - 1.0)
    logits, table = np.stack([-margin, margin], axis=-1), _table(labels)
    names = ["normal", "tumour"]
    write_scores(results / "scores" / cell.path, logits, labels, table["id"], names, _manifests(inputs), MADE_BY)


def _plausible(cell: Cell, study: Study) -> float:
    """A share of right answers such as a real study might find."""
    sigma = cell.defence.sigma
    method = study.purifiers[cell.defence.purifier].method if cell.defence.purifier else None
    kept = 0.96 - sigma * {None: 0, "noise": 1.6, "oneshot": 0.5, "ddpm": 0.7, "ddim": 0.7}[method]
    if cell.attacked is None:
        return kept
    attack = study.attacks[cell.attacked.attack]
    if attack.method == "random_sign":
        return kept - 0.02
    strength = 255 * cell.attacked.eps / (60 * sigma + 1.2)
    weight = 1.3 if attack.threat.name == "adaptive" else 0.45 if method else 1.0
    return kept * np.exp(-weight * strength)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Study]:
    results = tmp_path_factory.mktemp("results") / "demo"
    return results, fabricate(results, demo())


@pytest.fixture(scope="module")
def page(study: tuple[Path, Study]) -> str:
    return report(*study)


def report(results: Path, study: Study) -> str:
    out = results / "report.html"
    out.write_text(render(results, study, {"pandas": pd.__version__}, {}), encoding="utf-8")
    return out.read_text(encoding="utf-8")


def text_of(html: str) -> str:
    """What a reader reads: no tags, single spaces."""
    html = re.sub(r"<(style|script).*?</\1>", "", html, flags=re.S)
    return plain(re.sub(r"<[^>]*>", "", html))


def plain(text: str) -> str:
    """Single spaces that may break, wherever there is any space."""
    return re.sub(r"\s+", " ", text)


def said_of(row: Any) -> str:
    """An accuracy and its interval as the page says them."""
    return plain(with_interval(row))


def with_summary(tmp_path: Path, summary: pd.DataFrame, study: Study) -> Path:
    """A study's folder that holds nothing but a summary and its strongest attacks, and empty tables beside it."""
    write_tables(tmp_path, summary, strongest=strongest_of(summary, study))
    return tmp_path


def summary_of(results: Path) -> pd.DataFrame:
    return pd.read_csv(results / "summary.csv", keep_default_na=False, na_values=[""])


class Checker(HTMLParser):
    """Collects addresses and ids, and checks that elements nest."""

    VOID = frozenset(("meta", "link", "img", "br"))

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.note(attrs)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.note(attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def note(self, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value for name, value in attrs if name in ("href", "src", "xlink:href", "srcset")]
        self.ids += [value for name, value in attrs if name == "id"]


def test_page_is_self_contained(page: str):
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    assert all(address.startswith(("#", "data:")) for address in checker.addresses)
    assert {address[1:] for address in checker.addresses if address.startswith("#")} <= set(checker.ids)
    assert len(checker.ids) == len(set(checker.ids))
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", page))
    assert not re.search(r"https?://|@import", page)
    assert '<meta name="viewport"' in page
    assert '<meta name="color-scheme" content="light dark">' in page


def test_the_answers_numbers_are_the_summarys(study: tuple[Path, Study], page: str):
    summary = summary_of(study[0])
    said = text_of(page)
    attacked = summary.query("eps > 0.03 and defence in ('none', 'oneshot') and sigma in (0, 0.1)")
    clean = summary.query("attack == 'none' and defence == 'none'").iloc[0].accuracy
    through = attacked.query("attack == 'pgd-adaptive'").iloc[0]
    transfer = attacked.query("attack == 'pgd' and defence == 'oneshot'").iloc[0]
    bare = attacked.query("attack == 'pgd' and defence == 'none'").iloc[0]
    shares = [percent(row.accuracy / clean, 0) for row in (through, transfer)]
    assert f"oneshot at sigma 0.1 keeps {shares[0]} of resnet’s clean accuracy of {percent(clean)}" in said
    assert f"and {shares[1]} when the attacker does not know of it" in said
    assert f"Without a defence pgd leaves {said_of(bare)}" in said
    price = summary.query("attack == 'none' and defence == 'oneshot' and sigma == 0.1").iloc[0]
    assert f"On clean images accuracy with the defence is {said_of(price)}" in said


def test_an_attack_through_a_defence_that_is_weaker_than_transfer_is_doubted(tmp_path: Path, study: tuple[Path, Study]):
    summary = summary_of(study[0])
    summary.loc[summary.threat == "adaptive", "accuracy"] = 1.0
    summary.loc[summary.threat == "transfer", ["accuracy", "ci_low", "ci_high"]] = [0.25, 0.2, 0.3]
    assert "too weak to be believed" in text_of(report(with_summary(tmp_path, summary, study[1]), study[1]))


@pytest.mark.parametrize(("eps", "label"), [(8 / 255, "8/255"), (0.5, "0.5"), (0.2, "0.2"), (1.0, "1")])
def test_eps_is_written_as_people_write_it(eps: float, label: str):
    assert eps_label(eps) == label
    assert readable_config({"eps": [eps], "norm": None}) == {"eps": [label if "/" in label else eps]}


def test_every_cell_stands_in_the_table(study: tuple[Path, Study], page: str):
    body = re.search(r'<table class="sortable">.*?<tbody>(.*?)</tbody>', page, re.S).group(1)
    assert body.count("<tr>") == len(summary_of(study[0]))


def test_none_is_a_word(page: str):
    assert "nan" not in re.findall(r"\w+", text_of(page).lower())
    assert "no defence" in text_of(page)


def test_same_input_same_bytes(study: tuple[Path, Study], page: str):
    assert report(*study) == page


def test_the_page_tells_how_things_were_made(page: str):
    made = text_of(re.search(r'<section id="making">.*?</section>', page, re.S).group(0))
    assert re.search(
        r"Artifacts: 5 adversarial, 1 classifiers, 1 diffusions, 3 images, \d+ purified, \d+ scores\.", made
    )
    assert "train_classifier" in made
    assert "inputs match no artifact" not in page


def test_inputs_that_match_no_artifact_are_counted(tmp_path: Path, study: tuple[Path, Study]):
    results = Path(shutil.copytree(study[0], tmp_path / "results"))
    shutil.rmtree(results / "diffusions/unet")
    assert re.search(r"\d+ inputs match no artifact in this folder", text_of(report(results, study[1])))


def test_pictures_show_class_names_probabilities_and_the_noised_image(page: str):
    pictures = re.search(r'<div class="pictures".*?</figure>', page, re.S).group(0)
    assert ">noised<" in pictures
    assert "attacked − clean × 8" in pictures
    assert re.search(r"✗ (normal|tumour) · \d+%", pictures)


def test_pictures_of_what_failed_a_check_say_so(tmp_path: Path, study: tuple[Path, Study], page: str):
    results = Path(shutil.copytree(study[0], tmp_path / "results"))
    failed = finding("images/test", "FAIL", meaning="Two images are one.")
    write_table(pd.DataFrame([failed]).reindex(columns=CHECKS), results / "checks.csv")
    pictures = re.search(r'<section id="images">.*?</section>', report(results, study[1]), re.S).group(0)
    assert pictures.count("Not to be relied on: Two images are one.") == pictures.count('<div class="pictures"') > 0
    assert "Not to be relied on" not in page


def tables_of_classes(summary: pd.DataFrame, names: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Accuracy and confusion by class of each cell: of n classes, class k is right in k + 1 of n images."""
    cells = summary[["study", "classifier", "attack", "threat", "norm", "eps", "defence", "sigma"]]
    shares = [(k + 1) / len(names) for k in range(len(names))]
    per_class = [
        cells.assign(**{"class": name, "images": 8, "accuracy": share, "ci_low": share / 2, "ci_high": share})
        for name, share in zip(names, shares, strict=True)
    ]
    confusion = [
        cells.assign(
            label=name, predicted=answer, images=8, share=share if name == answer else (1 - share) / (len(names) - 1)
        )
        for name, share in zip(names, shares, strict=True)
        for answer in names
    ]
    return pd.concat(per_class), pd.concat(confusion)


def with_classes(tmp_path: Path, study: tuple[Path, Study], names: list[str]) -> str:
    summary = summary_of(study[0])
    with_summary(tmp_path, summary, study[1])
    for table, name in zip(tables_of_classes(summary, names), ("per_class", "confusion"), strict=True):
        write_table(table, tmp_path / f"{name}.csv")
    html = report(tmp_path, study[1])
    return re.search(r'<section id="classes">.*?</section>', html, re.S).group(0)


def test_classes_have_names_bars_and_confusion(tmp_path: Path, study: tuple[Path, Study], page: str):
    assert '<section id="classes">' not in page, "a study without the tables has no such section"
    shown = with_classes(tmp_path, study, ["normal", "tumour"])
    assert shown.count('aria-label="normal (8 images)') == 3, "without and with the defence, and under attack"
    assert 'aria-label="normal, classified as tumour: 50.0%"' in shown
    assert "<script" not in with_classes(tmp_path, study, ["<script>", "b"])


def test_of_many_classes_the_worst_are_shown(tmp_path: Path, study: tuple[Path, Study]):
    shown = with_classes(tmp_path, study, [f"kind{index:02d}" for index in range(30)])
    assert "The 10 worst of 30 classes are shown." in shown
    assert "kind09" in shown
    assert "kind10" not in shown


def trimmed(**parts: Any) -> dict[str, Any]:
    """The demo's config with some parts replaced, on a smaller grid."""
    config = demo() | {"purifiers": {}, "attacks": {}, "diffusions": {}, "cross": [{}]}
    return config | parts


NOISE = {"noise": {"method": "noise", "sigmas": [0.1]}}
UNET = demo()["diffusions"]


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (trimmed(), "No attack was run, so this study says nothing about protection."),
        (trimmed(purifiers=NOISE), "No attack was run"),
        (trimmed(attacks={"pgd": {"method": "pgd", "eps": ["4/255"]}}), "No purifier was tested against it."),
        (
            trimmed(purifiers=NOISE, attacks={"pgd": {"method": "pgd", "eps": ["4/255"], "threat": "adaptive"}}),
            "We did not test an attacker who knows the noise.",
        ),
        (
            trimmed(purifiers=NOISE, attacks={"pgd": {"method": "pgd", "eps": ["4/255"]}}),
            "Upper bound, attacked by transfer only",
        ),
        (
            trimmed(
                purifiers=NOISE,
                attacks={"l2": {"method": "pgdl2", "eps": [0.5]}},
                classifiers={name: demo()["classifiers"]["resnet"] for name in ("one", "two")},
            ),
            "noise at sigma 0.1 keeps",
        ),
    ],
    ids=["clean-only", "no-attack", "no-purifier", "adaptive-only", "transfer-only", "two-classifiers"],
)
def test_studies_that_lack_something_have_a_page(tmp_path: Path, config: dict[str, Any], says: str):
    html = report(tmp_path, fabricate(tmp_path, config, images=6))
    checker = Checker()
    checker.feed(html)
    assert checker.open == []
    assert says in text_of(html)


def test_a_summary_alone_makes_a_page(tmp_path: Path, study: tuple[Path, Study]):
    said = text_of(report(with_summary(tmp_path, summary_of(study[0]), study[1]), study[1]))
    assert "There are no pictures" in said
    assert "There are no networks" in said


def test_a_study_of_too_few_slides_says_so_wherever_an_interval_should_be(tmp_path: Path, study: tuple[Path, Study]):
    blank = {
        "summary": ["ci_low", "ci_high"],
        "strongest": ["ci_low", "ci_high"],
        "comparisons": ["low", "high", "p", "p_holm", "detectable"],
        "worst_case": ["ci_low", "ci_high"],
        "resubmission": ["ci_low", "ci_high", "clean_low", "clean_high"],
        "per_class": ["ci_low", "ci_high"],
    }
    for path in [*study[0].glob("*.csv"), *study[0].glob("*.json")]:
        shutil.copy(path, tmp_path)
    for name, columns in blank.items():
        if (path := tmp_path / f"{name}.csv").is_file():
            table = pd.read_csv(path, keep_default_na=False, na_values=[""])
            write_table(table.assign(**dict.fromkeys(columns, np.nan)), path)
    page = report(tmp_path, study[1])
    said = text_of(page)
    assert "[too few slides]" in said
    assert "There are too few slides to see a difference." in said
    assert not re.search(r"\bnan\b", page)
    assert "points, too few slides" in page


def test_large_studies_are_capped(tmp_path: Path, study: tuple[Path, Study]):
    summary = summary_of(study[0]).query("attack in ('none', 'pgd')")
    names = [f"purifier{index}" for index in range(14)]
    more = [summary.query("defence == 'ddpm'").assign(defence=name) for name in names]
    said = text_of(report(with_summary(tmp_path, pd.concat([summary, *more]), study[1]), study[1]))
    assert "12 of 17 purifiers are drawn" in said
    assert "more rows are in the grid" in said


@pytest.mark.parametrize("cut", [0, 1, 7, 60, 400])
def test_a_truncated_summary_is_one_clear_line(tmp_path: Path, study: tuple[Path, Study], cut: int):
    whole = (study[0] / "summary.csv").read_bytes()
    (tmp_path / "summary.csv").write_bytes(whole[: -cut or None][: None if cut else 0])
    with pytest.raises(AssayError, match=r"summary\.csv: .*delete it and run again") as caught:
        report(tmp_path, study[1])
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "report.html").exists()


def test_program_writes_the_report_and_imports_no_network_library(study: tuple[Path, Study], tmp_path: Path):
    script = (
        "import runpy, sys\n"
        "sys.argv = ['report.py', *sys.argv[1:]]\n"
        f"runpy.run_path({str(ROOT / 'workflow' / 'stages' / 'report.py')!r}, run_name='__main__')\n"
        "heavy = {'torch', 'timm', 'diffusers', 'torchattacks'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    folder = Path(shutil.copytree(study[0], tmp_path / "study"))
    inputs = {}
    for role, names in (("tables", TABLES), ("checks", ("checks.csv",))):
        content = {name: (folder / name).read_bytes() for name in names}
        inputs[role] = str(folder / f"{names[0].removesuffix('.csv')}.manifest.json")
        with Wanted(Path(inputs[role]), role, {}, "", {}).write({}) as draft:
            for name in names:
                draft.path(name).write_bytes(content[name])
    options = ["--inputs", json.dumps(inputs), "--spec", study[1].model_dump_json()]
    command = [sys.executable, "-c", script, *options, "--out", str(folder / "report.manifest.json")]
    subprocess.run(command, check=True)
    page = folder / "report.html"
    assert page.read_text().startswith("<!doctype html>")
    assert read_origin(page)[1] == {role: read_manifest(Path(place))["seal"] for role, place in inputs.items()}
    (folder / "report.manifest.json").unlink()
    (folder / "summary.csv").write_text((folder / "summary.csv").read_text().replace("0.", "0.1", 1))
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1, "what is edited is not reported"
    assert "summary.csv: " in done.stderr


def test_program_fails_in_one_line(tmp_path: Path):
    inputs = json.dumps({"tables": str(tmp_path / "summary.manifest.json")})
    options = ["--inputs", inputs, "--spec", json.dumps(copy.deepcopy(demo())), "--out", str(tmp_path / "r")]
    command = [sys.executable, str(ROOT / "workflow" / "stages" / "report.py"), *options]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr.startswith("error: ")
    assert len(io.StringIO(result.stderr).readlines()) == 1
