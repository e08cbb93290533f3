"""`assay.evaluate` on a study's own networks: the workflow's numbers, for the same images, seeds and attacks."""

import numpy as np
import pytest
import torch
from checkout import Checkout

import assay
from assay.inputs import Inputs
from assay.purifiers.purifier import build_purifier


def test_evaluate_gives_the_workflows_numbers(finished: Checkout) -> None:
    study = assay.Study(finished.results)
    folders = {"classifier": finished.results / "classifiers/resnet", "diffusion": finished.results / "diffusions/unet"}
    inputs = Inputs(folders, device=torch.device("cpu"))
    purify = build_purifier(study.config.purifiers["oneshot"], inputs)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as the stages have
    try:
        found = assay.evaluate(
            inputs.classifier(),
            study.images.images,
            study.images.labels,
            purify,
            attacks={name: attack.model_dump(mode="json") for name, attack in study.config.attacks.items()},
            sigma=0.1,
            draws=study.config.evaluation.draws,
            batch_size=study.config.evaluation.batch_size,
            seed=study.config.seed,
            ids=study.images.ids,
            classes=study.images.classes,
            checks={},
        )
    finally:
        torch.set_num_threads(threads)
    for attack in ("none", "pgd", "adaptive"):
        theirs, ours = study.scores(attack=attack, defence="oneshot"), found.scores(attack=attack, defence="purify")
        assert np.allclose(ours.logits, theirs.logits, atol=1e-5)
        for measure in ("accuracy", "ci_low", "ci_high", "majority_accuracy", "worst_accuracy"):
            known, measured = study.cell(attack=attack, defence="oneshot"), found.cell(attack=attack, defence="purify")
            assert measured[measure] == pytest.approx(known[measure])
