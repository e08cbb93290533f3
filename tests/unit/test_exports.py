"""Exports: what other tools read is what the study has."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from torch import nn

import assay
from assay.commands import dispatch
from assay.exports import FORMATS, export
from assay.exports.latex import table
from assay.files import AssayError

IMAGES, SIDE = 4, 16
ATTACKS = {
    "pgd": {"method": "pgd", "eps": [4 / 255], "steps": 2},
    "pgd-adaptive": {"method": "pgd", "eps": [0.03], "threat": "adaptive", "steps": 1},
}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> assay.Study:
    """A study of a tiny classifier, attacked by transfer (8 bits) and through its purifier (16 bits)."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(12, 2))
    images = torch.rand(IMAGES, 3, SIDE, SIDE)
    folder = tmp_path_factory.mktemp("results") / "small"
    return assay.evaluate(
        network, images, network(images).argmax(1), lambda x: x + 0.1 * torch.randn_like(x), sigma=0.1,
        attacks=ATTACKS, checks={}, draws=2,
        classes=["sound", "ill"], name="small", folder=folder,
    )  # fmt: skip


def test_every_format_is_written_by_the_command(
    study: assay.Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for kind, (ending, _) in FORMATS.items():
        dispatch(["export", str(study.folder), kind])
        assert capsys.readouterr().out == f"small-{kind}{ending}\n"
        assert (tmp_path / f"small-{kind}{ending}").exists()


def test_npz_has_the_images_and_every_logit(study: assay.Study, tmp_path: Path) -> None:
    export(study, "npz", tmp_path / "all.npz")
    with np.load(tmp_path / "all.npz", allow_pickle=False) as found:
        assert np.array_equal(found["images"], study.images.images)
        assert (found["labels"].tolist(), found["classes"].tolist()) == (study.images.labels.tolist(), ["sound", "ill"])
        assert found["ids"].tolist() == study.images.ids
        stacks = {name.split("/", 1)[1]: found[name] for name in found if name.startswith("adversarial/")}
        assert stacks.keys() == {place for place, _ in study.stacks()}
        assert all(np.array_equal(stacks[place], stack.images) for place, stack in study.stacks())
        for cell in study.summary.itertuples():
            logits = found[f"logits/{cell.scores}"]
            assert (logits.argmax(-1) == study.images.labels[:, None]).mean() == pytest.approx(cell.accuracy)


def test_a_datasets_folder_has_a_configuration_per_stack(
    study: assay.Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "hub"
    export(study, "datasets", out)
    assert "pgd-adaptive/eps-0.03/purify-0.1: has 16 bits per channel, and is left out" in capsys.readouterr().err
    header = yaml.safe_load((out / "README.md").read_text().split("---\n")[1])
    names = [each["config_name"] for each in header["configs"]]
    assert names == ["clean", "classifier.pgd.eps-4_255.undefended"]
    stacks = [study.images, study.adversarial(attack="pgd", defence="none")]
    for each, stack in zip(header["configs"], stacks, strict=True):
        folder = out / each["data_dir"] / "test"
        with open(folder / "metadata.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row["id"] for row in rows] == stack.ids
        assert [row["class"] for row in rows] == [stack.classes[label] for label in stack.labels]
        pixels = [np.array(Image.open(folder / row["file_name"])) for row in rows]
        assert np.array_equal(pixels, stack.images)
    with pytest.raises(AssayError, match="hub: is there already"):
        export(study, "datasets", out)


def test_a_latex_table_has_every_accuracy(study: assay.Study) -> None:
    text = table(study, "classifier")
    lines = [re.split(r" & ", line.strip().removesuffix(r" \\")) for line in text.splitlines() if " & " in line]
    titles, *rows = lines
    assert titles == ["defence", "clean", "pgd, 4/255", "pgd-adaptive, 0.03", "strongest, 4/255", "strongest, 0.03"]
    known = {row[0]: dict(zip(titles, row, strict=True)) for row in rows}
    for keys, defence, title in (
        ({"attack": "none", "defence": "none"}, "no defence", "clean"),
        ({"attack": "pgd", "defence": "purify"}, "purify 0.1", "pgd, 4/255"),
        ({"attack": "pgd-adaptive"}, "purify 0.1", "pgd-adaptive, 0.03"),
    ):
        cell, shown = study.cell(**keys), known[defence][title]
        assert f"{100 * cell['accuracy']:.1f} [" in shown
        assert shown.startswith(r"$\leq$") == cell["upper_bound"]
    assert text.count("{") == text.count("}")


def test_a_robustbench_entry_says_what_was_attacked(study: assay.Study, tmp_path: Path) -> None:
    export(study, "robustbench", tmp_path / "info")
    found = {path.name: json.loads(path.read_text()) for path in (tmp_path / "info/Linf").iterdir()}
    assert found.keys() == {
        "classifier_none_eps-4_255.json",
        "classifier_purify-0.1_eps-4_255.json",
        "classifier_purify-0.1_eps-0.03.json",
    }
    bound, direct = (found[f"classifier_purify-0.1_eps-{eps}.json"] for eps in ("4_255", "0.03"))
    assert bound["footnote"].startswith("An upper bound")
    assert not direct["footnote"].startswith("An upper bound")
    assert direct["external"] == f"{100 * study.cell(attack='pgd-adaptive')['accuracy']:.2f}"
    assert (direct["autoattack_acc"], bound["eps"]) == (None, "4/255")
