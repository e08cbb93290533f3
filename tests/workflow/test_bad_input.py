"""Bad input: one line that names the file or key, what is wrong and what to do; nothing half-written, nothing lost."""

import json
import os
import re
import resource
import shutil
import subprocess
import sys

import pytest
import yaml
from checkout import CONFIG, HERE

from assay.files import AssayError, sha256
from assay.manifests import sealed
from assay.planning import trials
from assay.planning.bring import plan_study
from assay.planning.jobs import Jobs
from assay.planning.trials import check_networks

CELL = "scores/resnet/clean/noise/sigma-0.1"
PGD = "adversarial/resnet/pgd/eps-4_255/undefended"
STAGES = {
    "prepare_images": ("images/test", {}),
    "train_classifier": ("classifiers/resnet", {"train": "images/train", "validation": "images/validation"}),
    "train_diffusion": ("diffusions/unet", {"train": "images/train", "validation": "images/validation"}),
    "attack": (PGD, {"images": "images/test", "classifier": "classifiers/resnet"}),
    "purify": ("purified/clean/ddpm/sigma-0.2", {"images": "images/test", "diffusion": "diffusions/unet"}),
    "classify": (CELL, {"images": "purified/clean/noise/sigma-0.1", "classifier": "classifiers/resnet"}),
}

CONFIGS = {
    "misspelt key": (
        ("epochs: 2", "epoch: 2"),
        "classifiers.resnet.epoch: unknown key; did you mean 'epochs'?",
    ),
    "unknown key": (
        ("seed: 0", "colour: blue"),
        "colour: unknown key; known are attacks, certificates, checks, classifiers, cross, diffusions, evaluation, "
        "images, purifiers, seed, selection, study, threads, versions",
    ),
    "missing key": (("  images: 8\n", ""), "evaluation.images: missing; add it (see config/README.md)"),
    "no name": (("study: tiny\n", ""), "study: missing; add it (see config/README.md)"),
    "wrong type": (
        ("epochs: 2", "epochs: two"),
        "classifiers.resnet.epochs: must be a whole number, found 'two'",
    ),
    "eps outside": (
        ("eps: [4/255]", "eps: [4]"),
        "attacks.pgd.eps: 4 lies outside [0,1]; eps is in pixel units, write 2/255 for 2 grey levels",
    ),
    "eps in words": (
        ("eps: [4/255]", "eps: [two/255]"),
        "attacks.pgd.eps.0: 'two/255' is not a number; write 0.01 or 2/255",
    ),
    "unknown purifier": (
        ("method: ddpm", "method: ddpn"),
        "purifiers.ddpm.method: 'ddpn' is not among noise, jpeg, median, nonlocal_means, oneshot, ddpm, ddim, sde, "
        "ode, flow, bridge, gradual, guided, likelihood, python; did you mean 'ddpm'?",
    ),
    "unknown attack": (
        ("method: pgd, eps: [4/255]", "method: pdg, eps: [4/255]"),
        "attacks.pgd.method: 'pdg' is not among fgsm, pgd, pgdl2, apgd, square, nes, random_sign, python; did "
        "you mean 'pgd'?",
    ),
    "unknown diffusion": (
        ("diffusion: unet, sigmas: [0.2]", "diffusion: unnet, sigmas: [0.2]"),
        "purifiers.ddpm.diffusion: 'unnet' is not among ['unet']; did you mean 'unet'?",
    ),
    "unknown name in cross": (
        ("purifiers: [ddpm]", "purifiers: [dppm]"),
        "cross.1.purifiers: 'dppm' is not among ['ddpm', 'noise', 'oneshot']; did you mean 'ddpm'?",
    ),
    "sigma too high": (
        ("sigmas: [0.2]", "sigmas: [0.5]"),
        "purifiers.ddpm.sigmas: 0.5 is above max_sigma 0.3 of diffusion 'unet', which is not trained there; "
        "raise max_sigma or lower the sigma",
    ),
    "name with a slash": (
        ("study: tiny", "study: ti/ny"),
        "study: 'ti/ny' is not a valid name; use letters, digits, - and _, and begin with a letter or digit",
    ),
    "purifier with a slash": (
        ("  noise: {method", "  no/ise: {method"),
        "purifiers.no/ise: 'no/ise' is not a valid name; use letters, digits, - and _, "
        "and begin with a letter or digit",
    ),
}


@pytest.mark.parametrize("case", CONFIGS)
def test_a_wrong_config_is_refused_in_one_line(case):
    (old, new), message = CONFIGS[case]
    text = (HERE / "tiny.yaml").read_text()
    assert text.count(old) == 1
    with pytest.raises(AssayError) as caught:
        plan_study(yaml.safe_load(text.replace(old, new)), "tiny.yaml")
    assert str(caught.value) == f"tiny.yaml: {message}"


def test_snakemake_tells_all_faults_of_a_config_and_touches_nothing(study):
    before = study.contents()
    study.edit(CONFIG, "epochs: 2", "epoch: 2")
    study.edit(CONFIG, "validate_every", "validate_evry")
    status, output = study.snakemake("--cores", "1")
    assert status == 1
    place = study.root / CONFIG
    assert f"{place}: classifiers.resnet.epoch: unknown key; did you mean 'epochs'?" in output.splitlines()
    assert f"{place}: diffusions.unet.validate_evry: unknown key; did you mean 'validate_every'?" in output.splitlines()
    assert "Traceback" not in output
    assert study.contents() == before


def test_arguments_that_a_network_refuses_are_found_before_anything_is_made(fresh):
    fresh.edit(CONFIG, "layers:", "layerz:")
    status, output = fresh.snakemake("--dry-run")
    assert status == 1
    fault = f"{fresh.root / CONFIG}: classifiers.resnet.arguments: network timm/resnet18 cannot be built ("
    assert any(line.startswith(fault) for line in output.splitlines()), output
    assert "Traceback" not in output
    assert not fresh.results.exists()


def test_a_network_that_is_made_is_not_tried_again(study, monkeypatch):
    monkeypatch.chdir(study.root)
    monkeypatch.setattr(trials, "_try", lambda networks: pytest.fail("tried again"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(study.root / "cache"))
    check_networks(Jobs(plan_study(study.config(), CONFIG)), CONFIG)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "not found; correct --configfile"),
        (
            b"study: [tiny\n",
            "is not valid YAML (line 2: expected ',' or ']', but got '<stream end>'); correct it",
        ),
        ("study: tiny\n".encode("utf-16"), "is not UTF-8 text (byte 0); save it as UTF-8"),
        (b"study: a\nseed: 1\nstudy: b\n", "study: stands there twice (lines 1 and 3); remove one"),
    ],
)
def test_a_config_file_that_cannot_be_read_is_named(content, message, fresh):
    """Snakemake reads it before the Snakefile: the default profile looks at it before."""
    path = fresh.root / CONFIG
    path.unlink()
    if content:
        path.write_bytes(content)
    status, output = fresh.snakemake("--cores", "1")
    assert status == 1
    assert f"error: {CONFIG}: {message}" in output.splitlines()
    assert "Traceback" not in output


def test_a_key_that_stands_twice_is_refused_without_the_profile_too(fresh):
    fresh.append(CONFIG, "seed: 1\n")
    status, output = fresh.snakemake("--cores", "1", "--workflow-profile", "none")
    assert status == 1
    lines = fresh.root / CONFIG
    assert any(line.startswith(f"{lines}: seed: stands there twice (lines 3 and ") for line in output.splitlines())
    assert "Traceback" not in output


def test_the_tool_for_plans_names_a_config_that_is_not_there(fresh):
    command = [sys.executable, "scripts/plan.py", "--configfile", "config/none.yaml"]
    done = subprocess.run(command, cwd=fresh.root, env=fresh.environment(), capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "error: config/none.yaml: not found; correct --configfile"


def test_a_file_where_a_folder_is_needed_is_named(fresh):
    (fresh.root / "results").write_text("a file")
    status, output = fresh.snakemake("--cores", "1")
    assert status == 1
    assert "study: results is no folder, and what the study makes lies in one; move it away" in output
    assert "Traceback" not in output


def test_batch_normalisation_of_one_image_is_refused_before_training(study):
    spec = json.loads((study.results / "classifiers/resnet/manifest.json").read_text())["spec"]
    spec["classifier"] |= {"batch_size": 1}
    assert refusal(study, "train_classifier", spec=spec) == (
        "batch_size: network.network.bn1 is a batch normalisation, and is trained on one image at a time; raise "
        "batch_size (and images.train, if there are fewer images), or lower accumulate"
    )


# stages


def test_a_truncated_stack_is_refused(study):
    images = study.results / "images/test/images.tif"
    whole = images.read_bytes()
    images.write_bytes(whole[:-100])
    assert refusal(study, "purify") == (
        f"results/tiny/images/test/images.tif: {len(whole) - 100} bytes, its manifest says {len(whole)} (truncated?); "
        "delete results/tiny/images/test and run again"
    )


@pytest.mark.parametrize(
    ("stage", "name"),
    [
        ("attack", "images/test/images.tif"),
        ("classify", "purified/clean/noise/sigma-0.1/table.csv"),
        ("classify", "classifiers/resnet/model.safetensors"),
        ("purify", "diffusions/unet/diffusion_pytorch_model.safetensors"),
        ("train_classifier", "images/train/images.tif"),
        ("train_diffusion", "images/validation/table.csv"),
    ],
)
def test_a_corrupt_file_of_the_right_size_is_refused(study, stage, name):
    path = study.results / name
    flip(path)
    message = refusal(study, stage)
    assert message.startswith(f"results/tiny/{name}: SHA-256 {sha256(path)[:12]}…, its manifest says ")
    assert message.endswith(f" (corrupt); delete results/tiny/{name.rpartition('/')[0]} and run again")


def test_corrupt_scores_are_refused(study):
    flip(study.results / CELL / "logits.npy")
    before = study.contents()
    message = refused(summarise(study))
    assert message.startswith(f"results/tiny/{CELL}/logits.npy: SHA-256 ")
    assert message.endswith(f" (corrupt); delete results/tiny/{CELL} and run again")
    assert study.contents() == before


def test_a_table_without_a_column_is_refused(study):
    path = study.results / "images/test/table.csv"
    path.write_text(path.read_text().replace("id,label", "id,lable"))
    reseal(path)
    assert refusal(study, "attack") == (
        "results/tiny/images/test/table.csv: has no column label; delete it and run again"
    )


def test_a_stack_with_more_images_than_rows_is_refused(study):
    path = study.results / "images/test/table.csv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    reseal(path)
    assert refusal(study, "purify") == (
        "results/tiny/images/test: 8 images but 7 table rows; delete results/tiny/images/test and run again"
    )


def test_images_that_are_no_tiff_are_refused(study):
    path = study.results / "images/test/images.tif"
    path.write_bytes(b"P6 no TIFF")
    reseal(path)
    message = refusal(study, "purify")
    assert message == (
        "results/tiny/images/test/images.tif: no .tif header (corrupt); delete results/tiny/images/test and run again"
    )


def test_a_manifest_that_is_no_json_is_refused(study):
    (study.results / "classifiers/resnet/manifest.json").write_text("{")
    message = refusal(study, "classify")
    assert message.startswith("results/tiny/classifiers/resnet/manifest.json: not valid JSON (")
    assert message.endswith("); delete it and run again")


def test_missing_weights_are_named(study):
    (study.results / "diffusions/unet/diffusion_pytorch_model.safetensors").unlink()
    assert refusal(study, "purify") == (
        "results/tiny/diffusions/unet/diffusion_pytorch_model.safetensors: missing; "
        "delete results/tiny/diffusions/unet and run again"
    )


def test_a_folder_that_is_not_there_is_named(study):
    assert refusal(study, "attack", images="images/nowhere") == (
        "results/tiny/images/nowhere/manifest.json: not found; run the stage that makes it"
    )


def test_a_folder_of_another_kind_is_refused(study):
    assert refusal(study, "classify", classifier="diffusions/unet") == (
        "results/tiny/diffusions/unet/manifest.json: is a diffusion, expected a classifier; check the paths given"
    )


def test_a_purifier_that_needs_a_diffusion_says_so(study):
    assert refusal(study, "purify", diffusion=None) == ("--inputs: no folder for the role 'diffusion'; add it")


def test_a_size_that_the_unet_cannot_halve_is_refused(study):
    odd_stacks(study)
    assert refusal(study, "train_diffusion", train="images/odd", validation="images/odd") == (
        "images.size: 17 cannot be halved 1 times, as the U-Net's 2 levels do; choose a multiple of 2 or fewer channels"
    )


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (
            "timm/resnet1",
            "classifiers: network timm/resnet1 cannot be built (Unknown model (resnet1)); check its name and arguments",
        ),
        (
            "torchvision/resnet19",
            "classifiers: network torchvision/resnet19 cannot be built (Unknown model resnet19); "
            "check its name and arguments",
        ),
    ],
)
def test_an_unknown_network_is_refused(study, network, message):
    classifier = {"network": network, "epochs": 1}
    assert refusal(study, "train_classifier", spec={"classifier": classifier, "seed": 0}) == message


def test_a_network_that_does_not_take_the_images_is_refused_before_training(study):
    classifier = {"network": "timm/vit_tiny_patch16_224", "arguments": {"depth": 1}, "epochs": 1}
    message = refusal(study, "train_classifier", spec={"classifier": classifier, "seed": 0})
    assert message.startswith("classifiers: network timm/vit_tiny_patch16_224 does not take images of 16 pixels (")
    assert message.endswith("); choose another network, or set its arguments or input_size")


@pytest.mark.parametrize("kind", ["classifier", "diffusion"])
def test_a_training_that_diverges_is_one_line_and_writes_nothing(study, kind):
    stage = f"train_{kind}"
    spec = json.loads((study.results / STAGES[stage][0] / "manifest.json").read_text())["spec"]
    spec[kind] |= {"learning_rate": 1e30, "learning_rate_schedule": "constant"}
    message = refusal(study, stage, spec=spec)
    assert re.match(
        rf"train {kind}: the loss is (nan|inf) at step \d of 6; lower learning_rate \(1e\+30\) or ", message
    )


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("{nope", "--spec: JSON: Invalid JSON: key must be a string at line 1 column 2"),
        ('{"batch_size":0}', "--spec: batch_size: Input should be greater than 0"),
        ('{"batch_size":4,"draws":2}', "--spec: draws: Extra inputs are not permitted"),
        ("{}", "--spec: batch_size: Field required"),
    ],
)
def test_an_invalid_spec_is_refused(study, spec, message):
    assert refusal(study, "classify", spec=spec) == f"{message}; pass the spec that the workflow passes"


@pytest.mark.parametrize("stage", STAGES)
def test_a_full_disk_is_one_line_and_loses_nothing(study, stage):
    """Each stage writes to the very folder of its finished artifact, under a limit on the size of files."""
    before = study.contents()
    message = refused(run_stage(study, stage, preexec_fn=_limit_files))
    assert message.startswith("results/tiny/")
    assert message.endswith("; free some space (or raise the limit) and run again")
    assert study.contents() == before


def test_a_disk_too_full_for_a_checkpoint_is_one_line(study):
    more = {"ASSAY_TEST_FAST_CLOCK": "1"}
    message = refused(run_stage(study, "train_diffusion", preexec_fn=_limit_files, environment=more))
    assert "checkpoint.pt" in message
    assert message.endswith("File too large; free some space (or raise the limit) and run again")


def test_a_folder_that_cannot_be_written_is_named(study):
    (study.results / "taken").write_text("a file")
    assert refused(run_stage(study, "purify", out="taken")) == "results/tiny/taken: File exists"


def test_a_run_stops_at_a_corrupt_file_and_completes_once_told_what_to_do_is_done(study, finished):
    """Where size and time do not show corruption, a stage that reads the file does."""
    corrupt = study.results / CELL / "logits.npy"
    times = corrupt.stat()
    flip(corrupt)
    os.utime(corrupt, ns=(times.st_atime_ns, times.st_mtime_ns))
    for table in ("summary", "strongest", "comparisons", "worst_case", "per_class", "confusion"):
        (study.results / f"{table}.csv").unlink()
    before = study.contents()
    status, output = study.snakemake("--cores", "1")
    assert status == 1
    assert f"error: results/tiny/{CELL}/logits.npy: SHA-256 " in output
    assert f"(corrupt); delete results/tiny/{CELL} and run again\n" in output
    assert "Traceback" not in output
    assert study.contents() == before
    shutil.rmtree(study.results / CELL)
    study.complete()
    assert study.contents() == finished.contents()


def run_stage(study, stage, out=None, spec=None, preexec_fn=None, environment=None, **inputs):
    """A stage by hand, as the finished study ran it but for what is named."""
    place, wanted = STAGES[stage]
    folders = {name: f"results/tiny/{folder}" for name, folder in (wanted | inputs).items() if folder}
    if spec is None:
        spec = json.loads((study.results / place / "manifest.json").read_text())["spec"]
    text = spec if isinstance(spec, str) else json.dumps(spec)
    options = ("--inputs", json.dumps(folders), "--spec", text, "--out", f"results/tiny/{out or place}")
    if preexec_fn:
        return study.program(stage, *options, preexec_fn=preexec_fn, environment=environment)
    return study.stage(stage, *options)


def refusal(study, stage, **changes):
    """The message of a stage that must refuse, and write nothing."""
    before = study.contents()
    message = refused(run_stage(study, stage, out="out", **changes))
    assert study.contents() == before
    assert not (study.results / "out").exists() or not any((study.results / "out").iterdir())
    return message


def refused(process):
    """The one line of a program that failed as it should."""
    assert process.returncode == 1, process.stderr
    assert "Traceback" not in process.stderr, process.stderr
    lines = [line for line in process.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, process.stderr
    return lines[0].removeprefix("error: ")


def summarise(study):
    spec = plan_study(study.config(), CONFIG).model_dump_json()
    inputs = {"images": "results/tiny/images/test", "scores": "results/tiny/scores"}
    options = ("--inputs", json.dumps(inputs), "--spec", spec, "--out", "results/tiny/summary.csv")
    return study.stage("summarise", *options)


def odd_stacks(study):
    """A stack of images of 17 pixels."""
    spec = {"images": {"source": "phantom", "size": 17}, "split": "train", "count": 8, "seed": 0}
    made = study.stage("prepare_images", "--spec", json.dumps(spec), "--out", "results/tiny/images/odd")
    assert made.returncode == 0, made.stderr


def flip(path):
    """Change one bit in the middle."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def reseal(path):
    """Have the manifest agree with a changed file."""
    manifest = path.parent / "manifest.json"
    content = json.loads(manifest.read_text())
    content["files"][path.name] = {"sha256": sha256(path), "bytes": path.stat().st_size}
    manifest.write_bytes(sealed(content))


def _limit_files():
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
