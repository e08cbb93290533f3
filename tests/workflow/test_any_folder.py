"""A study runs in any folder, and whatever its images', weights' and modules' folders are called."""

import json
import subprocess
import sys
from pathlib import Path

import torch
import yaml
from checkout import HERE, Checkout
from safetensors.torch import save_file

from assay.networks.libraries import import_library
from image_folder import write_images

ODD = 'a b\'s & $(touch harm) `touch harm`; touch harm > harm "ü" | '  # and what Snakemake would read as a pattern
MODULE = """
def build(spec, inputs):
    return lambda x, noise: (x + spec.sigma * noise(0)).clamp(0, 1)
"""
SMALL = {"layers": [1, 1, 1, 1], "channels": [8, 8, 8, 8]}
TIMM = {
    "architecture": "resnet18",
    "num_classes": 3,
    "model_args": SMALL,
    "pretrained_cfg": {"mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0]},
}


def write_weights(folder: Path) -> None:
    torch.manual_seed(0)
    network = import_library("timm").create_model("resnet18", num_classes=3, **SMALL)
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(TIMM))
    save_file(network.state_dict(), folder / "model.safetensors")


def test_a_study_runs_elsewhere_whatever_its_folders_are_called(pristine: Checkout, tmp_path: Path) -> None:
    there = tmp_path / f"{ODD}{{study}} <results>"
    there.mkdir()
    images, weights, module = f"{ODD}{{images}} <x>", f"{ODD}weights", f"{ODD}{{modules}}/own part.py"
    write_images(there / images)
    write_weights(there / weights)
    (there / module).parent.mkdir()
    (there / module).write_text(MODULE)
    config = yaml.safe_load((HERE / "tiny.yaml").read_text())
    config["images"] = {"source": "folder", "folder": f"{images}/", "size": 16, "validation": 6}
    config["classifiers"]["elsewhere"] = {"published": weights, "layout": "timm"}
    config["purifiers"] = {"own": {"method": "python", "module": module, "sigmas": [0.1]}}
    config["diffusions"] = {}
    config["attacks"] = {"pgd": {"method": "pgd", "eps": ["4/255"], "steps": 2}}
    config["cross"] = [{"purifiers": ["own"]}]
    (there / "odd {name}.yaml").write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--snakefile", str(pristine.root / "Snakefile")]
    done = subprocess.run(
        [*command, "--configfile", "odd {name}.yaml"],
        cwd=there,
        env=pristine.environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (there / "results/tiny/report.html").is_file()
    assert not [*there.rglob("harm"), *pristine.root.rglob("harm")]
