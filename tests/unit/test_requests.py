"""What jobs ask a cluster for, and a site's settings."""

from pathlib import Path

import pytest
import yaml

from assay.files import AssayError
from assay.planning import networks
from assay.planning.jobs import Jobs
from assay.planning.networks import NetworkSizes
from assay.planning.requests import GPU_MB, MIN_MINUTES, ON_THIS_MACHINE, TORCH_MB, Requests
from assay.planning.site import GPU_STAGES, Site, read_site, slurm_site
from assay.study.parse import parse_study

DEMO = Path(__file__).parents[2] / "config" / "config.yaml"


@pytest.fixture(autouse=True)
def usual_sizes(monkeypatch):
    """Nothing is measured: every network has the usual size."""
    monkeypatch.setattr(NetworkSizes, "measure", lambda self, described: None)


@pytest.fixture
def study():
    """The demo at sizes that matter here, whatever its own are."""
    demo = parse_study(yaml.safe_load(DEMO.read_text()), "demo")
    certified = changed(demo, "certificates", {"draws": 1000})
    return changed(changed(certified, "evaluation.images", 192), "purifiers.ddpm.steps", 10)


def changed(study, path, value):
    """The study with one number changed."""
    data = study.model_dump()
    *above, last = path.split(".")
    place = data
    for key in above:
        place = place[key]
    place[last] = value
    return type(study).model_validate(data)


def requests(study, gpus=True):
    return Requests(Jobs(study), lambda: True, lambda: Site(gpus=gpus))


PURIFIED = {"role": "", "attacked": "clean", "purifier": "ddpm", "sigma": "0.1"}
JOBS = {
    "prepare_images": {"split": "train"},
    "check_images": {},
    "train_classifier": {"classifier": "resnet"},
    "train_diffusion": {"diffusion": "unet"},
    "attack": {"role": "", "attacked_path": "resnet/pgd-adaptive/eps-8_255/oneshot-0.1"},
    "purify": PURIFIED,
    "classify": PURIFIED | {"classifier": "resnet"},
    "certify": {"classifier": "resnet", "purifier": "oneshot", "sigma": "0.1"},
    "attack_certificates": {"classifier": "resnet", "purifier": "oneshot", "sigma": "0.1"},
    "summarise": {},
    "report": {},
}


def ask(study, stage, attempt=1, gpus=True, **wildcards):
    return requests(study, gpus).of(stage, attempt, **JOBS[stage] | wildcards)


@pytest.mark.parametrize("stage", JOBS)
def test_each_attempt_asks_for_twice_as_much(stage, study):
    first, second, third = (ask(study, stage, attempt) for attempt in (1, 2, 3))
    assert [need.mem_mb for need in (second, third)] == [first.mem_mb * factor for factor in (2, 4)]
    assert [need.runtime for need in (second, third)] == [first.runtime * factor for factor in (2, 4)]


@pytest.mark.parametrize(
    ("stage", "path", "factor"),
    [
        ("train_diffusion", "diffusions.unet.steps", 1000),
        ("train_classifier", "classifiers.resnet.epochs", 1000),
        ("purify", "purifiers.ddpm.steps", 1000),
        ("attack", "attacks.pgd-adaptive.steps", 1000),
        ("classify", "evaluation.images", 100_000),
        ("certify", "certificates.draws", 1000),
        ("attack_certificates", "certificates.attacked_images", 10_000),
    ],
)
def test_more_work_asks_for_more_time(stage, path, factor, study):
    value = study.model_dump()
    for key in path.split("."):
        value = value[key]
    assert ask(changed(study, path, value * factor), stage).runtime > ask(study, stage).runtime


def test_a_part_of_a_stack_asks_for_its_share_of_the_time(study):
    long = changed(changed(study, "purifiers.ddpm.steps", 100_000), "attacks.pgd-adaptive.steps", 100_000)
    long = changed(long, "certificates.draws", 1_000_000)
    cut = changed(long, "evaluation.images_per_job", 64)
    assert len(cut.evaluation.parts(cut.evaluation.images)) == 3
    for stage in ("purify", "attack", "certify"):
        whole, part = (ask(each, stage).runtime - MIN_MINUTES for each in (long, cut))
        assert part == pytest.approx(whole / 3, abs=1)  # minutes are rounded up
        assert ask(cut, stage, part="2-of-3") == ask(cut, stage)
    assert ask(cut, "classify") == ask(long, "classify")


def test_an_attack_that_only_goes_forward_through_the_purifier_asks_for_less_time(study):
    exact = changed(study, "attacks.pgd-adaptive.steps", 100_000)
    assert ask(changed(exact, "attacks.pgd-adaptive.threat", "bpda"), "attack").runtime < ask(exact, "attack").runtime


def test_a_bigger_stack_asks_for_more_memory(study):
    images = 256_000
    more = changed(study, "evaluation.images", images)
    stack = images * study.images.size**2 * 3 / 1e6  # MB
    assert ask(more, "purify").mem_mb > ask(study, "purify").mem_mb + stack


def test_a_batch_is_held_in_memory_where_there_is_no_gpu(study):
    stage, key = "train_diffusion", "diffusions.unet.batch_size"
    small, large = (changed(study, key, size) for size in (16, 64))
    assert ask(small, stage).mem_mb == ask(large, stage).mem_mb
    kept = networks.USUAL["diffusion"].gradient_bytes * (study.images.size / 96) ** 2 / 1e6
    assert ask(large, stage, gpus=False).mem_mb > ask(small, stage, gpus=False).mem_mb + 48 * kept


def test_requests_are_above_what_was_measured(monkeypatch):
    """benchmarks/RESULTS.md: a study of 64 pixels, batches of 64, on the CPU; the largest memory of each stage."""
    peaks = {"train_diffusion": 2136, "train_classifier": 812, "attack": 1301, "purify": 915, "classify": 422}
    peaks |= {"prepare_images": 97, "check_images": 87, "summarise": 105, "report": 136}
    config = {
        "study": "m64",
        "images": {"source": "phantom", "size": 64, "train": 2048, "validation": 256},
        "classifiers": {"resnet": {"network": "timm/resnet18", "epochs": 1}},
        "diffusions": {"unet": {"channels": [32, 64, 64], "norm_groups": 8, "steps": 4}},
        "purifiers": {"ddpm": {"method": "ddpm", "diffusion": "unet", "sigmas": [0.1], "steps": 1}},
        "attacks": {"pgd-adaptive": {"method": "pgd", "threat": "adaptive", "eps": ["8/255"], "steps": 1}},
        "evaluation": {"images": 64, "draws": 1},
    }
    sizes = {
        "classifier": networks.Size(11_177_538, 148e6, 1_849_000),
        "diffusion": networks.Size(10**6, 1e9, 25_741_000),
    }
    monkeypatch.setattr(networks, "USUAL", sizes)
    monkeypatch.setattr(networks, "USUAL_SIDE", 64)
    study = parse_study(config, "x")
    for stage, peak in peaks.items():
        wildcards = JOBS[stage] | (
            {"attacked_path": "resnet/pgd-adaptive/eps-8_255/ddpm-0.1"} if stage == "attack" else {}
        )
        asked = requests(study, gpus=False).of(stage, 1, **wildcards).mem_mb
        assert peak < asked < 5 * peak, stage


def test_all_of_pcam_asks_for_what_a_node_has(study):
    data = study.model_dump()
    data["images"] = {"source": "pcam", "validation": 4096}
    made = type(study).model_validate(data)
    stack = 262_144 * 96 * 96 * 3 / 1e6  # MB
    assert stack < ask(made, "train_classifier").mem_mb < 4 * stack
    train, test = (ask(made, "prepare_images", split=split) for split in ("train", "test"))
    assert train.mem_mb == test.mem_mb < 2000
    assert requests(made).of("index_images", 1).runtime > train.runtime > test.runtime


def test_where_nobody_is_asked_nothing_is_reckoned_or_measured(study, monkeypatch):
    monkeypatch.setattr(NetworkSizes, "measure", lambda *_: pytest.fail("measured"))
    found = Requests(Jobs(study), lambda: False, lambda: pytest.fail("the site was read"))
    assert {found.of(stage, 1, **wildcards) for stage, wildcards in JOBS.items()} == {ON_THIS_MACHINE}


def test_networks_are_measured_once_for_all_requests(study, monkeypatch):
    asked = []
    monkeypatch.setattr(NetworkSizes, "measure", lambda self, described: asked.append(len(list(described))))
    found = requests(study)
    for stage, wildcards in JOBS.items():
        found.of(stage, 1, **wildcards)
    assert asked == [2]


def test_a_gpu_s_driver_is_asked_for_too(study):
    assert ask(study, "classify").mem_mb >= GPU_MB > ask(study, "classify", gpus=False).mem_mb >= TORCH_MB


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
