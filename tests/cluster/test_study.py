"""A study by the exact command `snakemake --cores 8 --profile slurm`: as without a cluster, but for where it ran."""

import re

from conftest import EXACT_COMMAND

PLACE = re.compile(
    r"^on (\S+), Slurm job (\d+), image (\w+)-[0-9a-f]{12}\.sif, CUDA_VISIBLE_DEVICES=(\S+)$", re.MULTILINE
)
KINDS = {
    "prepare_images": "data",
    "check_images": "data",
    "train_classifier": "torch",
    "train_diffusion": "torch",
    "attack": "torch",
    "purify": "torch",
    "classify": "torch",
    "summarise": "report",
    "check": "report",
    "report": "report",
}
JOBS = 16


def places(checkout):
    """Where each job says that it ran, by the name of its log: node, job, image, GPUs."""
    folder = checkout.results / "logs"
    return {
        path.relative_to(folder).with_suffix("").as_posix(): PLACE.findall(path.read_text())
        for path in folder.rglob("*.log")
    }


def test_every_job_ran_through_sbatch_in_the_image_of_its_kind(finished):
    found = places(finished)
    assert len(found) == JOBS
    assert all(len(lines) == 1 for lines in found.values()), found
    assert {name: lines[0][2] for name, lines in found.items()} == {name: KINDS[name.split("/")[0]] for name in found}
    assert len({lines[0][1] for lines in found.values()}) == JOBS, "each in a Slurm job of its own"


def test_jobs_that_need_a_gpu_saw_one_and_others_none(finished):
    for name, [(_, _, kind, gpus)] in places(finished).items():
        assert re.fullmatch(r"[\w-]+", gpus), name
        assert (gpus != "unset" and gpus != "NoDevFiles") == (kind == "torch"), (name, gpus)


def test_artifacts_are_byte_for_byte_those_of_a_run_without_cluster_and_containers(finished, local):
    here, there = local.contents(), finished.contents()
    assert len(here) > 30
    assert sorted(name for name in here.keys() | there.keys() if here.get(name) != there.get(name)) == []


def test_a_second_run_has_nothing_to_do(finished):
    assert "Nothing to be done" in finished.complete(*EXACT_COMMAND)


def test_nothing_is_rebuilt_when_containers_are_left_or_entered(finished, local):
    assert "Nothing to be done" in finished.complete("--cores", "2", "--dry-run")
    assert "Nothing to be done" in local.complete("--cores", "2", "--profile", "profiles/containers", "--dry-run")


def test_a_run_in_containers_on_one_machine_goes_on_where_another_stopped(local, work):
    study = local.copy(work / "containers")
    study.edit("config/cluster.yaml", "sigmas: [0.1]", "sigmas: [0.2]")
    study.complete(
        "--cores",
        "2",
        "--profile",
        "profiles/containers",
        "results/cluster/purified/clean/oneshot/sigma-0.2/manifest.json",
    )
    log = study.stage_log("purify/clean/oneshot/sigma-0.2")
    assert re.search(r"^on \S+, image torch-[0-9a-f]{12}\.sif, CUDA_VISIBLE_DEVICES=\S+$", log, re.MULTILINE), log
    assert not re.search("Slurm job", log)
