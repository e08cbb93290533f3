"""What every command-line program shares: how it fails, what it is told, what it says of itself."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from assay.files import NO_SPACE, AssayError

Spec = TypeVar("Spec", bound=BaseModel)


def run(main: Callable[[], None]) -> None:
    """Run a program; any fault that the user can mend becomes one line on standard error and a non-zero exit."""
    signal.signal(signal.SIGTERM, _terminated)
    _tell_place()
    try:
        main()
    except AssayError as error:
        _fail(str(error))
    except OSError as error:
        if error.errno in NO_SPACE:
            _fail(f"{error.filename or 'output'}: {error.strerror}; free some space (or raise the limit) and run again")
        _fail(f"{error.filename or 'file'}: {error.strerror or error}")
    except KeyboardInterrupt:
        _fail("interrupted; run the same command again to go on", 130)


def stage_parser(description: str) -> argparse.ArgumentParser:
    """The options of every stage."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--spec", required=True, help="the job's spec: JSON, as the workflow passes it")
    parser.add_argument("--inputs", default="{}", help="the artifacts that the job reads: JSON, folders by role")
    parser.add_argument("--keys", default="{}", help="the keys that those must have: JSON, by role")
    parser.add_argument("--code", default="", help="fingerprint of the stage's code, for the manifest")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--out", type=Path, required=True, help="folder of the artifact, or its manifest")
    return parser


def parse_spec(kind: type[Spec], text: str) -> Spec:
    """The validated spec of a stage."""
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        fault = error.errors()[0]
        key = ".".join(str(part) for part in fault["loc"]) or "JSON"
        raise AssayError(f"--spec: {key}: {fault['msg']}; pass the spec that the workflow passes") from None


def provenance(libraries: Sequence[str], device: str = "cpu") -> dict[str, object]:
    """Versions of Python and the named libraries, and the device, for a manifest."""
    versions = {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in libraries}
    return {"versions": versions, "device": device}


def _tell_place() -> None:
    """Where this runs, for the log, in a container or on a cluster: node, job, image, GPUs."""
    image, job = os.environ.get("APPTAINER_CONTAINER"), os.environ.get("SLURM_JOB_ID")
    if image or job:
        facts = [f"on {platform.node()}"]
        facts += [f"Slurm job {job}"] if job else []
        facts += [f"image {Path(image).name}"] if image else []
        facts += [f"CUDA_VISIBLE_DEVICES={os.environ.get('CUDA_VISIBLE_DEVICES', 'unset')}"]
        sys.stderr.write(", ".join(facts) + "\n")  # in one piece: several processes write to one log


def _terminated(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _fail(message: str, status: int = 1) -> None:
    for line in message.splitlines():
        print(f"error: {line}", file=sys.stderr)
    sys.exit(status)
