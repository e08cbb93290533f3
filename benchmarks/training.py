"""What training the demo's networks costs, in CPU time: this checkout against another one, in turns.

    python benchmarks/training.py OTHER_CHECKOUT

Each stage runs in a process of its own, at the demo's settings, for a short and a long training; their difference is
what a step costs (validation is left out: both have one). The least of all repetitions is shown.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

REPEATS = 2
STEPS = {"classifier": (8, 48), "diffusion": (8, 48)}  # a short and a long training
HERE = Path(__file__).parents[1]

TRAIN = """
import importlib, sys, yaml
from pathlib import Path
from assay.inputs import Inputs
kind, images, out, steps = sys.argv[1:]
models = importlib.import_module(f"assay.study.{kind}s")
stage = importlib.import_module(f"assay.training.{kind}")
described = next(iter(yaml.safe_load(open("config/config.yaml"))[f"{kind}s"].values()))
if kind == "classifier":
    described |= {"epochs": 1}
else:
    described |= {"steps": int(steps), "validate_every": int(steps)}
spec = getattr(models, f"{kind.title()}Spec").model_validate({kind: described, "seed": 0})
inputs = Inputs({role: Path(images, role) for role in ("train", "validation")})
getattr(stage, f"train_{kind}")(spec, "", inputs, Path(out), 1)
"""
PREPARE = """
import sys
from pathlib import Path
from assay.data.prepare import prepare_images
from assay.inputs import Inputs
from assay.study.images import ImagesSpec
for split, count in (("train", int(sys.argv[2])), ("validation", 64)):
    spec = ImagesSpec(images={"source": "phantom", "size": 32}, split=split, count=count, seed=0)
    prepare_images(spec, "", Inputs({}), Path(sys.argv[1], split))
"""


def cpu_seconds(checkout: Path, code: str, *arguments: str) -> float:
    """CPU seconds of a program that runs in a checkout."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {"PYTHONPATH": str(checkout / "src"), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", code, *arguments], cwd=checkout, env=environment, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    checkouts = {"other": Path(sys.argv[1]).resolve(), "this": HERE}
    with tempfile.TemporaryDirectory() as folder:
        found: dict[tuple[str, str, int], float] = {}
        for steps in {steps for lengths in STEPS.values() for steps in lengths}:
            cpu_seconds(HERE, PREPARE, f"{folder}/{steps}", str(64 * steps))
        for turn in range(REPEATS):
            for kind, lengths in STEPS.items():
                for steps in lengths:
                    for name, checkout in checkouts.items():
                        out = f"{folder}/{name}-{kind}-{steps}-{turn}"
                        seconds = cpu_seconds(checkout, TRAIN, kind, f"{folder}/{steps}", out, str(steps))
                        found[name, kind, steps] = min(seconds, found.get((name, kind, steps), seconds))
        print("| training | checkout | long training, CPU s | a step, CPU ms |\n| --- | --- | ---: | ---: |")
        for kind, (short, long) in STEPS.items():
            for name in checkouts:
                step = (found[name, kind, long] - found[name, kind, short]) / (long - short)
                print(f"| {kind} ({long} steps) | {name} | {found[name, kind, long]:.2f} | {1000 * step:.1f} |")


if __name__ == "__main__":
    main()
