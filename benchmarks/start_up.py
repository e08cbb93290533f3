"""What share of a demo cell is start-up: importing and loading, before any image is computed.

    python benchmarks/start_up.py [results/demo]

Runs each stage's imports and model loading five times in a fresh process, and five times in a copy of a warm one, in
turn, and sets them against the cell's whole time in the study's own benchmark files. All are seconds of CPU time, the
client's included: they hold on a busy machine. The last lines compare imports with and without the compiler that
`assay.networks.libraries` keeps out.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from assay.planning.interpreter import CLIENT
from assay.planning.past import read_times
from assay.warm.client import SERVER
from assay.warm.usage import read_usage

REPEATS = 5
NAME = f"assay-warm-benchmark-{os.getpid()}"
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


def seconds(code: str) -> tuple[float, float]:
    """Median CPU time of a fresh Python process that runs the code, and of a copy of the warm one."""
    with tempfile.TemporaryDirectory() as folder:
        program, log = Path(folder, "program.py"), Path(folder, "log")
        program.write_text(f"import torch; torch.set_num_threads(1); {code}\n")
        client = [sys.executable, "-IS", str(CLIENT), NAME, str(os.getpid())]
        turns = [
            (taken([sys.executable, str(program)], log), taken([*client, str(program)], log)) for _ in range(REPEATS)
        ]
    cold, warm = zip(*turns, strict=True)
    return statistics.median(cold), statistics.median(warm)


def taken(command: Sequence[str], log: Path) -> float:
    """CPU time of a command, and of the copy that it waited for, if it did."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with open(log, "w") as errors:
        subprocess.run(command, check=True, stderr=errors)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    usage = read_usage(log)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime + (usage.cpu if usage else 0.0)


def main() -> None:
    study = Path(sys.argv[1] if len(sys.argv) > 1 else "results/demo")
    places = {
        "diffusion": next(study.glob("diffusions/*")),
        "classifier": next(study.glob("classifiers/*")),
    }
    subprocess.run([sys.executable, "-P", "-m", SERVER, NAME, str(os.getpid())], check=True)
    print(f"{'cell':20} {'fresh s':>8} {'copy s':>8} {'ratio':>6} {'whole job s':>12}")
    for name, (_, code, pattern) in STAGES.items():
        files = sorted((study / "benchmarks").glob(f"{pattern}/**/*.tsv"))
        whole = statistics.median(times.cpu for file in files for times in read_times(file))
        cold, warm = seconds(code.format(**places))
        print(f"{name:20} {cold:8.2f} {warm:8.2f} {cold / warm:6.1f} {whole:12.2f}")
    for library in ("timm", "diffusers.models.unets.unet_2d"):
        light, _ = seconds(f"from assay.networks.libraries import import_library; import_library('{library}')")
        full, _ = seconds(
            f"import torch._dynamo; from assay.networks.libraries import import_library; import_library('{library}')"
        )
        print(f"import {library}: {light:.2f} s without the compiler, {full:.2f} s with it ({full / light:.2f} times)")


if __name__ == "__main__":
    main()
