"""What jobs ask a cluster for, and a site's settings."""

from pathlib import Path

import pytest

from assay.files import AssayError
from assay.planning.resources import GPU_STAGES, MIN_MINUTES, JobNeeds
from assay.planning.site import read_site, slurm_site
from assay.study.parse import read_study

DEMO = Path(__file__).parents[2] / "config" / "config.yaml"


@pytest.fixture
def study():
    """The demo at sizes that matter here, whatever its own are."""
    return changed(changed(read_study(DEMO), "evaluation.images", 192), "purifiers.ddpm.steps", 10)


def changed(study, path, value):
    """The study with one number changed."""
    data = study.model_dump()
    *above, last = path.split(".")
    place = data
    for key in above:
        place = place[key]
    place[last] = value
    return type(study).model_validate(data)


JOBS = {
    "index": (),
    "images": ("train",),
    "check": (),
    "classifier": ("resnet",),
    "diffusion": ("unet",),
    "attack": ("resnet/pgd-adaptive/eps-8_255/oneshot-0.1",),
    "purify": ("ddpm",),
    "classify": ("resnet",),
    "whole": (),
}


@pytest.mark.parametrize(("job", "names"), JOBS.items())
def test_each_attempt_asks_for_twice_as_much(job, names, study):
    needs = [getattr(JobNeeds(study), job)(*names, attempt=attempt) for attempt in (1, 2, 3)]
    assert [need.mem_mb for need in needs] == [needs[0].mem_mb * factor for factor in (1, 2, 4)]
    assert [need.runtime for need in needs] == [needs[0].runtime * factor for factor in (1, 2, 4)]
    assert len({need.gpu for need in needs}) == 1


def test_gpus_are_for_what_runs_networks(study):
    needs = {job: getattr(JobNeeds(study), job)(*names).gpu for job, names in JOBS.items()}
    assert needs == {"index": 0, "check": 0} | {
        "images": 0,
        "classifier": 1,
        "diffusion": 1,
        "attack": 1,
        "purify": 1,
        "classify": 1,
        "whole": 0,
    }


@pytest.mark.parametrize(
    ("job", "path", "factor"),
    [
        ("diffusion", "diffusions.unet.steps", 1000),
        ("classifier", "classifiers.resnet.epochs", 1000),
        ("purify", "purifiers.ddpm.steps", 1000),
        ("attack", "attacks.pgd-adaptive.steps", 1000),
        ("classify", "evaluation.images", 100),
    ],
)
def test_more_work_asks_for_more_time(job, path, factor, study):
    value = study.model_dump()
    for key in path.split("."):
        value = value[key]
    before = getattr(JobNeeds(study), job)(*JOBS[job])
    after = getattr(JobNeeds(changed(study, path, value * factor)), job)(*JOBS[job])
    assert after.runtime > before.runtime


def test_a_part_of_a_stack_asks_for_its_share_of_the_time(study):
    long = changed(changed(study, "purifiers.ddpm.steps", 100_000), "attacks.pgd-adaptive.steps", 100_000)
    cut = changed(long, "evaluation.images_per_job", 64)
    assert len(cut.evaluation.parts(cut.evaluation.images)) == 3
    for job in ("purify", "attack"):
        whole, part = (getattr(JobNeeds(each), job)(*JOBS[job]).runtime - MIN_MINUTES for each in (long, cut))
        assert part == pytest.approx(whole / 3, abs=1)  # minutes are rounded up
    assert JobNeeds(cut).classify("resnet") == JobNeeds(long).classify("resnet")


def test_an_attack_that_only_goes_forward_through_the_purifier_asks_for_less_time(study):
    exact = changed(study, "attacks.pgd-adaptive.steps", 100_000)
    straight = changed(exact, "attacks.pgd-adaptive.threat", "bpda")
    assert JobNeeds(straight).attack(*JOBS["attack"]).runtime < JobNeeds(exact).attack(*JOBS["attack"]).runtime


def test_a_bigger_stack_asks_for_more_memory(study):
    more = changed(study, "evaluation.images", 25600)
    assert JobNeeds(more).purify("ddpm").mem_mb > JobNeeds(study).purify("ddpm").mem_mb + 500


def test_all_of_pcam_asks_for_what_a_node_has(study):
    data = study.model_dump()
    data["images"] = {"source": "pcam", "validation": 4096}
    needs = JobNeeds(type(study).model_validate(data))
    stack = 262_144 * 96 * 96 * 3 / 1e6  # MB
    assert stack < needs.classifier("resnet").mem_mb < 4 * stack
    assert needs.images("train").mem_mb == needs.images("test").mem_mb < 2000
    assert needs.index().runtime > needs.images("train").runtime > needs.images("test").runtime


def test_a_cluster_that_needs_no_settings_has_none(tmp_path):
    site = read_site(tmp_path / "site.yaml")
    assert site.default_resources == {"mem_mb": 2000, "disk_mb": 1000, "runtime": 30}
    assert site.set_resources == {}
    assert site.apptainer_args == "--nv"


def test_a_site_s_settings_reach_sbatch_s_words(tmp_path):
    file = tmp_path / "site.yaml"
    file.write_text(
        "partition: all\ngpu_partition: gpu\naccount: me\ngres: gpu:a100:1\nbinds: [/scratch, /data]\nminutes: 90\n"
    )
    site = read_site(file)
    assert site.default_resources["slurm_partition"] == "'all'"
    assert site.default_resources["slurm_account"] == "'me'"
    assert set(site.set_resources) == set(GPU_STAGES)
    assert site.set_resources["purify"] == {
        "slurm_partition": "'gpu'",
        "gpu": 0,
        "gres": "gpu:a100:1",
        "runtime": "90 * 2 ** (attempt - 1)",
    }
    assert site.apptainer_args == "--nv --bind /scratch --bind /data"


def test_the_example_of_a_site_is_valid_with_every_line_uncommented(tmp_path):
    example = (DEMO.parent / "profiles/slurm/site.example.yaml").read_text()
    file = tmp_path / "site.yaml"
    file.write_text(
        "\n".join(line.removeprefix("# ") for line in example.splitlines() if ":" in line and line[2:3].islower())
    )
    assert read_site(file).jobs == 50
    assert len(file.read_text().splitlines()) == 10


def test_an_unknown_setting_is_one_line_that_names_the_known_ones(tmp_path):
    file = tmp_path / "site.yaml"
    file.write_text("queue: gpu\n")
    with pytest.raises(AssayError, match=r"site.yaml: queue: .*known are partition, ") as error:
        read_site(file)
    assert "\n" not in str(error.value)


def test_the_slurm_profile_ends_at_once_where_there_is_no_sbatch(monkeypatch):
    monkeypatch.setattr("assay.planning.site.shutil.which", lambda program: None)
    with pytest.raises(SystemExit, match=r"^error: profile slurm: sbatch is not on PATH; .*--profile slurm$"):
        slurm_site()
