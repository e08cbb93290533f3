"""What a plan reckons: the work and the bytes of each job, and times scaled from past benchmarks."""

import json
from pathlib import Path

import pytest
import torch
from assay.planning.specs import Specs

from assay.files import write_json
from assay.networks.unet import build_network
from assay.planning.past import START_UP, Past
from assay.planning.plan import Job, estimates, render
from assay.planning.unet_size import unet_size
from assay.planning.work import classifier_size, sizes_of_results, sizes_of_study, split_place, work
from assay.study.diffusions import Diffusion
from assay.study.parse import parse_study

SIDE, IMAGES, DRAWS = 32, 100, 2
STACK = "adversarial/net/pgd/eps-4_255/undefended"
CONFIG = {
    "study": "new",
    "images": {"source": "phantom", "size": SIDE, "train": 1000, "validation": 50},
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


def study(**changes):
    return parse_study(CONFIG | changes, "test")


def work_of(stage, name, spec, **changes):
    return work(stage, name, json.loads(spec), sizes_of_study(study(**changes)))


@pytest.mark.parametrize(
    "keys",
    [
        {"channels": [16, 32, 64], "norm_groups": 8, "layers_per_block": 1, "middle_attention": False},
        {"channels": [16, 32, 64], "norm_groups": 8, "attention_levels": [1], "layers_per_block": 2},
        {"channels": [64, 128, 128, 256], "attention_levels": [0, 3]},
        {"channels": [8], "norm_groups": 8},
    ],
)
def test_the_size_of_a_unet_is_that_of_diffusers(keys):
    diffusion = Diffusion(steps=1, **keys)
    with torch.device("meta"):
        network = build_network(diffusion, SIDE)
    assert unet_size(diffusion, SIDE).parameters == sum(parameter.numel() for parameter in network.parameters())


def test_the_multiply_adds_of_a_unet_are_those_of_its_convolutions():
    diffusion = Diffusion(channels=[8, 16], norm_groups=8, layers_per_block=1, middle_attention=False, steps=1)
    network = build_network(diffusion, SIDE)
    counted = []

    def note(module, inputs, output):
        places = output.shape[-2] * output.shape[-1] if isinstance(module, torch.nn.Conv2d) else 1
        counted.append(module.weight.numel() * places)

    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            module.register_forward_hook(note)
    network(torch.zeros(1, 3, SIDE, SIDE), 1)
    assert unet_size(diffusion, SIDE).multiply_adds == sum(counted)


def test_the_size_of_a_classifier_is_that_of_its_network():
    classifier = study().classifiers["net"].model_copy(update={"network": "torchvision/resnet50", "small_stem": False})
    size = classifier_size(classifier, 224)
    assert size.parameters == pytest.approx(23.5e6, rel=0.01)  # 25.6 million with a thousand classes
    assert size.multiply_adds == pytest.approx(4.09e9, rel=0.01)


def test_purifiers_work_by_images_draws_and_calls_of_the_denoiser():
    specs = Specs(study())
    call = unet_size(study().diffusions["unet"], SIDE).multiply_adds
    amounts = {
        name: work_of("purify", f"clean/{name}/sigma-{sigma}", specs.purify("clean", name, sigma))
        for name, sigma in (("noise", "0.1"), ("oneshot", "0.1"), ("ddpm", "0.1"), ("all-steps", "0.144"))
    }
    assert (amounts["noise"].unit, amounts["noise"].amount) == ("noisy pixels", IMAGES * DRAWS * SIDE**2)
    assert (amounts["oneshot"].unit, amounts["oneshot"].amount) == ("diffusion", IMAGES * DRAWS * call)
    assert amounts["ddpm"].amount == 4 * IMAGES * DRAWS * call
    calls = amounts["all-steps"].amount / (IMAGES * DRAWS * call)
    assert 80 <= calls <= 90  # sigma 0.144 is time step 84 of the linear schedule


def test_attacks_work_by_steps_draws_and_the_gradient():
    specs = Specs(study())
    bare_call = classifier_size(study().classifiers["net"], SIDE).multiply_adds
    call = unet_size(study().diffusions["unet"], SIDE).multiply_adds
    bare, blind, oneshot, ddpm = (
        work_of("attack", path, specs.attack(path))
        for path in (
            *("net/pgd/eps-4_255/undefended", "net/adaptive/eps-4_255/noise-0.1"),
            *("net/adaptive/eps-4_255/oneshot-0.1", "net/adaptive/eps-4_255/ddpm-0.1"),
        )
    )
    assert (bare.unit, bare.amount) == ("classifier", (3 * 5 + 1) * IMAGES * bare_call)  # 1: what is stored, judged
    followed, judged = 5 * 3, (5 + 1) * 4  # steps and draws; points and draws
    passes = 3 * followed + judged
    assert (blind.unit, blind.amount) == ("classifier", passes * IMAGES * bare_call)
    assert (oneshot.unit, oneshot.amount) == ("diffusion", passes * IMAGES * (call + bare_call))
    through = 4 * (4 * followed + judged) * call  # four steps, each computed once more for its gradient
    assert ddpm.amount == pytest.approx(IMAGES * (through + passes * bare_call))
    changes = {"attacks": {"bpda": CONFIG["attacks"]["adaptive"] | {"threat": "bpda"}}}
    path = "net/bpda/eps-4_255/ddpm-0.1"
    bpda = work_of("attack", path, Specs(study(**changes)).attack(path), **changes)
    forward = 4 * (followed + judged) * call
    assert bpda.amount == pytest.approx(IMAGES * (forward + passes * bare_call))


def test_probes_work_as_a_few_attacks_on_a_few_images():
    changes = {"checks": {"images": 20, "gradients": True, "convergence": True, "active": True}}
    specs, path = Specs(study(**changes)), "net/adaptive/eps-4_255/ddpm-0.1"
    attack, probe = (work_of(stage, path, getattr(specs, stage)(path), **changes) for stage in ("attack", "probe"))
    assert probe.unit == attack.unit
    assert probe.amount == pytest.approx(9 * 20 / IMAGES * attack.amount)


def test_stacks_take_the_bytes_that_they_have(tmp_path):
    import numpy as np
    import pandas as pd

    from assay.files import artifact
    from stack_files import write_stack

    specs = Specs(study())
    reckoned = {
        8: work_of("attack", "net/pgd/eps-4_255/undefended", specs.attack("net/pgd/eps-4_255/undefended")),
        16: work_of("attack", "net/pgd/eps-0.01/undefended", specs.attack("net/pgd/eps-0.01/undefended")),
    }
    for bits, found in reckoned.items():
        with artifact(tmp_path / str(bits), "stack", {}, "code", {}, {}) as draft:
            images = np.zeros((IMAGES, SIDE, SIDE, 3), np.uint8 if bits == 8 else np.uint16)
            write_stack(draft, images, pd.DataFrame({"id": range(IMAGES), "label": 0}))
        written = sum(path.stat().st_size for path in (tmp_path / str(bits)).iterdir())
        assert found.bytes == pytest.approx(written, rel=0.05)


def test_the_disk_that_pcam_takes_is_told(tmp_path):
    pcam = study(images={"source": "pcam", "validation": 100})
    specs, sizes = Specs(pcam), sizes_of_study(pcam)
    files = [Path(file).name for file in pcam.images.files if file.endswith(".gz")]
    fetched = [work("fetch_images", file, json.loads(specs.fetch(file)), sizes) for file in files]
    assert sum(found.bytes for found in fetched) == 8_028_222_167
    index = work("index_images", "index", json.loads(specs.index()), sizes)
    train = work("prepare_images", "train", json.loads(specs.images("train")), sizes)
    assert index.unit == train.unit == "pixels read"
    assert (index.amount, train.amount) == (327_680 * 96**2, 262_144 * 96**2)
    assert train.bytes == pytest.approx(262_144 * 96**2 * 3, rel=0.01)


def test_past_studies_on_files_tell_how_many_images_they_had(tmp_path):
    specs = Specs(study(images={"source": "pcam", "validation": 100}))
    for split, count in (("train", 77), ("test", 100)):
        facts = {"spec": json.loads(specs.images(split)), "facts": {"images": count}, "files": {}}
        write_json(tmp_path / "images" / split / "manifest.json", facts)
    index = {"spec": json.loads(specs.index()), "facts": {"files": {"train": {"images": 70}, "test": {"images": 30}}}}
    write_json(tmp_path / "images/index/manifest.json", index)
    found = sizes_of_results(tmp_path)
    assert (found.counts, found.total) == ({"train": 77, "test": 100}, 100)


def test_weights_take_four_bytes_a_parameter():
    specs = Specs(study())
    classifier = work_of("train_classifier", "net", specs.classifier("net"))
    assert classifier.bytes == pytest.approx(4 * classifier_size(study().classifiers["net"], SIDE).parameters, rel=0.01)
    small = work_of("train_diffusion", "unet", specs.diffusion("unet"))
    assert small.bytes > 4 * unet_size(study().diffusions["unet"], SIDE).parameters


def test_scores_take_a_row_an_image_and_a_draw():
    specs = Specs(study())
    undefended, defended = (
        work_of("classify", f"net/clean/{defence}/sigma-0", specs.classify()) for defence in ("none", "noise")
    )
    assert defended.amount == DRAWS * undefended.amount
    assert undefended.bytes < defended.bytes


def test_a_manifest_of_other_code_is_no_work():
    assert work("purify", "clean/noise/sigma-0.1", {"purifier": "old"}, sizes_of_study(study())) is None
    assert work("summarise", "summarise", {}, sizes_of_study(study())) is None


def test_a_benchmark_tells_its_stage_artifact_and_part():
    place = Path("results/tiny/benchmarks/purify/clean/ddpm/sigma-0.1.part-2-of-3.tsv")
    assert split_place(place, "benchmarks") == ("purify", "clean/ddpm/sigma-0.1", 3)
    place = Path("results/benchmarks/benchmarks/classify/net/clean/none/sigma-0.tsv")
    assert split_place(place, "benchmarks") == ("classify", "net/clean/none/sigma-0", 1)


# Times


def write_past(results, seconds, cpu="", device="cpu", **changes):
    """A finished purify job of a study with these changes to its config."""
    past = study(**changes)
    specs = Specs(past)
    purifier = past.purifiers["ddpm"]
    write(results / "images/test", json.loads(specs.images("test")), "cpu")
    write(results / "diffusions/unet", json.loads(specs.diffusion("unet")), device)
    write(
        results / "purified/clean/ddpm/sigma-0.1",
        json.loads(specs.purify("clean", "ddpm", f"{purifier.sigma:g}")),
        device,
    )
    benchmark = results / "benchmarks/purify/clean/ddpm/sigma-0.1.tsv"
    benchmark.parent.mkdir(parents=True)
    benchmark.write_text(f"s\tcpu_time\n{seconds}\t{cpu or seconds}\n")


def write(folder, spec, device):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").write_text(json.dumps({"spec": spec, "device": device, "files": {}}))


def purify_job(results, name="ddpm", **changes):
    spec = json.loads(Specs(study(**changes)).purify("clean", name, "0.1"))
    return Job("purify", "missing output", 1, results / f"benchmarks/purify/clean/{name}/sigma-0.1.tsv", spec)


def evaluation(**changes):
    return {"evaluation": CONFIG["evaluation"] | changes}


def test_times_are_scaled_by_the_work_once_start_up_is_taken_off(tmp_path):
    write_past(tmp_path / "old", START_UP + 10, START_UP + 20)
    changes = evaluation(images=3 * IMAGES, draws=2 * DRAWS)
    (found,) = estimates([purify_job(tmp_path / "new", **changes)], study(**changes))
    assert found.times.clock == pytest.approx(START_UP + 60)
    assert found.times.cpu == pytest.approx(START_UP + 120)


def test_the_same_work_takes_what_the_same_job_took(tmp_path):
    write_past(tmp_path / "new", 50)
    (found,) = estimates([purify_job(tmp_path / "new")], study())
    assert found.times.clock == 50


def test_other_work_of_the_same_job_is_scaled(tmp_path):
    write_past(tmp_path / "new", START_UP + 10)
    changes = evaluation(images=2 * IMAGES)
    (found,) = estimates([purify_job(tmp_path / "new", **changes)], study(**changes))
    assert found.times.clock == pytest.approx(START_UP + 20)


def test_stages_that_call_the_same_kind_of_network_tell_of_each_other(tmp_path):
    write_past(tmp_path / "old", START_UP + 10)
    path = "net/adaptive/eps-4_255/ddpm-0.1"
    spec = json.loads(Specs(study()).attack(path))
    job = Job("attack", "missing output", 1, tmp_path / f"new/benchmarks/attack/{path}.tsv", spec)
    (found,) = estimates([job], study())
    purify = work_of("purify", "clean/ddpm/sigma-0.1", Specs(study()).purify("clean", "ddpm", "0.1"))
    attack = work_of("attack", path, json.dumps(spec))
    assert found.times.clock == pytest.approx(START_UP + 10 * attack.amount / purify.amount)


def test_a_part_takes_its_share_and_leaves_the_bytes_to_the_whole(tmp_path):
    write_past(tmp_path / "old", START_UP + 10)
    changes = evaluation(images_per_job=20)
    whole = purify_job(tmp_path / "new", **changes)
    part = Job("purify_part", "missing output", 1, whole.benchmark.with_name("sigma-0.1.part-2-of-5.tsv"), whole.spec)
    first, last = estimates([part, whole], study(**changes))
    assert (first.times.clock, first.bytes) == (pytest.approx(START_UP + 2), 0)
    assert last.times.clock == START_UP
    assert last.bytes > IMAGES * DRAWS * SIDE**2 * 6


def test_a_device_is_named_and_counts_by_the_clock(tmp_path):
    write_past(tmp_path / "old", START_UP + 3600, 5, device="NVIDIA A100")
    page = render([purify_job(tmp_path / "new")], 1, study())
    assert "1 GPU-h (NVIDIA A100)" in page
    assert "core-h" not in page


def test_what_never_ran_is_said_and_its_disk_is_given(tmp_path):
    write_past(tmp_path / "old", START_UP + 3600)
    jobs = [purify_job(tmp_path / "new"), purify_job(tmp_path / "new", "noise")]
    _, line, closing, compute, disk = render([jobs[1]], 1, study()).splitlines()
    assert "no past run" in line
    assert "1.3 MB" in line
    assert closing == "1 job; no past run to tell the time from"
    assert compute.startswith("compute, rough: not known")
    assert compute.endswith("not counted, as nothing like it ever ran: purify")
    assert disk == "disk, when all is done: 1.3 MB"
    both = render(jobs, 1, study())
    assert "compute, rough: 1 core-h, scaled" in both
    assert "disk, when all is done: 2.5 MB" in both


def test_unreadable_pasts_count_as_none(tmp_path):
    write_past(tmp_path / "old", START_UP + 10)
    assert len(Past(tmp_path).samples) == 1
    (tmp_path / "old/purified/clean/ddpm/sigma-0.1/manifest.json").write_text("{")
    assert Past(tmp_path).samples == []
    (tmp_path / "old/images/test/manifest.json").unlink()
    assert sizes_of_results(tmp_path / "old") is None


def test_networks_without_a_past_are_reckoned_at_a_round_rate(tmp_path):
    job = purify_job(tmp_path / "new")
    amount = work_of("purify", "clean/ddpm/sigma-0.1", json.dumps(job.spec)).amount
    line = next(line for line in render([job, job], 1, study()).splitlines() if "multiply-adds" in line)
    assert line.startswith(f"networks that nothing like ever ran: {2 * amount:.2g} multiply-adds, ")
    write_past(tmp_path / "old", START_UP + 10)
    assert "multiply-adds" not in render([job], 1, study())
