"""Classify: every logit of every image and draw, by name of class."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from assay.artifacts import Wanted
from assay.evaluation.classify import classify_stack
from assay.evaluation.scores import read_scores
from assay.files import AssayError
from assay.inputs import Inputs
from assay.networks.classifier import build_classifier, load_classifier, write_classifier
from assay.stacks import read_stack
from assay.study.classifiers import Classifier
from assay.study.evaluation import ClassifySpec
from stack_files import write_stack

CLASSES = ["debris", "mucus", "stroma"]
TINY = Classifier(network="timm/resnet18", arguments={"layers": [1, 1, 1, 1], "channels": [8, 8, 16, 16]})
IMAGES, DRAWS = 5, 2


@pytest.fixture
def inputs(tmp_path: Path) -> Inputs:
    """Purified images of three classes, and a classifier with random weights."""
    torch.manual_seed(0)
    with Wanted(tmp_path / "classifier", "classifier", {}, "", {}).write({}) as draft:
        write_classifier(draft, build_classifier(TINY, 3), TINY, CLASSES)
    pixels = np.random.default_rng(0).integers(0, 256, (IMAGES * DRAWS, 32, 32, 3), np.uint8)
    rows = pd.DataFrame({"id": [f"i{k}" for k in range(IMAGES)], "label": [0, 1, 2, 0, 1]})
    rows = rows.loc[rows.index.repeat(DRAWS)].assign(draw=np.tile(np.arange(DRAWS), IMAGES))
    with Wanted(tmp_path / "images", "stack", {}, "", {}).write({}) as draft:
        draft.facts["classes"] = CLASSES
        write_stack(draft, pixels, rows)
    return Inputs({"images": tmp_path / "images", "classifier": tmp_path / "classifier"})


def test_scores_hold_the_classifiers_logits_by_image_and_draw_whatever_the_batch(
    inputs: Inputs, tmp_path: Path
) -> None:
    for size in (4, 16):
        classify_stack(ClassifySpec(batch_size=size), "code", inputs, tmp_path / f"scores-{size}", 1)
    scores = read_scores(tmp_path / "scores-4")
    model = load_classifier(inputs.folder("classifier"), torch.device("cpu"))
    with torch.inference_mode():
        expected = model(torch.from_numpy(read_stack(inputs.folder("images")).pixels())).numpy()
    assert scores.ids.tolist() == [f"i{k}" for k in range(IMAGES)]
    assert scores.labels.tolist() == [0, 1, 2, 0, 1]
    assert scores.classes == CLASSES
    assert scores.logits == pytest.approx(expected.reshape(IMAGES, DRAWS, 3), abs=1e-5)
    assert read_scores(tmp_path / "scores-16").logits == pytest.approx(np.array(scores.logits), abs=1e-5)


def test_a_classifier_of_other_classes_is_refused_in_one_line_and_nothing_is_written(
    inputs: Inputs, tmp_path: Path
) -> None:
    def refused(classes: list[str]) -> str:
        with Wanted(tmp_path / "other", "classifier", {}, "", {}).write({}) as draft:
            write_classifier(draft, build_classifier(TINY, len(classes)), TINY, classes)
        others = Inputs({**inputs.folders, "classifier": tmp_path / "other"})
        with pytest.raises(AssayError) as error:
            classify_stack(ClassifySpec(batch_size=4), "code", others, tmp_path / "scores", 1)
        assert not (tmp_path / "scores").exists()
        return str(error.value).replace(str(tmp_path), "").replace("\n", "|")

    advice = "use a classifier of the images' classes"
    assert refused([*CLASSES[1::-1], "stroma"]) == (
        f"/other: has 'mucus' as class 0, but /images has 'debris'; {advice}"
    )
    assert refused(CLASSES[:2]) == f"/other: has 2 classes, but /images has 3; {advice}"
