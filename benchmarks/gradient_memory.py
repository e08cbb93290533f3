"""Peak memory of the gradient through a purifier at 5 and at 50 steps: it should not grow with the steps.

    python benchmarks/gradient_memory.py
    python benchmarks/gradient_memory.py sde ode bridge gradual guided likelihood

Each number is of a fresh process, on the GPU where there is one: what the gradient adds to the memory that was held
before it. On a CPU it is the process's resident memory, with a C library that gives freed memory back at once: as it
comes, glibc keeps it, in pieces that the next step cannot use. The last line is the ratio of the two; above it stands
the same without checkpoints, at few steps.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

FEW, MANY = 5, 50
# So many steps in all: each of these also has rounds.
FURTHER = {"gradual": {"schedule": [[1, 1]]}, "guided": {"rounds": 1}}
PLAIN_STEPS = (1, FEW)  # without checkpoints memory grows by the same with each step, and 50 would not fit
IMAGES, SIDE = 16, 64
BOUND = 1.3
GIVE_BACK = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}


def measure(method: str, steps: int, checkpointed: bool) -> dict[str, object]:
    """The peak in bytes that one gradient adds, and the device; in this process."""
    import torch
    from pydantic import TypeAdapter

    from assay.diffusion import samplers
    from assay.diffusion.denoiser import Denoiser
    from assay.diffusion.schedule import Schedule
    from assay.inputs import Inputs
    from assay.networks.unet import build_network
    from assay.noise import step_noise
    from assay.purifiers import guided, likelihood
    from assay.purifiers.purifier import build_purifier
    from assay.study.diffusions import Diffusion
    from assay.study.purifiers import AnyPurifier

    if not checkpointed:
        samplers.checkpoint = lambda step, *arguments, **_: step(*arguments)
        guided.recomputed = likelihood.recomputed = lambda step, *tensors: step(*tensors)
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    size = Diffusion(channels=[32, 64, 64], layers_per_block=1, norm_groups=8, middle_attention=False, steps=1)
    network = build_network(size, SIDE).eval().requires_grad_(False).to(device, memory_format=torch.channels_last)
    denoiser = Denoiser(network, Schedule("linear", 1000))
    keys = {"method": method, "diffusion": "unet", "sigmas": [0.2], "steps": steps, **FURTHER.get(method, {})}
    Inputs.denoiser = lambda *_: denoiser
    purify = build_purifier(TypeAdapter(AnyPurifier).validate_python(keys), Inputs({}))
    x = torch.rand(IMAGES, 3, SIDE, SIDE, device=device).requires_grad_()
    noise = step_noise(0, list(range(IMAGES)), [0] * IMAGES, x)
    with torch.no_grad():
        denoiser(x[:1], 0.2)  # libraries and kernels are loaded
    before = held(device)
    torch.autograd.grad(purify(x, noise).sum(), x)
    return {"bytes": peak(device) - before, "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu"}


def held(device) -> int:
    """Bytes held now."""
    import torch

    return torch.cuda.memory_allocated() if device.type == "cuda" else 1024 * _status("VmRSS")


def peak(device) -> int:
    """The most bytes that were held."""
    import torch

    return torch.cuda.max_memory_allocated() if device.type == "cuda" else 1024 * _status("VmHWM")


def _status(key: str) -> int:
    """A line of this process's status, in kB (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key))


def in_a_fresh_process(method: str, steps: int, checkpointed: bool) -> dict[str, object]:
    command = [sys.executable, __file__, method, str(steps), str(int(checkpointed))]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ | GIVE_BACK)
    return json.loads(done.stdout)


def main() -> None:
    if len(sys.argv) == 4 and sys.argv[2].isdigit():
        print(json.dumps(measure(sys.argv[1], int(sys.argv[2]), sys.argv[3] == "1")))
        return
    sys.exit(max([compare(method) for method in sys.argv[1:] or ["ddpm"]]) > BOUND)


def compare(method: str) -> float:
    """Print what few and many steps of a purifier take; many in terms of few."""
    found = {steps: in_a_fresh_process(method, steps, True) for steps in (FEW, MANY)}
    plain = {steps: in_a_fresh_process(method, steps, False) for steps in PLAIN_STEPS}
    print(f"{method}: {IMAGES} images of {SIDE} pixels, on {found[FEW]['device']}")
    for steps, result in found.items():
        print(f"checkpointed, {steps:3} steps: {result['bytes'] / 1e6:8.0f} MB")
    for steps, result in plain.items():
        print(f"plain,        {steps:3} steps: {result['bytes'] / 1e6:8.0f} MB")
    ratio = found[MANY]["bytes"] / found[FEW]["bytes"]
    print(f"{MANY} steps / {FEW} steps, checkpointed: {ratio:.2f} (bound {BOUND})", flush=True)
    return ratio


if __name__ == "__main__":
    main()
