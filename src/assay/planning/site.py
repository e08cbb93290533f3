"""The settings of one cluster: config/profiles/slurm/site.yaml, which the slurm profile reads."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from assay.files import AssayError
from assay.planning.configs import read_strictly
from assay.study.fields import Model, PositiveInt

# The rules whose jobs run networks.
GPU_STAGES = (
    *("train_classifier", "train_diffusion", "train_classifier_on_nodes", "train_diffusion_on_nodes"),
    *("import_classifier", "import_diffusion"),
    *("attack", "attack_part", "purify", "purify_part", "classify", "probe"),
    *("certify", "certify_part", "attack_certificates"),
)

FILE = Path(__file__).parents[3] / "config" / "profiles" / "slurm" / "site.yaml"


class Site(Model):
    """What differs from one cluster to the next. Every key may be left out."""

    partition: str | None = Field(None, description="Partition of all jobs; the cluster's own default if absent.")
    gpu_partition: str | None = Field(None, description="Partition of the jobs that need a GPU; `partition` if absent.")
    account: str | None = Field(None, description="Account to charge; only where the cluster asks for one.")
    qos: str | None = Field(None, description="Quality of service.")
    gres: str | None = Field(
        None, description="How to ask for a GPU where `--gpus=1` is not understood, or of which model: `gpu:a100:1`."
    )
    gpus: bool = Field(True, description="Ask for a GPU at all; false on a cluster that has none.")
    binds: list[str] = Field([], description="Folders outside the checkout that jobs must see in their containers.")
    jobs: PositiveInt = Field(50, description="Jobs in the queue at a time.")
    minutes: PositiveInt | None = Field(None, description="Run time of every job's first attempt, if not estimated.")
    slurm_extra: str | None = Field(None, description="Further options of sbatch.")

    @property
    def default_resources(self) -> dict[str, Any]:
        """The profile's default-resources."""
        named = {"slurm_partition": self.partition, "slurm_account": self.account, "qos": self.qos}
        named["slurm_extra"] = self.slurm_extra
        return {"mem_mb": 2000, "disk_mb": 1000, "runtime": 30} | {k: repr(v) for k, v in named.items() if v}

    @property
    def set_resources(self) -> dict[str, dict[str, Any]]:
        """The profile's set-resources: of the stages that need a GPU."""
        changes: dict[str, Any] = {"slurm_partition": repr(self.gpu_partition)} if self.gpu_partition else {}
        if not self.gpus or self.gres:
            changes["gpu"] = 0
        if self.gpus and self.gres:
            changes["gres"] = self.gres
        if self.minutes:
            changes["runtime"] = f"{self.minutes} * 2 ** (attempt - 1)"
        return dict.fromkeys(GPU_STAGES, changes) if changes else {}

    @property
    def apptainer_args(self) -> str:
        """The profile's apptainer-args."""
        return " ".join(["--nv", *(f"--bind {bind}" for bind in self.binds)])


def read_site(path: Path = FILE) -> Site:
    """The settings of a file; those of a cluster that needs none where there is no file."""
    if not path.is_file():
        return Site()
    try:
        return Site.model_validate(read_strictly(path) or {})
    except ValidationError as error:
        fault = error.errors()[0]
        key = ".".join(str(part) for part in fault["loc"])
        known = ", ".join(Site.model_fields)
        raise AssayError(f"{path}: {key}: {fault['msg'].lower()}; known are {known}") from None


def slurm_site() -> Site:
    """What the slurm profile starts with: the site, on a machine that can submit jobs; else one line, and the end.

    Here and not in the Snakefile, because the executor is not known there.
    """
    try:
        if not shutil.which("sbatch"):
            raise AssayError(
                "profile slurm: sbatch is not on PATH; run this on a login node of a Slurm cluster, "
                "or leave out --profile slurm"
            )
        return read_site()
    except AssayError as error:
        sys.exit(f"error: {error}")
