"""Images: their names follow their recipes, their locks hold what stages import, and what is missing is told."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from assay.files import AssayError
from assay.planning import containers
from assay.planning.fingerprint import reachable, running

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "containers"
STAGES = {
    "data": ["fetch_images", "index_images", "prepare_images", "check_images"],
    "torch": [
        *("train_classifier", "train_diffusion", "import_classifier", "import_diffusion"),
        *("attack", "purify", "classify", "probe", "certify", "attack_certificates"),
    ],
    "report": ["summarise", "check", "report"],
}
FOUND_BY_NAME = {
    "data": ["assay.data"],
    "torch": ["assay.networks", "assay.training.objectives", "assay.purifiers", "assay.attacks"],
    "report": [],
}
PROJECTS = {"PIL": "pillow", "huggingface_hub": "huggingface-hub", "yaml": "pyyaml"}
PINNED = re.compile(r"^([a-z0-9.-]+)==([^\s;]+)", re.MULTILINE)


def pins(path):
    return dict(PINNED.findall(path.read_text()))


@pytest.fixture
def recipes(tmp_path):
    """A copy of the recipes."""
    folder = tmp_path / "containers"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("images"))
    return folder


@pytest.mark.parametrize("kind", containers.RECIPES)
def test_the_image_of_a_changed_recipe_has_another_name_and_no_other_has(kind, recipes):
    before = {each: containers.image(each, recipes) for each in containers.RECIPES}
    with open(recipes / f"{kind}.lock", "a") as lock:
        lock.write("one-more==1.0\n")
    (recipes / "README.md").write_text("Other words.\n")
    (recipes / "build").write_text("")
    after = {each: containers.image(each, recipes) for each in containers.RECIPES}
    assert [each for each in before if before[each] != after[each]] == [kind]
    assert re.fullmatch(rf"{kind}-[0-9a-f]{{12}}\.sif", after[kind].name)


def test_every_file_that_a_definition_copies_counts_for_its_name():
    for kind, recipe in containers.RECIPES.items():
        copied = re.findall(r"^    (\S+) /opt/recipe/\S+$", (FOLDER / f"{kind}.def").read_text(), re.MULTILINE)
        assert sorted(recipe) == sorted([f"{kind}.def", *copied])


@pytest.mark.parametrize("name", ["data", "torch", "torch-cuda", "report"])
def test_an_image_holds_the_versions_that_the_environment_has(name):
    everything = PINNED.findall((ROOT / "requirements/lock.txt").read_text())
    everything += PINNED.findall((ROOT / "requirements/torch.txt").read_text())
    known = {project for project, _ in everything}
    for pin in pins(FOLDER / f"{name}.lock").items():
        assert pin in everything or (name == "torch-cuda" and pin[0] not in known), f"{pin}: run 'make lock'"


@pytest.mark.parametrize("kind", STAGES)
def test_an_image_holds_all_that_its_stages_import(kind):
    modules = [
        f"{package}.{path.stem}".replace(".__init__", "")
        for package in FOUND_BY_NAME[kind]
        for path in (ROOT / "src").joinpath(*package.split(".")).glob("*.py")
    ]
    names = set()
    for path in reachable(*(f"workflow/stages/{stage}.py" for stage in STAGES[kind]), *modules):
        for node in running(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module)
    wanted = {name.split(".")[0] for name in names} - set(sys.stdlib_module_names) - {"assay"}
    held = pins(FOLDER / f"{kind}.lock")
    assert {PROJECTS.get(name, name) for name in wanted} <= held.keys()


def test_missing_images_are_named_with_the_command_that_builds_them(recipes, monkeypatch):
    monkeypatch.setattr(containers.shutil, "which", lambda program: f"/usr/bin/{program}")
    for kind in ("data", "report"):
        image = containers.image(kind, recipes)
        image.parent.mkdir(exist_ok=True)
        image.touch()
    with pytest.raises(AssayError) as error:
        containers.require_images(recipes)
    name = containers.image("torch", recipes).name
    assert str(error.value) == f"{recipes}/images: no {name}; run: containers/build torch"
    containers.image("torch", recipes).touch()
    containers.require_images(recipes)


def test_a_machine_without_apptainer_is_told_in_one_line(recipes, monkeypatch):
    monkeypatch.setattr(containers.shutil, "which", lambda program: None)
    with pytest.raises(AssayError, match="neither apptainer nor singularity is on PATH") as error:
        containers.require_images(recipes)
    assert "\n" not in str(error.value)


def test_the_build_program_needs_nothing_but_python_and_names_what_is_missing(tmp_path):
    alone = [sys.executable, "-I", str(FOLDER / "build")]
    hashes = subprocess.run([*alone, "--hash"], capture_output=True, text=True, check=True).stdout.split()
    assert hashes == [containers.recipe_hash(kind) for kind in containers.RECIPES]
    wrong = subprocess.run([*alone, "tocrh"], capture_output=True, text=True)
    assert wrong.returncode == 2
    assert "'tocrh' is none of data, torch, report" in wrong.stderr


def test_an_image_that_fails_to_build_leaves_nothing(recipes, tmp_path):
    """With a stand-in for Apptainer that writes half an image and fails."""
    program = tmp_path / "bin" / "apptainer"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nfor image; do :; done\nshift $(($# - 2))\necho half > "$1"\nexit 9\n')
    program.chmod(0o755)
    (recipes.parent / "src/assay/planning").mkdir(parents=True)
    for name in ("__init__", "files", "verified", "planning/__init__", "planning/containers"):
        shutil.copy(ROOT / f"src/assay/{name}.py", recipes.parent / f"src/assay/{name}.py")
    path = {"PATH": f"{program.parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        [sys.executable, recipes / "build", "data"], env=os.environ | path, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: data.def: apptainer build failed (exit status 9)")
    assert list((recipes / "images").iterdir()) == []
