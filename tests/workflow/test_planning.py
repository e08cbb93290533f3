"""What is rebuilt when something changes: exactly the jobs concerned, by dry runs on a finished study."""

import shutil
import subprocess
import sys

import pytest
from checkout import CONFIG, Checkout

PGD = "resnet/pgd/eps-4_255/undefended"
ADAPTIVE = "resnet/adaptive/eps-8_255/oneshot-0.1"
NOISE, ONESHOT, DDPM, NONE = "noise 0.1", "oneshot 0.1", "ddpm 0.2", "none 0"
END = {"summarise", "check", "report"}
DEFENDED = {("clean", NOISE), ("clean", ONESHOT), ("clean", DDPM), (PGD, NOISE), (PGD, ONESHOT), (ADAPTIVE, ONESHOT)}
DENOISED = {(stack, defence) for stack, defence in DEFENDED if defence != NOISE}
UNDEFENDED = {"classify resnet clean none 0", f"classify resnet {PGD} none 0"}
SAMPLERS = "src/assay/diffusion/samplers.py"
BIG = ("images.tif", "table.csv", "logits.npy", "history.csv", "config.json", "samples.png")


def purified(*pairs):
    """The purify and classify jobs of (stack, defence) pairs."""
    return {f"purify {stack} {defence}" for stack, defence in pairs} | {
        f"classify resnet {stack} {defence}" for stack, defence in pairs
    }


EVERYTHING = (
    {"prepare_images train", "prepare_images validation", "prepare_images test", "check_images"}
    | {"train_classifier resnet", "train_diffusion unet", f"attack {PGD}", f"attack {ADAPTIVE}"}
    | purified(*DEFENDED)
    | UNDEFENDED
    | END
)
AFTER_DIFFUSION = {f"attack {ADAPTIVE}"} | purified(*DENOISED) | END


def test_a_fresh_study_plans_every_job_once(fresh):
    assert fresh.plan() == EVERYTHING


def test_the_copy_runs_and_fingerprints_its_own_code(finished):
    code = "import assay.planning.fingerprint as f; print(f.__file__, f.PACKAGE)"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=finished.root, env=finished.environment(), capture_output=True, text=True
    ).stdout.split()
    package = finished.root / "src" / "assay"
    assert found == [str(package / "planning" / "fingerprint.py"), str(package)]


def test_a_finished_study_has_nothing_to_do(study):
    assert study.plan() == set()


def test_a_new_eps_plans_its_own_jobs(study):
    study.edit(CONFIG, "eps: [4/255]", "eps: [4/255, 6/255]")
    new = "resnet/pgd/eps-6_255/undefended"
    assert (
        study.plan()
        == {f"attack {new}", f"classify resnet {new} none 0"} | purified((new, NOISE), (new, ONESHOT)) | END
    )


def test_a_new_sigma_plans_its_own_jobs(study):
    study.edit(CONFIG, "{method: noise, sigmas: [0.1]}", "{method: noise, sigmas: [0.1, 0.2]}")
    assert study.plan() == purified(("clean", "noise 0.2"), (PGD, "noise 0.2")) | END


def test_a_new_sigma_of_an_adaptively_attacked_purifier_plans_its_attack_too(study):
    study.edit(
        CONFIG,
        "{method: oneshot, diffusion: unet, sigmas: [0.1]}",
        "{method: oneshot, diffusion: unet, sigmas: [0.1, 0.2]}",
    )
    new = "resnet/adaptive/eps-8_255/oneshot-0.2"
    wanted = purified(("clean", "oneshot 0.2"), (PGD, "oneshot 0.2"), (new, "oneshot 0.2"))
    assert study.plan() == {f"attack {new}"} | wanted | END


def test_other_images_to_evaluate_plan_attacks_and_after_but_no_training(study):
    study.edit(CONFIG, "images: 8", "images: 12")
    untouched = {"prepare_images train", "prepare_images validation", "train_classifier resnet", "train_diffusion unet"}
    assert study.plan() == EVERYTHING - untouched


def test_other_draws_plan_purify_and_after_but_no_attack(study):
    study.edit(CONFIG, "draws: 2\n  batch_size: 4", "draws: 3\n  batch_size: 4")
    assert study.plan() == purified(*DEFENDED) | END


def test_another_hyper_parameter_of_a_diffusion_plans_it_and_what_uses_it(study):
    study.edit(CONFIG, "steps: 6", "steps: 7")
    assert study.plan() == {"train_diffusion unet"} | AFTER_DIFFUSION


def test_another_number_of_ddpm_steps_plans_that_purifier_alone(study):
    study.edit(CONFIG, "sigmas: [0.2], steps: 2", "sigmas: [0.2], steps: 3")
    assert study.plan() == purified(("clean", DDPM)) | END


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        (CONFIG, "threads: 2", "threads: 1"),
        (CONFIG, "evaluation:", "# A comment.\nevaluation:"),
        (SAMPLERS, "    clean = denoise(x, s)\n        mean", "    clean = denoise(x, s)  # a comment\n        mean"),
        (SAMPLERS, '"""Posterior sampling,', '"""Another docstring:'),
        (SAMPLERS, "several = len(sigmas) > 2", "several = (  len(sigmas)>2  )"),
    ],
    ids=["threads", "config comment", "code comment", "docstring", "formatting"],
)
def test_what_changes_no_result_plans_nothing(study, path, old, new):
    study.edit(path, old, new)
    assert study.plan() == set()


def test_changed_reporting_code_plans_the_report_alone(study):
    study.append("src/assay/reporting/page.py", "\nA_NEW_WORD = 'for the page'\n")
    assert study.plan() == {"report"}


@pytest.mark.parametrize(
    ("table", "rule"),
    [("summary", "summarise"), ("comparisons", "summarise"), ("per_class", "summarise"), ("checks", "check")],
)
def test_a_deleted_table_is_made_again(study, table, rule):
    (study.results / f"{table}.csv").unlink()
    assert rule in study.plan()


def test_a_changed_line_of_purifier_code_plans_what_samples_and_after(study):
    study.edit(SAMPLERS, "mean = clean + (r / s) ** 2 * (x - clean)", "mean = clean + (r / s) ** 3 * (x - clean)")
    assert study.plan() == {f"attack {ADAPTIVE}"} | purified(*DENOISED) | END


def test_changed_code_of_one_purifier_plans_that_purifier_alone(study):
    study.append("src/assay/purifiers/ddpm.py", "\nNEW = 1\n")
    assert study.plan() == purified(("clean", DDPM)) | END


def test_changed_training_code_plans_training_and_after(study):
    study.append("src/assay/training/diffusion.py", "\nNEW = 1\n")
    assert study.plan() == {"train_diffusion unet"} | AFTER_DIFFUSION


def test_two_numbers_swapped_between_keys_are_noticed(study):
    config = study.config()
    unet, resnet = config["diffusions"]["unet"], config["classifiers"]["resnet"]
    unet["steps"], unet["batch_size"] = unet["batch_size"], unet["steps"]
    study.set_config(config)
    assert study.plan() == {"train_diffusion unet"} | AFTER_DIFFUSION
    unet["steps"], unet["batch_size"] = unet["batch_size"], unet["steps"]
    resnet["epochs"], resnet["batch_size"] = resnet["batch_size"], resnet["epochs"]
    study.set_config(config)
    untouched = {f"prepare_images {split}" for split in ("train", "validation", "test")} | {"train_diffusion unet"}
    untouched |= {"check_images"}
    untouched |= {f"purify {stack} {defence}" for stack, defence in DEFENDED if stack == "clean"}
    assert study.plan() == EVERYTHING - untouched


def test_reordered_keys_plan_nothing(study):
    study.set_config(_reversed(study.config()))
    assert next(iter(study.config())) == "evaluation"
    assert study.plan() == set()


def test_touching_every_big_file_plans_nothing(study):
    for path in study.results.rglob("*"):
        if path.name in BIG or path.suffix == ".safetensors":
            path.touch()
    assert study.plan() == set()


def test_a_cache_restored_with_new_times_plans_nothing(finished, tmp_path):
    """Copied in any order, as a cloud cache or `cp -r` does: the manifests' checksums count, not the files' ages."""
    target = tmp_path / "restored"
    shutil.copytree(finished.root, target, symlinks=True, copy_function=shutil.copyfile)
    for path in sorted((target / "results").rglob("*"), reverse=True):
        if path.is_file():
            path.touch()
    for path in (target / "results/tiny/images").rglob("*.json"):
        path.touch()
    assert Checkout(target).plan() == set()


def test_an_artifact_remade_identically_rebuilds_nothing_after_it(study):
    shutil.rmtree(study.results / "images" / "test")
    study.complete("--cores", "2", "results/tiny/images/test/manifest.json")
    assert study.plan() == set()


def _reversed(value):
    if isinstance(value, dict):
        return {key: _reversed(inner) for key, inner in reversed(value.items())}
    return value
