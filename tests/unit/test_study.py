"""The config: models, messages, documentation, cells, specs and code fingerprints."""

import ast
import copy
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from assay.files import AssayError
from assay.planning import fingerprint
from assay.planning import jobs as jobs_module
from assay.planning.cells import Attacked, Defence, attacked_stacks, cells, eps_token, rows, sigma_token
from assay.planning.jobs import Job, Jobs
from assay.study import document
from assay.study.images import PCAM_FILES
from assay.study.model import Study
from assay.study.needs import LOADERS
from assay.study.parse import parse_study

ROOT = Path(__file__).parent.parent.parent
DEMO = yaml.safe_load((ROOT / "config/config.yaml").read_text())


def changed(change: Callable[[dict], object]) -> dict:
    config = copy.deepcopy(DEMO)
    change(config)
    return config


def fault(change: Callable[[dict], object]) -> str:
    with pytest.raises(AssayError) as caught:
        parse_study(changed(change), "mine.yaml")
    return str(caught.value)


def test_the_demo_is_a_study() -> None:
    assert parse_study(DEMO, "config.yaml").study == "demo"


def test_eps_may_be_a_fraction() -> None:
    study = parse_study(changed(lambda c: c["attacks"]["pgd"].update(eps=["2/255", 0.5, "1 / 4"])), "x")
    assert study.attacks["pgd"].eps == [2 / 255, 0.5, 0.25]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["attacks"]["pgd"].update(stpes=3), "attacks.pgd.stpes: unknown key; did you mean 'steps'?"),
        (lambda c: c.update(purifers={}), "purifers: unknown key; did you mean 'purifiers'?"),
        (lambda c: c["attacks"]["pgd"].update(eps=[2]), "attacks.pgd.eps: 2 lies outside [0,1]; eps is in pixel units"),
        (lambda c: c["attacks"]["pgd"].update(eps=[-0.1]), "attacks.pgd.eps: -0.1 lies outside [0,1]"),
        (
            lambda c: c["attacks"]["pgd"].update(eps=["a/255"]),
            "attacks.pgd.eps.0: 'a/255' is not a number; write 0.01 or",
        ),
        (lambda c: c["attacks"]["pgd"].update(eps=[".nan"]), "attacks.pgd.eps.0: must be a number, found '.nan'"),
        (lambda c: c["attacks"]["pgd"].update(eps=[0.1, "51/510"]), "attacks.pgd.eps: 0.1 stands there twice"),
        (lambda c: c["attacks"]["pgd"].update(method="pdg"), "did you mean 'pgd'?"),
        (lambda c: c["attacks"]["pgd"].pop("method"), "attacks.pgd.method: missing"),
        (
            lambda c: c["attacks"].update(auto={"method": "apgd", "eps": [0.1], "loss": "dlr"}),
            "attacks.auto.loss: dlr needs three classes or more, and the images have 2; set loss: margin",
        ),
        (
            lambda c: c["attacks"]["pgd"].update(draws=3),
            "attacks.pgd.draws: under the threat transfer a victim has one draw",
        ),
        (
            lambda c: c["purifiers"]["ddpm"].update(diffusion="unett"),
            "'unett' is not among ['unet']; did you mean 'unet'",
        ),
        (lambda c: c["purifiers"]["ddpm"].update(sigmas=[0.9]), "0.9 is above max_sigma"),
        (
            lambda c: c["purifiers"].update(none={"method": "noise", "sigmas": [1]}),
            "purifiers.none: the name stands for",
        ),
        (lambda c: c["cross"][0].update(attacks=["pgdd"]), "cross.0.attacks: 'pgdd' is not among"),
        (lambda c: c["cross"][0].update(sigmas=[0.3]), "cross.0.sigmas: 0.3 is not among"),
        (lambda c: c["diffusions"]["unet"].update(channels=[15]), "must be a multiple of norm_groups"),
        (lambda c: c["diffusions"]["unet"].update(data_range=[1, 0]), "data_range: [1.0, 0.0] is not a range"),
        (lambda c: c["classifiers"].update({"a/b": DEMO["classifiers"]["resnet"]}), "classifiers.a/b"),
        (lambda c: c.pop("images"), "images: missing; add it"),
        (lambda c: c["images"].pop("train"), "images.train: missing; add it"),
        (lambda c: c["images"].pop("source"), "images.source: missing; add it"),
        (
            lambda c: c["images"].update(source="pcm"),
            "images.source: 'pcm' is not among phantom, pcam, kaggle, cifar10, cifar100, medmnist, imagenet, folder,",
        ),
        (lambda c: c["images"].update(source="pcam", foldr="x"), "images.foldr: unknown key; did you mean 'folder'?"),
        (
            lambda c: c["images"].update(source="pcam", folder="my {data}"),
            "images.folder: 'my {data}' has {data} in it, which means something to Snakemake; rename the folder",
        ),
        (
            lambda c: c["images"].update(source="pcam", mirrors=["ftp://x"]),
            "images.mirrors.0: 'ftp://x' is not an address; begin it with https://",
        ),
        (
            lambda c: c["images"].update(source="pcam", sha256={"train.gz": "0" * 64}),
            "images.sha256: no hash of camelyonpatch_level_2_split_test_x.h5.gz; give those of all 8 files",
        ),
        (
            lambda c: c["images"].update(source="pcam", sha256=dict.fromkeys(PCAM_FILES, "0" * 64)),
            "_test_meta.csv; give those of all 8 files, or set slides: false where no slides are known",
        ),
        (lambda c: c.update(cross=[]), "cross: has 0 of the 1 entries that it needs at least; add what is missing"),
        (lambda c: c["cross"][0].update(classifiers=[]), "cross.0.classifiers: has 0 of the 1 entries"),
        (lambda c: c["attacks"]["pgd"].update(eps="2/255"), "attacks.pgd.eps: is not a list; write [2/255]"),
        (lambda c: c.update(cross=None), "cross: is not a list; write its entries in [ ]"),
        (lambda c: c.update(checks=None), "checks: holds no keys; write them below it (see config/README.md)"),
        (lambda c: c.update(checks={"gradient": True}), "checks.gradient: unknown key; did you mean 'gradients'?"),
        (lambda c: c["cross"][0].update(source=["resnet"]), "cross.0.source: unknown key; did you mean 'sources'?"),
        (lambda c: c["attacks"].update(pgd=None), "attacks.pgd: holds no keys; write them below it"),
        (lambda c: c["evaluation"].update(images=1), "evaluation.images: must be greater than 1, found 1"),
    ],
)
def test_a_fault_names_the_file_the_key_and_what_to_do(change: Callable, message: str) -> None:
    found = fault(change)
    assert found.startswith("mine.yaml: ")
    assert message in found
    assert "\n" not in found


def test_what_needs_itself_is_refused_with_the_circle() -> None:
    def circle(config: dict) -> None:
        resnet = config["classifiers"]["resnet"]
        config["classifiers"] |= {"a": resnet | {"start": "b"}, "b": resnet | {"start": "a"}}

    assert "needs classifiers." in fault(circle)
    assert "nothing can be made first; break the circle" in fault(circle)


def test_a_role_that_the_stages_use_themselves_is_refused() -> None:
    own = {"method": "python", "module": "mine.py", "sigmas": [0.1], "uses": {"images": ["diffusion", "unet"]}}
    assert "purifiers.mine: the role 'images' is taken" in fault(lambda c: c["purifiers"].update(mine=own))


def test_a_role_has_one_meaning_for_an_attack_and_the_defence_that_it_meets() -> None:
    def roles(config: dict) -> None:
        config["diffusions"]["other"] = config["diffusions"]["unet"]
        own = {"method": "python", "module": "mine.py", "uses": {"diffusion": ["diffusion", "other"]}}
        config["attacks"]["mine"] = own | {"eps": [0.1]}

    assert "attacks.mine: its role 'diffusion' means another artifact than in purifier" in fault(roles)


def test_schema_documentation_and_models_agree() -> None:
    assert (ROOT / "config/schema.json").read_text() == document.schema(), "run `make docs`"
    assert document.key_tables() in (ROOT / "config/README.md").read_text(), "run `make docs`"


def test_every_key_is_described() -> None:
    schema = json.loads(document.schema())
    for name, model in [*schema["$defs"].items(), ("Study", schema)]:
        for key, field in model.get("properties", {}).items():
            assert field.get("description") or "$ref" in field, f"{name}.{key}"


def with_images(test: int = 100, **images: object) -> Jobs:
    config = changed(lambda c: c["evaluation"].update(images=test))
    return Jobs(parse_study(config | {"images": {"validation": 50, **images}}, "x"))


def test_where_a_data_set_s_files_lie_is_no_part_of_any_spec() -> None:
    here = with_images(source="pcam")
    there = with_images(source="pcam", folder="/scratch/pcam", mirrors=["https://else.where/"])
    assert there.study.images.files[0] == "/scratch/pcam/camelyonpatch_level_2_split_test_x.h5.gz"
    for spec in (
        lambda jobs: jobs.index_images(),
        lambda jobs: jobs.prepare_images("train"),
        lambda jobs: jobs.fetch_images(Path(jobs.study.images.files[0]).name),
    ):
        assert spec(here).text == spec(there).text


def test_more_test_images_concern_no_other_split_unless_they_are_drawn_from_the_same() -> None:
    for source, concerned in (("phantom", {"test"}), ("pcam", {"test"}), ("kaggle", {"test", "train"})):
        few, many = (with_images(count, source=source, train=1000) for count in (100, 200))
        changed = {split for split in few.study.counts if spec_of(few, split) != spec_of(many, split)}
        assert changed == concerned


def spec_of(jobs: Jobs, split: str) -> str:
    return jobs.prepare_images(split).text


def test_without_a_count_all_that_is_left_is_trained_on() -> None:
    assert with_images(source="pcam").study.expected_counts == {"train": 262144, "validation": 50, "test": 100}
    assert with_images(source="kaggle").study.expected_counts["train"] == 220025 - 150


def test_tokens_are_canonical() -> None:
    assert eps_token(2 / 255) == eps_token(0.00784313725490196) == "2_255"
    assert eps_token(0.01) == "0.01"
    assert sigma_token(0.1) == sigma_token(1e-1) == "0.1"


def test_transfer_stacks_are_shared_by_all_defences_and_adaptive_ones_are_not() -> None:
    study = parse_study(DEMO, "x")
    stacks = attacked_stacks(study)
    assert stacks.count(Attacked("resnet", "pgd", 4 / 255, Defence())) == 1
    defended = [cell for cell in cells(study) if cell.attacked and cell.attacked.attack == "pgd-adaptive"]
    assert defended
    assert all(cell.attacked.victim == cell.defence for cell in defended)


def test_every_block_has_its_clean_and_undefended_cells() -> None:
    found = {(cell.stack, cell.defence) for cell in cells(parse_study(DEMO, "x"))}
    for stack, defence in list(found):
        assert ("clean", defence) in found
        if stack.endswith("undefended"):
            assert (stack, Defence()) in found


def test_specs_hold_what_the_stage_reads_and_nothing_else() -> None:
    base = Jobs(parse_study(DEMO, "x"))
    other = Jobs(parse_study(changed(lambda c: c["purifiers"]["ddpm"].update(steps=77)), "x"))
    ddpm, oneshot = (("", "clean", purifier, "0.1") for purifier in ("ddpm", "oneshot"))
    attack = ("", "resnet/pgd/eps-4_255/undefended")
    assert base.purify(*ddpm).text != other.purify(*ddpm).text
    assert base.purify(*oneshot).text == other.purify(*oneshot).text
    assert base.attack(*attack).text == other.attack(*attack).text
    more = Jobs(parse_study(changed(lambda c: c["evaluation"].update(images=300)), "x"))
    assert spec_of(base, "test") != spec_of(more, "test")
    assert spec_of(base, "train") == spec_of(more, "train")


def test_what_a_job_reads_follows_from_what_its_parts_need() -> None:
    jobs = Jobs(parse_study(DEMO, "x"))
    purify = jobs.purify("", "clean", "oneshot", "0.1")
    assert json.loads(jobs.options(purify)[0].removeprefix("--inputs=")) == {
        "images": "results/demo/images/test",
        "diffusion": "results/demo/diffusions/unet",
    }
    assert purify.inputs["diffusion"].manifest == "results/demo/diffusions/unet/manifest.json"
    assert set(jobs.purify("", "clean", "noise", "0.1").inputs) == {"images"}
    bare, defended = (
        jobs.attack("", f"resnet/{place}")
        for place in ("pgd/eps-4_255/undefended", "pgd-adaptive/eps-8_255/oneshot-0.1")
    )
    assert set(bare.inputs) == {"images", "classifier"}
    assert set(defended.inputs) == {"images", "classifier", "diffusion"}
    assert bare.code != defended.code


def test_code_that_loads_a_network_counts_where_one_is_read_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    def entries(job: Job) -> set[str]:
        found = []
        monkeypatch.setattr(jobs_module, "fingerprint", lambda *names: found.extend(names) or "")
        assert job.code == ""
        return set(found)

    jobs = Jobs(parse_study(DEMO, "x"))
    assert entries(jobs.purify("", "clean", "noise", "0.1")) == {"workflow/stages/purify.py", "assay.purifiers.noise"}
    assert "assay.diffusion.denoiser" in entries(jobs.purify("", "clean", "oneshot", "0.1"))
    attack = entries(jobs.attack("", "resnet/pgd/eps-4_255/undefended"))
    assert "assay.networks.classifier" in attack
    assert "assay.diffusion.denoiser" not in attack


def test_swapped_numbers_change_the_spec_and_reordered_keys_do_not() -> None:
    def swap(config: dict) -> None:
        keys = config["classifiers"]["resnet"]
        keys["epochs"], keys["batch_size"] = keys["batch_size"], keys["epochs"]

    def reorder(config: dict) -> None:
        config["classifiers"]["resnet"] = dict(reversed(config["classifiers"]["resnet"].items()))

    def spec(config: dict) -> str:
        return Jobs(parse_study(config, "x")).train_classifier("resnet").text

    base = spec(DEMO)
    assert spec(changed(swap)) != base
    assert spec(changed(reorder)) == base


def test_planning_imports_no_torch_and_no_pandas() -> None:
    code = "import sys, assay.planning.jobs, assay.planning.bring, assay.planning.locks; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "pandas", "matplotlib"} & set(modules)


def test_a_fingerprint_covers_what_is_imported_and_nothing_else() -> None:
    def names(*entries: str) -> set[str]:
        return {path.relative_to(ROOT).as_posix() for path in fingerprint.reachable(*entries)}

    purify = names("workflow/stages/purify.py", "assay.purifiers.ddpm", LOADERS["diffusion"])
    assert {"src/assay/diffusion/samplers.py", "src/assay/noise.py", "src/assay/diffusion/denoiser.py"} <= purify
    assert not any("attacks" in name or "reporting" in name or "purifiers/noise" in name for name in purify)
    transfer = names("workflow/stages/attack.py", "assay.attacks.threats.transfer", "assay.attacks.methods.pgd")
    assert not any("purifiers/" in name and "study" not in name for name in transfer)
    for stage in ("train_classifier", "train_diffusion"):
        assert not any(
            "src/assay/purifiers" in name or "src/assay/attacks" in name
            for name in names(f"workflow/stages/{stage}.py")
        )
    of_cells = ("attack", "purify", "classify", "probe", "certify", "attack_certificates", "choose_sigma")
    for stage in ("train_classifier", "train_diffusion", *of_cells):
        grid = {"src/assay/study/model.py", "src/assay/planning/cells.py"} & names(f"workflow/stages/{stage}.py")
        assert not grid, f"what the config may hold makes no {stage} job anew"


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ('"""Other words."""\n\n\ndef f(x):\n    # why\n    return x + 1\n', True),
        ('"""Words."""\ndef f(x):\n    """More words."""\n    return (x + 1)\n', True),
        ("def f(x):\n    return x + 2\n", False),
        ("def f(y):\n    return y + 1\n", False),
        ('def f(x, key=Field(description="a")):\n    return x + 1\n', False),
    ],
)
def test_a_fingerprint_is_of_the_code_not_of_its_words(tmp_path: Path, text: str, same: bool) -> None:
    first, second = tmp_path / "a.py", tmp_path / "b.py"
    first.write_text('"""Words."""\n\n\ndef f(x):\n    return x + 1\n')
    second.write_text(text)
    assert (fingerprint._tree_hash(first) == fingerprint._tree_hash(second)) is same


@pytest.mark.parametrize(
    ("module", "template", "same"),
    [
        ('PLACE = Path(__file__).parent / "pages"\n', "a", True),
        ('PLACE = Path(__file__).parent / "pages"\n', "b", False),
        ('PLACE = Path(__file__).parent / "other"\n', "b", True),
        ('PLACE = "pages"\n', "b", True),
    ],
)
def test_a_fingerprint_covers_the_files_that_a_module_loads_from_beside_itself(
    tmp_path: Path, module: str, template: str, same: bool
) -> None:
    found = []
    for folder, text in (("first", "a"), ("second", template)):
        (tmp_path / folder / "pages").mkdir(parents=True)
        (tmp_path / folder / "pages/page.html").write_text(text)
        (tmp_path / folder / "module.py").write_text(module)
        found.append(fingerprint.fingerprint(str(tmp_path / folder / "module.py")))
    assert (found[0] == found[1]) is same


def test_the_reports_templates_and_claims_count_in_its_fingerprint_and_in_no_other() -> None:
    def loaded(stage: str) -> set[str]:
        modules = fingerprint.reachable(f"workflow/stages/{stage}.py")
        return {path.name for module in modules for path in fingerprint.data_files(module)}

    assert {"page.html.j2", "style.css", "page.js", "plot.svg.j2", "1-ankile.yaml"} <= loaded("report")
    assert not loaded("attack") | loaded("summarise") | loaded("check")


def test_a_fingerprint_is_the_same_for_every_python(tmp_path: Path) -> None:
    """Later Pythons add fields to the nodes, which are empty in code that has no use for them."""
    tree = ast.parse("class A:\n    def f(self, x=None, *, y=u'1'):\n        return f'{x!r:>{y}}'\n")
    before = fingerprint._text(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            node._fields = (*node._fields, "type_params")
            node.type_params = []
    assert fingerprint._text(tree) == before
    path = tmp_path / "known.py"
    path.write_text("def f(x: int = 1, *rest) -> None:\n    return None\n")
    known = "Module(body=[FunctionDef(args=arguments(args=[arg(annotation=Name(ctx=Load(),id='int'),arg='x')]"
    assert fingerprint._text(ast.parse(path.read_text())).startswith(known)


def test_descriptions_of_keys_are_words_too(tmp_path: Path) -> None:
    first, second = tmp_path / "a.py", tmp_path / "b.py"
    first.write_text('x = Field(1, description="a")\n')
    second.write_text('x = Field(1, description="b")\n')
    assert fingerprint._tree_hash(first) == fingerprint._tree_hash(second)


def test_study_reads_back_from_the_spec_of_the_report() -> None:
    study = parse_study(DEMO, "x")
    again = Study.model_validate_json(Jobs(study).report().text)
    assert again.model_copy(update={"threads": study.threads}) == study


def test_a_block_with_sources_judges_a_classifier_on_stacks_made_on_another() -> None:
    def cross(config: dict) -> None:
        config["classifiers"]["other"] = config["classifiers"]["resnet"] | {"seed": 1}
        config["cross"] = [
            {"attacks": ["pgd"], "purifiers": ["noise"]},
            {"attacks": ["pgd"], "purifiers": [], "classifiers": ["resnet"], "sources": ["other"], "eps": ["4/255"]},
        ]

    study = Study.model_validate(changed(cross))
    crossed = [cell for cell in cells(study) if cell.attacked and cell.attacked.classifier != cell.classifier]
    assert [cell.path for cell in crossed] == ["resnet/other/pgd/eps-4_255/undefended/none/sigma-0"]
    found = rows(study)
    assert {row["attack"] for row in found} == {"none", "pgd", "pgd@other"}
    assert len({tuple(row.values()) for row in found}) == len(cells(study)), "no two rows alike"


def test_only_transfer_attacks_carry_over_to_other_classifiers() -> None:
    def cross(config: dict) -> None:
        config["cross"] = [{"attacks": ["pgd-adaptive"], "sources": ["resnet"]}]

    assert "cross.0.sources: attack 'pgd-adaptive' has the threat adaptive" in fault(cross)
