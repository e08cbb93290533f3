"""The trajectory of an attack: accuracy against its steps, out of one run."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from assay.artifacts import Wanted
from assay.attacks.attack import attack_stack
from assay.batches import Part
from assay.evaluation.statistics.intervals import wilson
from assay.evaluation.trajectories import COLUMNS, trajectories
from assay.inputs import Inputs
from assay.manifests import read_manifest
from assay.networks.classifier import build_classifier, write_classifier
from assay.planning.cells import attacked_stacks, followed_stacks
from assay.planning.jobs import Jobs
from assay.reporting.trajectories import by_steps
from assay.study.attacks import AttackSpec, PgdAttack
from assay.study.classifiers import Classifier
from assay.study.model import Study
from stack_files import write_stack
from study_tables import made_up

EPS = 2 / 255
IMAGES = 22
RESNET = Classifier(
    network="timm/resnet18", arguments={"layers": [1, 1, 1, 1], "channels": [8, 8, 8, 8]}, small_stem=True
)
PGD = {"method": "pgd", "eps": [EPS], "steps": 8, "step_size": EPS / 4, "decay": "none"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A classifier with random weights, and images that have the labels which it gives them."""
    folder = tmp_path_factory.mktemp("made")
    torch.manual_seed(0)
    images = np.random.default_rng(0).integers(0, 256, (IMAGES, 16, 16, 3)).astype(np.uint8)
    pixels = torch.from_numpy(images / 255).float().permute(0, 3, 1, 2)
    model = build_classifier(RESNET, 3).eval()
    with torch.inference_mode():
        model.network.fc.bias -= model(pixels).mean(0)  # else it would name one class for all
        labels = model(pixels).argmax(1).numpy()
    with Wanted(folder / "classifier", "classifier", {}, "", {}).write({}) as draft:
        write_classifier(draft, model, RESNET, list("abc"))
    images = np.random.default_rng(0).integers(0, 256, (IMAGES, 16, 16, 3)).astype(np.uint8)
    with torch.inference_mode():
        labels = model(torch.from_numpy(images / 255).float().permute(0, 3, 1, 2)).argmax(1).numpy()
    with Wanted(folder / "images", "stack", {}, "", {}).write({}) as draft:
        write_stack(draft, images, pd.DataFrame({"id": [f"i{n}" for n in range(IMAGES)], "label": labels}))
        draft.facts["classes"] = list("abc")
    return {"images": folder / "images", "classifier": folder / "classifier"}


def attacked(made: dict[str, Path], out: Path, part: Part | None = None, **keys: object) -> Path:
    spec = AttackSpec(attack=PGD | keys, purifier=None, batch_size=8, seed=0)
    attack_stack(spec, "code", Inputs(made), out, 1, part)
    return out


@pytest.mark.parametrize("more", [{}, {"momentum": 0, "target": "random", "loss": "ce"}])
def test_the_trajectory_after_k_steps_is_an_attack_of_k_steps(
    more: dict, made: dict[str, Path], tmp_path: Path
) -> None:
    whole = attacked(made, tmp_path / "whole", trajectory=[1, 3, 6], **more)
    noted = pd.read_csv(whole / "trajectory.csv")
    assert list(noted.columns) == ["id", "1", "3", "6", "8"]
    labels = pd.read_csv(whole / "table.csv")["label"]
    shares = [(noted[step] == labels).mean() for step in noted.columns[1:]]
    assert shares[0] > shares[-1], "the attack must achieve something here"
    for step in (1, 3, 6, 8):
        short = pd.read_csv(attacked(made, tmp_path / f"{step}", steps=step, **more) / "table.csv")
        assert list(noted["id"]) == list(short["id"])
        assert np.array_equal(noted[str(step)] != labels, short["fooled"] == 1)
        if "target" in more:
            assert np.array_equal(noted[str(step)] == short["target"], short["hit"] == 1)


def test_noting_changes_nothing_of_the_stack(made: dict[str, Path], tmp_path: Path) -> None:
    with_it, without = attacked(made, tmp_path / "a", trajectory=[2]), attacked(made, tmp_path / "b")
    assert (with_it / "images.tif").read_bytes() == (without / "images.tif").read_bytes()
    assert (with_it / "table.csv").read_bytes() == (without / "table.csv").read_bytes()
    assert not (without / "trajectory.csv").exists()
    queries = [read_manifest(folder)["facts"]["queries"] for folder in (with_it, without)]
    assert queries[0]["gradient"] == queries[1]["gradient"]
    assert queries[0]["forward"] == queries[1]["forward"] + 1
    planned = [PgdAttack(**PGD | keys).passes for keys in ({"trajectory": [2]}, {})]
    verdict = 1  # on what is stored, which is not counted among the search's queries
    assert planned == [(found["gradient"], found["forward"] + verdict) for found in queries]


def test_parts_give_the_same_trajectory(made: dict[str, Path], tmp_path: Path) -> None:
    whole = attacked(made, tmp_path / "whole", trajectory=[2, 5])
    for index in (1, 2):
        attacked(made, tmp_path / "parts", Part(index, 2), trajectory=[2, 5])
    parts = attacked(made, tmp_path / "parts", trajectory=[2, 5])
    assert (parts / "trajectory.csv").read_bytes() == (whole / "trajectory.csv").read_bytes()


@pytest.mark.parametrize(
    ("keys", "fault"),
    [
        ({"trajectory": [5, 3]}, "trajectory: .5, 3. do not rise towards the last of 8 steps"),
        ({"trajectory": [3, 8]}, "do not rise towards the last of 8 steps; write"),
        ({"trajectory": [3], "decay": "linear"}, "needs steps of one size, and the decay is linear; set decay: none"),
        ({"trajectory": [3], "restarts": 2}, "trajectory: is of one run; remove restarts"),
        ({"trajectory": [3], "diversity": 0.5}, "trajectory: is of queries that see the images as they are; remove"),
        ({"trajectory": [3], "threat": "adaptive"}, "of attacks on a bare classifier, and the threat is adaptive"),
    ],
)
def test_a_trajectory_that_is_none_is_refused(keys: dict, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        PgdAttack(**PGD | keys)


def followed_study() -> Study:
    attacks = {"pgd": PGD | {"trajectory": [1, 4], "target": "random"}, "short": PGD}
    return made_up({}, purifiers=(), more_attacks=attacks)


def test_a_study_reads_the_stacks_that_have_a_trajectory() -> None:
    study = followed_study()
    (followed,) = followed_stacks(study)
    assert followed.attack == "pgd"
    assert len(attacked_stacks(study)) == 2
    job = Jobs(study).summarise()
    assert list(job.each["trajectories"]) == [followed.path]
    assert PgdAttack(**PGD).model_dump().keys() == PgdAttack(**PGD | {"trajectory": [1]}).model_dump().keys() - {
        "trajectory"
    }


def test_accuracy_and_hits_by_step_have_their_intervals(made: dict[str, Path], tmp_path: Path) -> None:
    study = followed_study()
    (followed,) = followed_stacks(study)
    folder = attacked(made, tmp_path / "stack", trajectory=[1, 4], target="random")
    noted, table = pd.read_csv(folder / "trajectory.csv"), pd.read_csv(folder / "table.csv")
    found = trajectories(study, {followed: folder}, None)
    assert list(found.columns) == COLUMNS
    assert list(found["step"]) == [1, 4, 8]
    for row in found.itertuples():
        named = noted[str(row.step)]
        for share, bounds, goal in (
            (row.accuracy, (row.ci_low, row.ci_high), "label"),
            (row.hit, (row.hit_low, row.hit_high), "target"),
        ):
            reached = int((named == table[goal]).sum())
            assert share == reached / IMAGES
            assert bounds == pytest.approx(wilson(reached, IMAGES))


def test_the_report_draws_a_line_for_each_classifier() -> None:
    rows = [
        {
            **dict.fromkeys(COLUMNS, 0.5),
            "classifier": name,
            "attack": "pgd",
            "norm": "Linf",
            "eps": EPS,
            "step": step,
            "hit": 0.2 if targeted else float("nan"),
        }
        for targeted in (False, True)
        for name in ("plain", "denoised")
        for step in (10, 30, 100, 2000)
    ]
    for part, panels in ((rows[:8], 2), (rows[8:], 3)):
        (figure,) = by_steps(pd.DataFrame(part, columns=COLUMNS))
        assert len(figure.panels) == panels
        assert "plain" in figure.legend
        svg = figure.panels[0][1]
        assert "denoised, accuracy after 2000 steps: 50" in svg
    assert by_steps(pd.DataFrame(columns=COLUMNS)) == []


def test_the_axis_of_steps_is_logarithmic() -> None:
    row = {**dict.fromkeys(COLUMNS, 0.5), "classifier": "a", "attack": "pgd", "norm": "Linf"}
    (figure,) = by_steps(pd.DataFrame([row | {"step": step} for step in (1, 10, 100)], columns=COLUMNS))
    places = [
        float(place) for place in re.findall(r'class="shape" transform="translate\(([\d.]+) ', figure.panels[0][1])
    ]
    assert places[1] - places[0] == pytest.approx(places[2] - places[1], abs=0.2)
