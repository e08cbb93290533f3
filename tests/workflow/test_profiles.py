"""The slurm and container profiles where something is missing, and a study that changes between them and plain runs.

With stand-ins for programs that are only looked for; tests/cluster runs the real ones.
"""

import shutil

import pytest

from assay.planning import containers

IN_CONTAINERS = ("--profile", "profiles/containers")
NEEDED = ("bash", "sh", "env", "uname", "which", "git")


@pytest.fixture
def bare(tmp_path):
    """A PATH without Slurm and Apptainer."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in NEEDED:
        if found := shutil.which(name):
            (folder / name).symlink_to(found)
    return folder


@pytest.fixture
def with_apptainer(bare):
    """The same PATH with a stand-in for Apptainer."""
    program = bare / "apptainer"
    program.write_text("#!/bin/sh\necho apptainer version 1.4.5\n")
    program.chmod(0o755)
    return bare


@pytest.mark.parametrize("options", [IN_CONTAINERS, ("--software-deployment-method", "apptainer")])
def test_containers_without_apptainer_fail_at_once_in_one_line(fresh, bare, options):
    status, output = fresh.snakemake("--cores", "1", *options, PATH=str(bare))
    assert status != 0
    assert "neither apptainer nor singularity is on PATH; install Apptainer" in output
    assert "Traceback" not in output
    assert not fresh.results.exists()


def test_the_slurm_profile_without_slurm_fails_at_once_in_one_line(fresh, bare):
    status, output = fresh.snakemake("--cores", "8", "--profile", "slurm", PATH=str(bare))
    assert status != 0
    assert output.splitlines()[-1].startswith("error: profile slurm: sbatch is not on PATH; run this on a login node")
    assert len(output.splitlines()) <= 2


def test_a_missing_image_is_named_before_any_job(fresh, with_apptainer):
    for kind in ("data", "report"):
        _make_image(fresh, kind)
    status, output = fresh.snakemake("--cores", "1", *IN_CONTAINERS, PATH=str(with_apptainer))
    assert status != 0
    assert f"no {containers.image('torch').name}; run: containers/build torch" in output
    assert not fresh.results.exists()


def test_a_finished_study_has_nothing_to_do_in_containers(study, with_apptainer):
    """Images hold the environment's versions, and no image is part of a key."""
    for kind in containers.RECIPES:
        _make_image(study, kind)
    status, output = study.snakemake("--dry-run", "--cores", "1", *IN_CONTAINERS, PATH=str(with_apptainer))
    assert status == 0, output
    assert "Nothing to be done" in output


def _make_image(checkout, kind):
    image = checkout.root / "containers" / "images" / containers.image(kind).name
    image.parent.mkdir(exist_ok=True)
    image.touch()
