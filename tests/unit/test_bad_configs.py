"""Bad configs, one line each: planning names the file and the key, and says what is wrong and what to do."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from assay.files import AssayError
from assay.planning.configs import check_arguments, check_configs
from assay.planning.library_names import name_fault
from planned import IMAGES, NAME, STUDY, Place, bring_modules, put, refusal

NAN, INF = float("nan"), float("inf")
LONG = "a" * 300
PLAIN = ("classifiers", "plain")
UNET = ("diffusions", "unet")

PLACES: list[tuple[Place, Any, str]] = [
    # numbers
    ((*PLAIN, "learning_rate"), NAN, "classifiers.plain.learning_rate: must be a finite number, found nan"),
    ((*PLAIN, "epochs"), INF, "classifiers.plain.epochs: must be a finite number, found inf"),
    ((*PLAIN, "std"), [1, 1, NAN], "classifiers.plain.std.2: must be a finite number, found nan"),
    ((*PLAIN, "std"), [0, 1, 1], "classifiers.plain.std.0: must be at least 1e-09, found 0"),
    ((*PLAIN, "arguments", "drop"), NAN, "classifiers.plain.arguments.drop: nan is not a finite number"),
    ((*PLAIN, "arguments", "a"), {"b": [1, INF]}, "classifiers.plain.arguments.a.b.1: inf is not a finite number"),
    ((*UNET, "data_range"), [0, INF], "diffusions.unet.data_range.1: must be a finite number"),
    ((*UNET, "data_range"), [0, 1e-9], "diffusions.unet.data_range: [0.0, 1e-09] is not a range; write [-1, 1]"),
    ((*UNET, "objective", "max_sigma"), 0, "diffusions.unet.objective.max_sigma: must be greater than 0, found 0"),
    (("attacks", "pgd", "eps"), [NAN], "attacks.pgd.eps.0: must be a finite number, found nan"),
    (("attacks", "pgd", "eps"), ["9" * 400 + "/3"], "attacks.pgd.eps.0: '999"),
    (("attacks", "pgd", "eps"), ["1/0"], "attacks.pgd.eps.0: '1/0' is not a number; write 0.01 or 2/255"),
    (("attacks", "length", "eps"), [1e6], "attacks.length.eps: 1e+06 lies outside [0,2000]"),
    (("purifiers", "noise", "sigmas"), [INF], "purifiers.noise.sigmas.0: must be a finite number, found inf"),
    (("purifiers", "own", "width"), NAN, "purifiers.own.width: nan is not a finite number; write one"),
    (("seed",), -1, "seed: must be at least 0, found -1"),
    (("seed",), 2**64, "seed: must be at most 9223372036854775807"),
    # lists
    ((*UNET, "channels"), [], "diffusions.unet.channels: has 0 of the 1 entries that it needs at least"),
    ((*UNET, "channels"), [4, 4], "diffusions.unet.channels: [4, 4] has fewer than 8 channels where there is self-"),
    ((*UNET, "attention_levels"), [2], "diffusions.unet.attention_levels: [2] must lie in 0..1"),
    (("purifiers", "noise", "sigmas"), [], "purifiers.noise.sigmas: has 0 of the 1 entries"),
    (("purifiers", "noise", "sigmas"), 0.1, "purifiers.noise.sigmas: is not a list; write [0.1]"),
    # sizes
    (("evaluation", "batch_size"), 1e9, "evaluation.batch_size: 1000000000 is more than there are images"),
    (
        ("evaluation", "batch_size"),
        65,
        "evaluation.batch_size: 65 is more than there are images, and batches are padded",
    ),
    (("images", "train"), 10**12, "images.train: must be at most 1000000000, found 1000000000000"),
    (("threads",), 10**6, "threads: must be at most 1024, found 1000000"),
    ((*PLAIN, "ranks"), {"gpus": 1000}, "classifiers.plain.ranks.gpus: must be at most 64, found 1000"),
    (("classifiers", "robust", "batch_size"), 3, "classifiers.robust.batch_size: 3 cannot be shared by 2 ranks and"),
    (("images", "train"), 1, "classifiers.robust.accumulate: 1 images cannot be shared by 2 ranks and parts"),
    (("classifiers", "robust", "augment", 1), {"crop": 17}, "classifiers.robust.augment.1.padding: 17 is more than"),
    (("images", "size"), 17, "diffusions.unet.channels: images of 17 pixels (images.size) cannot be halved 1 times"),
    ((*UNET, "time_steps"), 1, "purifiers.oneshot.sigmas: 0.1 is above 0.005, the highest sigma of the noise schedule"),
    # names and paths
    (("study",), LONG, "study: must have at most 64 characters, found 'aaa"),
    (("purifiers", LONG), STUDY["purifiers"]["noise"], f"purifiers.{LONG}: must have at most 64 characters"),
    (("study",), "ti/ny", "study: 'ti/ny' is not a valid name; use letters, digits, - and _"),
    (("a\nb",), 1, "a\\nb: unknown key; known are attacks,"),
    ((1,), 1, "1: must be a text, found 1"),
    ((*PLAIN, "network"), "timm/../x", "classifiers.plain.network: 'timm/../x' does not name a network; write timm/N"),
    ((*PLAIN, "network"), "timm/resnet1", "classifiers.plain.network: timm has no network 'resnet1'; did you mean"),
    ((*PLAIN, "network"), "torchvision/resnet19", "classifiers.plain.network: torchvision has no network 'resnet19'"),
    (
        ("classifiers", "toolbox", "network"),
        "torchvision/densenet121",
        "classifiers.toolbox.network: layout tiatoolbox of torchvision/densenet121 is not read",
    ),
    (
        ("classifiers", "toolbox", "sha256"),
        "0",
        "classifiers.toolbox.sha256: '0' is not a SHA-256; write its 64 digits",
    ),
    (
        ("classifiers", "timm", "published"),
        "hf-hub:x",
        "classifiers.timm.published: 'hf-hub:x' does not name a repository of the hub; write hf-hub:OWNER/NAME",
    ),
    (
        ("classifiers", "timm", "published"),
        "weights/{net}",
        "classifiers.timm.published: 'weights/{net}' has {net} in it, which means something to Snakemake; rename",
    ),
    (
        ("diffusions", "elsewhere", "published"),
        "<results>/x",
        "diffusions.elsewhere.published: '<results>/x' has <results> in it",
    ),
    (
        ("classifiers", "timm", "published"),
        "weights/nowhere",
        "classifiers.timm.published: weights/nowhere: not found; published must name a folder, a file or hf-hub:",
    ),
    (("classifiers", "timm", "published"), LONG, f"classifiers.timm.published: {LONG}: not found"),
    (("classifiers", "timm", "published"), "a\0b", "classifiers.timm.published: 'a\\x00b' has a control character"),
    (("classifiers", "timm", "revision"), "a b", "classifiers.timm.revision: 'a b' is not a commit"),
    (("purifiers", "own", "module"), "mine/none.py", "purifiers.own.module: mine/none.py not found; give its path"),
    (("purifiers", "own", "module"), "mine", "purifiers.own.module: 'mine' is not a Python file; name one that ends"),
    (("purifiers", "own", "module"), f"{LONG}.py", f"purifiers.own.module: {LONG}.py not found"),
    (("purifiers", "own", "uses"), {"x": ["selection", "y"]}, "purifiers.own.uses.x: a selection is nothing to name"),
    (("purifiers", "own", "uses"), {"diffusion": ["classifier", "plain"]}, None),
    (("images",), IMAGES["kaggle"] | {"folder": "nowhere"}, "images.folder: nowhere not found; put the data set there"),
    (("images",), IMAGES["folder"] | {"folder": "a.txt"}, "images.folder: a.txt is not a folder or .zip or .tar"),
    (("images",), IMAGES["pcam"] | {"folder": "a.txt"}, "images.folder: a.txt is no folder; name one that the files"),
    (("images",), IMAGES["pcam"] | {"folder": "{x}"}, "images.folder: '{x}' has {x} in it, which means something to"),
    (("images",), IMAGES["pcam"] | {"validation": 40000}, "images.validation: 40008 images (validation and selection"),
    (("images",), IMAGES["pcam"] | {"mirrors": ["ftp://x"]}, "images.mirrors.0: 'ftp://x' is not an address; begin it"),
    (("study",), "taken", "study: results/taken is no folder, and what the study makes lies in one; move it away"),
]


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory that has what the config names, and some things that are not what they should be."""
    here, there = Path.cwd(), tmp_path_factory.mktemp("study")
    os.chdir(there)
    bring_modules(there)
    (there / "a.txt").write_text("a text")
    (there / "results").mkdir()
    (there / "results/taken").write_text("a file")
    yield there
    os.chdir(here)


@pytest.mark.parametrize(("place", "value", "message"), PLACES)
def test_a_bad_config_is_refused_in_one_line_with_its_key(place: Place, value: Any, message: str | None) -> None:
    said = refusal(put(STUDY, place, value))
    if message is None:
        assert said is None
        return
    assert said is not None
    assert said.startswith(f"{NAME}: {message}")
    assert "\n" not in said


def test_where_nothing_lies_a_study_has_no_folder_to_be_made_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    bring_modules(tmp_path)
    assert refusal(STUDY) is None
    (tmp_path / "results").write_text("a file")
    assert refusal(STUDY) == (
        f"{NAME}: study: results is no folder, and what the study makes lies in one; move it away"
    )


# published weights


@pytest.mark.parametrize("name", ["checkpoint_path", "pretrained", "weights", "weights_backbone"])
def test_a_network_is_given_no_weights_as_an_argument_which_the_key_would_not_hold(name: str) -> None:
    config = put(STUDY, ("classifiers", "plain", "arguments"), {name: "weights/net.pth"})
    assert refusal(config) == (
        f"{NAME}: classifiers.plain.arguments.{name}: weights are no argument of a network; remove it, "
        "and name them under published"
    )


TIMM = {"architecture": "resnet18", "num_classes": 2, "pretrained_cfg": {"mean": [0, 0, 0], "std": [1, 1, 1]}}
UNET_CONFIG = {"_class_name": "UNet2DModel", "block_out_channels": [8, 16]}
WEIGHTS = b"\2\0\0\0\0\0\0\0{}"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, None),
        ({"architecture": "../x"}, "not a timm network's config (architecture: String should match pattern"),
        ({"architecture": "resnet1"}, "timm has no network 'resnet1'; did you mean"),
        ({"num_classes": "2"}, None),
        ({"num_classes": "two"}, "not a timm network's config (num_classes: Input should be a valid integer"),
        ({"num_classes": None}, "not a timm network's config ('num_classes' is missing); check layout"),
        ({"pretrained_cfg": {}}, "not a timm network's config ('mean' is missing); check layout"),
        ({"pretrained_cfg": {"mean": "x"}}, "not a timm network's config (pretrained_cfg.mean: Input should be"),
        (
            {"pretrained_cfg": {"mean": [0, 0, 0], "std": [0, 1, 1]}},
            "not a timm network's config (pretrained_cfg.std.0",
        ),
        ({"pretrained_cfg": None}, "not a timm network's config (pretrained_cfg: Input should be"),
        ({"model_args": {"x": NAN}}, "not a timm network's config (model_args: "),
        (
            {"model_args": {"checkpoint_path": "x.pth"}},
            "not a timm network's config (model_args: Value error, checkpoint",
        ),
    ],
)
def test_what_a_local_config_of_timm_says_is_read_when_planning(changes: dict, message: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(TIMM | changes))
    (tmp_path / "model.safetensors").write_bytes(WEIGHTS)
    said = refusal(put(STUDY, ("classifiers", "timm", "published"), str(tmp_path)))
    if message is None:
        assert said is None
        return
    assert said is not None
    assert said.startswith(f"{NAME}: classifiers.timm.published: {tmp_path}/config.json: {message}")
    assert "\n" not in said


def test_a_classifier_of_other_classes_and_missing_files_are_known_when_planning(tmp_path: Path) -> None:
    def said() -> str:
        return refusal(put(STUDY, ("classifiers", "timm", "published"), str(tmp_path))) or ""

    assert f"{tmp_path}: has no config.json; check published" in said()
    (tmp_path / "config.json").write_text("[]")
    assert "config.json: not a timm network's config (all of it: " in said()
    (tmp_path / "config.json").write_text(json.dumps(TIMM | {"num_classes": 10}))
    assert f"{tmp_path}: tells 10 classes apart, the images have 2; choose another" in said()
    (tmp_path / "config.json").write_text(json.dumps(TIMM))
    assert f"{tmp_path}: has no model.safetensors" in said()
    (tmp_path / "model.safetensors").write_text("Not found")
    assert "model.safetensors: does not begin as weights do (is it a text, or a download that failed?)" in said()


def test_a_published_file_that_is_a_text_is_known_when_planning(tmp_path: Path) -> None:
    weights = tmp_path / "net.pth"
    weights.write_text("<!DOCTYPE html>")
    said = refusal(put(STUDY, ("classifiers", "toolbox", "published"), str(weights)))
    assert said is not None
    assert said.startswith(f"{NAME}: classifiers.toolbox.published: {weights}: does not begin as weights do")
    torch.save({}, weights)
    assert refusal(put(STUDY, ("classifiers", "toolbox", "published"), str(weights))) is None


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", UNET_CONFIG | {"in_channels": 4}, "takes 4 and gives 3 channels"),
        (
            "config.json",
            UNET_CONFIG | {"block_out_channels": [8] * 6},
            "takes images whose sides are multiples of 32, and",
        ),
        ("config.json", UNET_CONFIG | {"in_channels": "x"}, "not a U-Net's config (in_channels: Input should be"),
        ("config.json", UNET_CONFIG | {"_class_name": ["x"]}, "not a U-Net's config (_class_name: Input should be"),
        ("scheduler/scheduler_config.json", {"prediction_type": ["x"]}, "not a scheduler's config (prediction_type: "),
        ("scheduler/scheduler_config.json", {"beta_start": "x"}, "not a scheduler's config (beta_start: "),
        ("scheduler/scheduler_config.json", {"prediction_type": "v_prediction"}, "its prediction is v, the config's"),
    ],
)
def test_what_a_local_diffusion_says_is_read_when_planning(
    name: str, content: dict, message: str, tmp_path: Path
) -> None:
    (tmp_path / "scheduler").mkdir()
    (tmp_path / "config.json").write_text(json.dumps(UNET_CONFIG))
    (tmp_path / "diffusion_pytorch_model.safetensors").write_bytes(WEIGHTS)
    config = put(STUDY, ("diffusions", "elsewhere", "published"), str(tmp_path))
    assert refusal(config) is None
    (tmp_path / name).write_text(json.dumps(content))
    said = refusal(config)
    assert said is not None
    assert said.startswith(f"{NAME}: diffusions.elsewhere.published: {tmp_path / name}: {message}")
    assert "\n" not in said


@pytest.mark.parametrize(
    "name",
    ["timm/resnet18", "timm/resnet18.a1_in1k", "timm/tv_resnet34", "torchvision/resnet101", "torchvision/ResNet18"],
)
def test_a_network_that_a_library_has_is_found_in_its_files(name: str) -> None:
    assert name_fault(name) is None


# files


FILES: dict[str, tuple[bytes, str | None]] = {
    "empty": (b"", "is empty; write the keys of a study (see config/README.md)"),
    "a list": (b"- a\n", "holds no keys; write those of a study at its top level (see config/README.md)"),
    "a word": (b"study", "holds no keys; write those of a study at its top level (see config/README.md)"),
    "Latin-1": (b"study: d\xe9mo\n", "is not UTF-8 text (byte 8); save it as UTF-8"),
    "UTF-16": ("study: demo\n".encode("utf-16"), "is not UTF-8 text (byte 0); save it as UTF-8"),
    "UTF-8 with a mark": ("\ufeffstudy: demo\n".encode(), None),
    "no YAML": (b"study: [x\n", "is not valid YAML (line 2: expected ',' or ']', but got '<stream end>'); correct it"),
    "a tab": (b"a:\n\tb: 1\n", "is not valid YAML (line 2: found character '\\t' that cannot start any token)"),
    "two documents": (b"a: 1\n---\nb: 2\n", "is not valid YAML (line 2: but found another document); correct it"),
    "no date": (b"study: 2020-13-45\n", "is not valid YAML (month must be in 1..12); correct it"),
    "a long number": (b"seed: " + b"1" * 5000, "is not valid YAML (Exceeds the limit (4300 digits)"),
    "deep": (b"a: " + b"[" * 5000 + b"]" * 5000, "is nested too deeply; write it flatter"),
    "a circle": (b"a: &x {b: *x}\n", "a.b: refers to itself; write it out"),
    "an anchor": (b"a: &x {b: 1}\nc: *x\nd: *x\n", None),
    "a key twice": (b"a:\n  b: 1\n  c: 2\n  b: 3\n", "a.b: stands there twice (lines 2 and 4); remove one"),
    "a key twice in a list": (b"- a\n", "holds no keys"),
    "a quoted key twice": (b'cross:\n - {a: 1}\n - {a: 1, "a": 2}\n', "cross.1.a: stands there twice (lines 3 and 3)"),
    "JSON": (b'{"study":\t"x"}', None),
    "JSON with a key twice": (b'{"a": {"b": 1, "b": 2}}', "b: stands there twice; remove one"),
    "pathvars": (b"pathvars: 3\n", "pathvars: means something to Snakemake, and nothing to a study; remove it"),
    "a template": (b"__use_yte__: true\n", "__use_yte__: means something to Snakemake"),
}


@pytest.mark.parametrize("case", FILES)
def test_a_config_file_that_is_none_is_refused_by_name(case: str, tmp_path: Path) -> None:
    content, message = FILES[case]
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    if message is None:
        check_configs([path])
        return
    with pytest.raises(AssayError) as caught:
        check_configs([path])
    assert str(caught.value).startswith(f"{path}: {message}")
    assert str(caught.value).isprintable()


def test_a_config_that_is_not_there_or_a_folder_is_refused_by_name(tmp_path: Path) -> None:
    for path, message in (
        (tmp_path / "none.yaml", "not found; correct --configfile"),
        (tmp_path, "is a folder; name a file in it"),
        (tmp_path / LONG, "cannot be read (File name too long); correct --configfile"),
    ):
        with pytest.raises(AssayError) as caught:
            check_configs([path])
        assert str(caught.value).startswith(f"{path}: {message}")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-n", "--configfile", "none.yaml"], "error: none.yaml: not found; correct --configfile"),
        (["--configfiles", "good.yaml", "none.yaml", "-n"], "error: none.yaml: not found; correct --configfile"),
        (["--configfile", "good.yaml", "--config", "seed"], "error: --config: 'seed' is not KEY=VALUE; write --config"),
        (["--configfile", "good.yaml", "--config", "seed=1", "--cores", "2"], None),
        ([], None),
    ],
)
def test_the_command_line_is_looked_at_before_snakemake_reads_configs(
    arguments: list[str], said: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.yaml").write_text("study: x\n")
    monkeypatch.setattr("sys.argv", ["snakemake", *arguments])
    if said is None:
        check_arguments()
        return
    with pytest.raises(SystemExit) as ended:
        check_arguments()
    assert str(ended.value).startswith(said)
