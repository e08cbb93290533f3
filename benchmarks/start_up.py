"""What share of a demo cell is start-up: importing and loading, before any image is computed.

    python benchmarks/start_up.py [results/demo]

Runs each stage's imports and model loading in a fresh process, five times, and sets them against the cell's whole
time in the study's own benchmark files. The last lines compare imports with and without the compiler that
`assay.networks.libraries` keeps out.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd

REPEATS = 5
STAGES = {
    "purify (noise)": ("purify", "import assay.purifiers.purify, assay.purifiers.noise", "purify/**/noise"),
    "purify (oneshot)": (
        "purify",
        "import assay.purifiers.purify, torch; from pathlib import Path; "
        "from assay.diffusion.denoiser import load_denoiser; "
        "load_denoiser(Path('{diffusion}'), torch.device('cpu'))",
        "purify/**/oneshot",
    ),
    "classify": (
        "classify",
        "import assay.evaluation.classify, torch; from pathlib import Path; "
        "from assay.networks.classifier import load_classifier; "
        "load_classifier(Path('{classifier}'), torch.device('cpu'))",
        "classify",
    ),
}


def seconds(code: str) -> float:
    """Median wall time of a fresh Python process that runs the code."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", f"import torch; torch.set_num_threads(1); {code}"], check=True)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    study = Path(sys.argv[1] if len(sys.argv) > 1 else "results/demo")
    places = {
        "diffusion": next(study.glob("diffusions/*")),
        "classifier": next(study.glob("classifiers/*")),
    }
    print(f"{'cell':20} {'start-up s':>10} {'whole job s':>12} {'share':>6}")
    for name, (_, code, pattern) in STAGES.items():
        files = sorted((study / "benchmarks").glob(f"{pattern}/**/*.tsv"))
        whole = statistics.median(pd.read_csv(file, sep="\t")["s"].iloc[0] for file in files)
        start_up = seconds(code.format(**places))
        print(f"{name:20} {start_up:10.2f} {whole:12.2f} {start_up / whole:6.0%}")
    for library in ("timm", "diffusers.models.unets.unet_2d"):
        light = seconds(f"from assay.networks.libraries import import_library; import_library('{library}')")
        full = seconds(
            f"import torch._dynamo; from assay.networks.libraries import import_library; import_library('{library}')"
        )
        print(f"import {library}: {light:.2f} s without the compiler, {full:.2f} s with it ({full / light:.2f} times)")


if __name__ == "__main__":
    main()
