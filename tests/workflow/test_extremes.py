"""What planning accepts runs: a study with numbers at the ends of their ranges, as small as can be."""

import pandas as pd
import pytest
from checkout import Checkout

SMALL = {"network": "timm/resnet18", "arguments": {"layers": [1, 1, 1, 1], "channels": [8, 8, 8, 8]}}
ROUGH = [
    {"crop": 16},
    {"resized_crop": [1e-9, 1e-9]},
    {"colour": {"hue": 0.5, "brightness": 1, "contrast": 1, "saturation": 1}},
]
STUDY = {
    "study": "tiny",
    "seed": 2**63 - 1,
    "threads": 1,
    "images": {"source": "phantom", "size": 16, "train": 5, "validation": 1},
    "classifiers": {
        "late": SMALL
        | {"small_stem": True, "steps": 1, "batch_size": 10**6, "warmup_steps": 10**9, "validate_every": 10**9}
        | {
            "learning_rate_schedule": "step",
            "milestones": [],
            "gradient_clip": 1e-300,
            "ema_decay": 0,
            "augment": ROUGH,
        },
        "robust": {
            "network": "torchvision/shufflenet_v2_x0_5",
            "epochs": 1,
            "batch_size": 2,
            "augment": [],
            "optimiser": "sgd",
            "decay": "weights",
            "mean": [1000, -1000, 0],
            "std": [1000, 1000, 1e-3],
            "objective": {"method": "adversarial", "eps": 1, "steps": 1, "clean_share": 0, "warmup_epochs": 9}
            | {"patience": 1, "validation_steps": 1, "validation_images": 10**9},
        },
    },
    "diffusions": {
        "least": {"channels": [1], "norm_groups": 1, "middle_attention": False, "layers_per_block": 1, "time_steps": 1}
        | {"steps": 1, "batch_size": 1, "objective": {"method": "denoising", "max_sigma": 0.003}},
        "deep": {"channels": [8, 9, 10, 11, 12], "norm_groups": 1, "attention_levels": [0, 1, 2, 3, 4]}
        | {"layers_per_block": 1, "time_steps": 4096, "steps": 1, "batch_size": 1, "prediction": "v"}
        | {"data_range": [0, 0.01], "schedule": "cosine", "gradient_clip": None, "ema_decay": None},
    },
    "purifiers": {
        "noise": {"method": "noise", "sigmas": [0, 10]},
        "one": {"method": "oneshot", "diffusion": "least", "sigmas": [0, 0.001]},
        "ddpm": {"method": "ddpm", "diffusion": "deep", "sigmas": [10, 1e-12], "steps": 3},
        "ddim": {"method": "ddim", "diffusion": "least", "sigmas": [0.003], "steps": 1000},
    },
    "attacks": {
        "pgd": {"method": "pgd", "eps": [0, 1e-300], "steps": 1, "step_size": 2000},
        "far": {"method": "pgdl2", "eps": [2000], "steps": 1, "threat": "adaptive"},
        "auto": {"method": "apgd", "eps": [0], "steps": 1, "restarts": 1, "threat": "bpda", "norm": "L2"},
        "square": {"method": "square", "eps": [0, 1], "queries": 1, "threat": "blackbox"},
    },
    "cross": [
        {"classifiers": ["late"], "attacks": ["pgd"], "purifiers": ["noise"], "sigmas": [10]},
        {"classifiers": ["robust"], "attacks": [], "purifiers": ["one", "ddpm", "ddim"]},
        {"classifiers": ["late"], "attacks": ["far", "auto", "square"], "purifiers": ["one"], "sigmas": [0]},
        {"classifiers": ["robust"], "attacks": ["pgd"], "purifiers": [], "sources": ["late"], "eps": []},
    ],
    "evaluation": {"images": 2, "draws": 1, "batch_size": 1},
    "checks": {"images": 2, "gradients": True, "convergence": True, "blinder": True, "active": True},
}


@pytest.mark.soak
def test_a_study_at_the_ends_of_all_ranges_is_finished(fresh: Checkout) -> None:
    fresh.set_config(STUDY)
    fresh.complete()
    summary = pd.read_csv(fresh.results / "summary.csv", keep_default_na=False)
    assert set(summary["defence"]) == {"none", "noise", "one", "ddpm", "ddim"}
    assert summary["accuracy"].between(0, 1).all()
    assert (fresh.results / "report.html").is_file()
