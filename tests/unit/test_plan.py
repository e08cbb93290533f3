"""What a plan reckons: the work and the bytes of each job, and times scaled from past benchmarks."""

import json
from pathlib import Path

import pytest

from assay.files import write_json
from assay.planning.costs import RATES, STAGES, TO_IMAGE, TO_WEIGHTS, cost, sizes_of_study
from assay.planning.dry_run import Planned
from assay.planning.jobs import Jobs
from assay.planning.networks import NetworkSizes
from assay.planning.past import START_UP, Past, sizes_of_results, split_place
from assay.planning.plan import estimates, render
from assay.planning.power import comparisons, planned, smallest_differences
from assay.study.parse import parse_study

SIDE, IMAGES, DRAWS, VALIDATION = 32, 100, 2, 50
CONFIG = {
    "study": "new",
    "images": {"source": "phantom", "size": SIDE, "train": 1000, "validation": VALIDATION},
    "classifiers": {"net": {"network": "timm/resnet18", "small_stem": True, "epochs": 2}},
    "diffusions": {"unet": {"channels": [16, 32], "norm_groups": 8, "steps": 10, "batch_size": 4}},
    "purifiers": {
        "noise": {"method": "noise", "sigmas": [0.1]},
        "oneshot": {"method": "oneshot", "diffusion": "unet", "sigmas": [0.1]},
        "ddpm": {"method": "ddpm", "diffusion": "unet", "sigmas": [0.1], "steps": 4},
        "all-steps": {"method": "ddpm", "diffusion": "unet", "sigmas": [0.144]},
    },
    "attacks": {
        "pgd": {"method": "pgd", "eps": ["4/255", 0.01], "steps": 5},
        "adaptive": {"method": "pgd", "threat": "adaptive", "eps": ["4/255"], "steps": 5, "draws": 3},
    },
    "evaluation": {"images": IMAGES, "draws": DRAWS, "batch_size": 10},
}


@pytest.fixture(autouse=True)
def usual_sizes(monkeypatch):
    """Nothing is measured: every network has the usual size."""
    monkeypatch.setattr(NetworkSizes, "measure", lambda self, described: None)


def study(**changes):
    return parse_study(CONFIG | changes, "test")


def sizes_of(made):
    return sizes_of_study(made, NetworkSizes(Path("none.json")))


def cost_of(stage, *, made=None, **wildcards):
    made = made or study()
    job = Jobs(made).job(stage, **wildcards)
    return cost(stage, job.spec, {role: artifact.folder for role, artifact in job.inputs.items()}, sizes_of(made))


def attack_of(path, made=None):
    return cost_of("attack", made=made, role="", attacked_path=path)


def purify_of(purifier, sigma="0.1", made=None, **wildcards):
    return cost_of("purify", made=made, **{"role": "", "attacked": "clean"} | wildcards, purifier=purifier, sigma=sigma)


def call_of(kind="diffusions", name="unet"):
    """The multiply-adds of one call of a network."""
    made = study()
    return sizes_of(made).network(getattr(made, kind)[name]).multiply_adds


def test_purifiers_work_by_images_draws_and_calls_of_the_denoiser():
    noise, oneshot, ddpm = (purify_of(name) for name in ("noise", "oneshot", "ddpm"))
    assert (noise.unit, noise.amount) == ("noisy pixels", IMAGES * DRAWS * SIDE**2)
    assert (oneshot.unit, oneshot.amount) == ("diffusion", IMAGES * DRAWS * call_of())
    assert ddpm.amount == 4 * IMAGES * DRAWS * call_of()
    calls = purify_of("all-steps", "0.144").amount / (IMAGES * DRAWS * call_of())
    assert calls == 86  # sigma 0.144 lies between the linear schedule's time steps 84 and 85


@pytest.mark.parametrize(
    ("keys", "calls"),
    [
        ({"method": "sde", "steps": 6}, 6),
        ({"method": "ode", "steps": 7}, 7),
        ({"method": "bridge"}, 5),
        ({"method": "gradual", "schedule": [[0.5, 3], [1, 1]], "steps": 2}, 8),
        ({"method": "guided", "rounds": 3, "steps": 4}, 12),
        ({"method": "likelihood", "steps": 5}, 10),
    ],
)
def test_every_purifier_of_a_diffusion_is_counted_by_its_calls(keys, calls):
    made = study(purifiers={"new": {"diffusion": "unet", "sigmas": [0.1], **keys}})
    assert purify_of("new", made=made).amount == calls * IMAGES * DRAWS * call_of()


def test_filters_work_by_their_windows():
    made = study(purifiers={"noise": CONFIG["purifiers"]["noise"], "median": {"method": "median", "window": 5}})
    assert purify_of("median", "0", made=made).amount == 12.5 * purify_of("noise", made=made).amount


@pytest.mark.parametrize("kind", ["linear", "cosine"])
@pytest.mark.parametrize("data_range", [(-1.0, 1.0), (0.0, 1.0)])
def test_a_sampler_is_counted_as_many_calls_as_it_takes(kind, data_range):
    from assay.diffusion.schedule import Schedule
    from assay.study.diffusions import Diffusion
    from assay.study.schedules import steps_down

    schedule = Schedule(kind, 1000, data_range)
    diffusion = Diffusion(channels=[32], steps=1, schedule=kind, data_range=data_range)
    for sigma in (0.0, 1e-5, 0.01, 0.144, 0.5, *schedule.sigmas[[0, 1, 50, 300, 700]].tolist()):
        assert steps_down(diffusion, sigma) == len(schedule.ladder(sigma, None)) - 1


def test_attacks_work_by_steps_draws_and_the_gradient():
    bare_call, call = call_of("classifiers", "net"), call_of()
    bare, blind, oneshot, ddpm = (
        attack_of(path)
        for path in (
            *("net/pgd/eps-4_255/undefended", "net/adaptive/eps-4_255/noise-0.1"),
            *("net/adaptive/eps-4_255/oneshot-0.1", "net/adaptive/eps-4_255/ddpm-0.1"),
        )
    )
    once = (TO_IMAGE * 5 + 2) * IMAGES * bare_call  # 2: the last point, and what is stored, judged
    assert (bare.unit, bare.amount) == ("classifier", once)
    followed, judged = 5 * 3, (5 + 1) * 4  # steps and draws; points and draws
    passes = TO_IMAGE * followed + judged
    assert (blind.unit, blind.amount) == ("classifier", passes * IMAGES * bare_call)
    assert oneshot.unit == "diffusion"
    assert oneshot.amount == pytest.approx(passes * IMAGES * (call + bare_call))
    through = 4 * ((TO_IMAGE + 1) * followed + judged) * call  # four steps, each computed once more for its gradient
    assert ddpm.amount == pytest.approx(IMAGES * (through + passes * bare_call))
    bpda = study(attacks={"bpda": CONFIG["attacks"]["adaptive"] | {"threat": "bpda"}})
    forward = 4 * (followed + judged) * call
    found = attack_of("net/bpda/eps-4_255/ddpm-0.1", bpda)
    assert found.amount == pytest.approx(IMAGES * (forward + passes * bare_call))


def test_a_surrogate_is_followed_through_its_own_steps():
    keys = CONFIG["attacks"]["adaptive"] | {"threat": {"method": "surrogate", "steps": 2}}
    made = study(attacks={"surrogate": keys}, cross=[{"purifiers": ["ddpm"]}])
    through = ((TO_IMAGE + 1) * 2 * 15 + 4 * 24) * call_of()
    bare = (TO_IMAGE * 15 + 24) * call_of("classifiers", "net")
    found = attack_of("net/surrogate/eps-4_255/ddpm-0.1", made)
    assert found.amount == pytest.approx(IMAGES * (through + bare))


def test_probes_work_as_a_few_attacks_on_a_few_images():
    made = study(checks={"images": 20, "gradients": True, "convergence": True, "active": True})
    path = "net/adaptive/eps-4_255/ddpm-0.1"
    attack, probe = attack_of(path, made), cost_of("probe", made=made, attacked_path=path)
    assert probe.unit == attack.unit
    assert probe.amount == pytest.approx(9 * 20 / IMAGES * attack.amount)


def test_trainings_work_by_images_shown_and_validated():
    classifier, diffusion = cost_of("train_classifier", classifier="net"), cost_of("train_diffusion", diffusion="unet")
    assert classifier.amount == 2 * (TO_WEIGHTS * 15 * 64 + VALIDATION) * call_of("classifiers", "net")  # whole batches
    assert diffusion.amount == (10 * TO_WEIGHTS * 4 + VALIDATION) * call_of()


def test_adversarial_training_counts_the_steps_of_its_attack():
    keys = {"eps": "2/255", "steps": 7, "clean_share": 0.25, "validation_steps": 5, "validation_images": 64}
    objective = {"method": "adversarial"} | keys
    made = study(classifiers={"net": CONFIG["classifiers"]["net"] | {"objective": objective}})
    found = cost_of("train_classifier", made=made, classifier="net").amount / call_of("classifiers", "net")
    seen = 15 * 64
    assert found == pytest.approx(2 * (TO_WEIGHTS * seen + TO_IMAGE * (0.75 * 7 * seen + 5 * 64) + VALIDATION))


def test_imports_work_by_the_images_that_judge_them():
    made = study(
        classifiers={"net": {"published": "x.pth", "layout": "tiatoolbox", "network": "torchvision/resnet18"}},
        diffusions={"unet": {"published": "hf-hub:a/b", "data_range": [0, 1]}},
    )
    found = cost_of("import_classifier", made=made, classifier="net")
    assert found.amount == VALIDATION * sizes_of(made).network(made.classifiers["net"]).multiply_adds
    assert cost_of("import_diffusion", made=made, diffusion="unet").written == pytest.approx(455e6, rel=0.01)


def test_stacks_take_the_bytes_that_they_have(tmp_path):
    import numpy as np
    import pandas as pd

    from assay.artifacts import Wanted
    from assay.stacks import write_images, write_table

    reckoned = {
        8: attack_of("net/pgd/eps-4_255/undefended"),
        16: attack_of("net/pgd/eps-0.01/undefended"),
    }
    for bits, found in reckoned.items():
        with Wanted(tmp_path / str(bits), "stack", {}, "code", {}).write({}) as draft:
            write_images(draft, [np.zeros((IMAGES, SIDE, SIDE, 3), np.uint8 if bits == 8 else np.uint16)], IMAGES)
            write_table(draft, pd.DataFrame({"id": range(IMAGES), "label": 0}))
        written = sum(path.stat().st_size for path in (tmp_path / str(bits)).iterdir())
        assert found.written == pytest.approx(written, rel=0.05)


def test_the_disk_that_pcam_takes_is_told():
    pcam = study(images={"source": "pcam", "validation": 100})
    files = [Path(file).name for file in pcam.images.files if file.endswith(".gz")]
    assert sum(cost_of("fetch_images", made=pcam, file=file).written for file in files) == 8_028_222_167
    index, train = cost_of("index_images", made=pcam), cost_of("prepare_images", made=pcam, split="train")
    assert index.unit == train.unit == "pixels read"
    assert (index.amount, train.amount) == (327_680 * 96**2, 262_144 * 96**2)
    assert train.written == pytest.approx(262_144 * 96**2 * 3, rel=0.01)


def test_past_studies_on_files_tell_how_many_images_they_had(tmp_path):
    jobs = Jobs(study(images={"source": "pcam", "validation": 100}))
    for split, count in (("train", 77), ("test", 100)):
        spec = json.loads(jobs.job("prepare_images", split=split).text)
        write_json(tmp_path / "images" / split / "manifest.json", {"spec": spec, "facts": {"images": count}})
    facts = {"files": {"train": {"images": 70}, "test": {"images": 30}}}
    index = {"spec": json.loads(jobs.job("index_images").text), "facts": facts}
    write_json(tmp_path / "images/index/manifest.json", index)
    found = sizes_of_results(tmp_path, NetworkSizes(tmp_path / "sizes.json"))
    assert (found.counts, found.total) == ({"train": 77, "test": 100}, 100)


def test_weights_take_four_bytes_a_parameter():
    made = study()
    for kind, network in (("classifier", made.classifiers["net"]), ("diffusion", made.diffusions["unet"])):
        parameters = sizes_of(made).network(network).parameters
        trained = cost_of(f"train_{kind}", **{kind: "net" if kind == "classifier" else "unet"})
        assert trained.written == pytest.approx(4 * parameters, rel=0.01)


def test_scores_take_a_row_an_image_and_a_draw():
    place = {"role": "", "classifier": "net", "attacked": "clean"}
    undefended = cost_of("classify", **place, purifier="none", sigma="0")
    defended = cost_of("classify", **place, purifier="noise", sigma="0.1")
    assert defended.amount == DRAWS * undefended.amount
    assert undefended.written < defended.written


def test_images_that_sigma_is_chosen_on_count_as_their_own():
    chosen = {"images": 30, "purifier": "ddpm", "classifier": "net", "attack": "adaptive", "eps": "4/255", "draws": 1}
    made = study(selection=chosen | {"sigmas": [0.05, 0.1]})
    found = purify_of("ddpm", made=made, role="selection/")
    assert found.amount == 4 * 30 * call_of()


def test_every_stage_that_makes_an_artifact_has_a_cost():
    stages = {path.stem for path in (Path(__file__).parents[2] / "workflow/stages").glob("*.py")}
    whole = {"check", "check_images", "choose_sigma", "report", "summarise", "measure_networks", "try_networks"}
    assert set(STAGES) == stages - whole


def test_a_benchmark_tells_its_stage_artifact_and_part():
    place = Path("results/tiny/benchmarks/purify/clean/ddpm/sigma-0.1.part-2-of-3.tsv")
    assert split_place(place) == ("purify", "clean/ddpm/sigma-0.1", 3)
    place = Path("results/benchmarks/benchmarks/classify/net/clean/none/sigma-0.tsv")
    assert split_place(place) == ("classify", "net/clean/none/sigma-0", 1)


# Times


def write_past(results, seconds, cpu="", device="cpu", **changes):
    """A finished purify job of a study with these changes to its config."""
    jobs = Jobs(study(**changes))
    purified = jobs.job("purify", role="", attacked="clean", purifier="ddpm", sigma="0.1")
    write(results / "images/test", jobs.job("prepare_images", split="test"), "cpu")
    write(results / "diffusions/unet", jobs.job("train_diffusion", diffusion="unet"), device)
    write(results / "purified/clean/ddpm/sigma-0.1", purified, device)
    benchmark = results / "benchmarks/purify/clean/ddpm/sigma-0.1.tsv"
    benchmark.parent.mkdir(parents=True)
    benchmark.write_text(f"s\tcpu_time\n{seconds}\t{cpu or seconds}\n")


def write(folder, job, device):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").write_text(json.dumps({"spec": json.loads(job.text), "device": device, "files": {}}))


def purify_job(results, name="ddpm", part=""):
    wildcards = {"role": "", "attacked": "clean", "purifier": name, "sigma": "0.1"} | ({"part": part} if part else {})
    place = f"sigma-0.1.part-{part}.tsv" if part else "sigma-0.1.tsv"
    rule = "purify_part" if part else "purify"
    return Planned(rule, "missing output", 1, results / f"benchmarks/purify/clean/{name}/{place}", wildcards)


def evaluation(**changes):
    return {"evaluation": CONFIG["evaluation"] | changes}


def estimate(job, **changes):
    (found,), _ = estimates([job], study(**changes))
    return found


def test_times_are_scaled_by_the_work_once_start_up_is_taken_off(tmp_path):
    write_past(tmp_path / "old", START_UP + 10, START_UP + 20)
    found = estimate(purify_job(tmp_path / "new"), **evaluation(images=3 * IMAGES, draws=2 * DRAWS))
    assert found.times.clock == pytest.approx(START_UP + 60)
    assert found.times.cpu == pytest.approx(START_UP + 120)


def test_the_same_work_takes_what_the_same_job_took(tmp_path):
    write_past(tmp_path / "new", 50)
    assert estimate(purify_job(tmp_path / "new")).times.clock == 50


def test_other_work_of_the_same_job_is_scaled(tmp_path):
    write_past(tmp_path / "new", START_UP + 10)
    found = estimate(purify_job(tmp_path / "new"), **evaluation(images=2 * IMAGES))
    assert found.times.clock == pytest.approx(START_UP + 20)


def test_stages_that_call_the_same_kind_of_network_tell_of_each_other(tmp_path):
    write_past(tmp_path / "old", START_UP + 10)
    path = "net/adaptive/eps-4_255/ddpm-0.1"
    benchmark = tmp_path / f"new/benchmarks/attack/{path}.tsv"
    found = estimate(Planned("attack", "missing output", 1, benchmark, {"role": "", "attacked_path": path}))
    share = attack_of(path).amount / purify_of("ddpm").amount
    assert found.times.clock == pytest.approx(START_UP + 10 * share)


def test_a_part_takes_its_share_and_leaves_the_bytes_to_the_whole(tmp_path):
    write_past(tmp_path / "old", START_UP + 10)
    jobs = [purify_job(tmp_path / "new", part="2-of-5"), purify_job(tmp_path / "new")]
    (first, last), _ = estimates(jobs, study(**evaluation(images_per_job=20)))
    assert (first.times.clock, first.bytes) == (pytest.approx(START_UP + 2), 0)
    assert last.times.clock == START_UP
    assert last.bytes > IMAGES * DRAWS * SIDE**2 * 6


def test_a_device_is_named_and_counts_by_the_clock(tmp_path):
    write_past(tmp_path / "old", START_UP + 3600, 5, device="NVIDIA A100")
    page = render([purify_job(tmp_path / "new")], 1, study())
    assert "1 GPU-h (NVIDIA A100)" in page
    assert "core-h" not in page


def test_what_never_ran_is_reckoned_and_says_so(tmp_path):
    write_past(tmp_path / "old", START_UP + 3600)
    jobs = [purify_job(tmp_path / "new"), purify_job(tmp_path / "new", "noise")]
    _, line, closing, compute, about, *_, disk = render([jobs[1]], 1, study()).splitlines()
    assert line.split()[:3] == ["purify", "1", "~3.0"]  # a start and 200,000 noisy pixels
    assert "1.3 MB" in line
    assert closing == "1 job; no past run to tell the time from"
    assert compute == "compute, rough: under 0.001 core-h"
    assert about.startswith("~ no comparable past run: ")
    assert disk == "disk, when all is done: 1.3 MB"
    both = render(jobs, 1, study())
    assert "compute, rough: 1 core-h; scaled" in both
    assert "without 1 job that never ran" in both
    assert "disk, when all is done: 2.5 MB" in both
    assert "~ no" not in render(jobs[:1], 1, study())


def test_networks_without_a_past_are_reckoned_on_a_modest_gpu(tmp_path):
    found = estimate(purify_job(tmp_path / "new"))
    cost = purify_of("ddpm")
    assert found.reckoned
    assert found.times.clock == pytest.approx(START_UP + cost.amount / RATES["diffusion"], abs=0.1)
    assert "GPU-h (modest)" in render([purify_job(tmp_path / "new")], 1, study())


def test_networks_that_were_not_measured_are_named(tmp_path):
    page = render([purify_job(tmp_path / "new")], 1, study())
    assert "unet: not measured, assumed to be of the usual size (not measured)" in page


def test_unreadable_pasts_count_as_none(tmp_path):
    write_past(tmp_path / "old", START_UP + 10)
    measured = NetworkSizes(tmp_path / "sizes.json")
    assert len(Past(tmp_path, measured).samples) == 1
    (tmp_path / "old/purified/clean/ddpm/sigma-0.1/manifest.json").write_text("{")
    assert Past(tmp_path, measured).samples == {}
    (tmp_path / "old/images/test/manifest.json").unlink()
    assert sizes_of_results(tmp_path / "old", measured) is None


def test_a_manifest_of_other_code_is_no_past(tmp_path):
    write_past(tmp_path / "old", START_UP + 10)
    manifest = tmp_path / "old/purified/clean/ddpm/sigma-0.1/manifest.json"
    manifest.write_text(json.dumps({"spec": {"purifier": "old"}}))
    assert Past(tmp_path, NetworkSizes(tmp_path / "sizes.json")).samples == {}


def test_the_plan_tells_the_smallest_difference_that_the_study_will_find():
    # clean images and two eps of pgd: four purifiers and no defence each; the adaptive attack is made on the four alone
    assert comparisons(study()) == 3 * 10 + 6
    head, shares, points, by_chance, _ = smallest_differences(study()).splitlines()
    assert head.startswith("power: 36 pairs of defences, counted together by Holm's method, on 100 images")
    assert shares.split()[-3:] == ["5%", "10%", "20%"]
    assert points.split()[-3:] == [f"{100 * planned(IMAGES, share, 0.05 / 36):.1f}" for share in (0.05, 0.1, 0.2)]
    assert by_chance.split()[-1] == f"{100 * planned(IMAGES * DRAWS, 0.2, 0.05 / 36):.1f}"
    once = study(evaluation=CONFIG["evaluation"] | {"draws": 1})
    assert "chance between" not in smallest_differences(once)


def test_a_study_that_compares_nothing_has_no_power_to_tell_of():
    assert smallest_differences(study(cross=[{"purifiers": [], "attacks": ["pgd"]}])) == ""
