"""The warm process of a local run: it loads the libraries that stages load, and stages are its copies.

    python -P -m assay.networks.preload NAME RUN

Nothing is computed in it: a copy of threads, or of a GPU's context, would not work. It keeps no module of `assay`, so
that each stage loads the code that is there when it starts.
"""

from __future__ import annotations

import importlib
import os
import sys
import types

from assay.warm.server import detach, listen, serve

LIBRARIES = (
    *("pandas", "scipy.special", "tifffile", "pydantic"),
    *("safetensors.torch", "torch.optim.swa_utils"),
)
THROUGH_ASSAY = ("timm", "diffusers.models.unets.unet_2d")  # see `assay.networks.libraries`
_kept: list[types.ModuleType] = []


def main() -> None:
    """Load and serve, unless another client of the run has started a server."""
    name, run = sys.argv[1:]
    try:
        listening = listen(name)
    except OSError:
        return
    detach()
    load()
    serve(listening, int(run))


def load() -> None:
    """Load the libraries, and forget the modules of `assay`, but for what the libraries need of them."""
    # Torch's threads are set by each stage; those of numpy's linear algebra must not exist when a process is copied.
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"  # who asks for GPUs while loading must not start CUDA
    from assay.networks.libraries import import_library

    for library in LIBRARIES:
        importlib.import_module(library)
    for library in THROUGH_ASSAY:
        import_library(library)
    _kept.extend(sys.modules.pop(module) for module in list(sys.modules) if module.split(".")[0] == "assay")


if __name__ == "__main__":
    main()
