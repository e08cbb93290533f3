"""The command `assay`: what it is told, the configs that it writes, and what people see of a run."""

import io
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from assay.commands import COMMANDS, dispatch, new
from assay.commands.image_folder import look
from assay.commands.live import Live, quiet_jobs
from assay.commands.studies import config_of, results_of, snakefile_options, split_words
from assay.files import AssayError
from assay.planning.bring import plan_study
from assay.study.parse import parse_study

ROOT = Path(__file__).parents[2]
PURIFIER = "def build(spec, inputs):\n    return lambda x, noise: x\n"


def write_images(folder: Path, classes: dict[str, int], size: tuple[int, int] = (50, 40)) -> Path:
    """A folder with so many images of each class."""
    for name, images in classes.items():
        (folder / name).mkdir(parents=True)
        for index in range(images):
            Image.fromarray(np.full((*size, 3), index, np.uint8)).save(folder / name / f"{index}.png")
    return folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of one's own to work in, without a terminal."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    return tmp_path


# the words of the command line


def test_every_command_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    for command in COMMANDS:
        with pytest.raises(SystemExit) as end:
            dispatch([command, "--help"])
        assert end.value.code == 0
        assert capsys.readouterr().out.startswith(f"usage: assay {command} ")


def test_the_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        dispatch(["--help"])
    text = capsys.readouterr().out
    assert all(f"\n  {command} " in text for command in COMMANDS)


def test_a_study_is_found_by_its_config_its_folder_or_its_name(here: Path) -> None:
    (here / "config").mkdir()
    (here / "config/own.yaml").write_text("study: mine\n")
    (here / "results/mine").mkdir(parents=True)
    own = here / "config/own.yaml"
    assert [config_of(word).resolve() for word in ("config/own.yaml", "own", "mine", "results/mine")] == [own] * 4
    assert config_of("demo") == ROOT / "config/config.yaml"
    for word in ("results/mine", "mine", "config/own.yaml"):
        assert results_of(word) == Path("results/mine")
    assert split_words(["own", "--cores", "2"]) == (["--configfile", str(own)], ["--cores", "2"])
    assert split_words(["--cores", "2"]) == ([], ["--cores", "2"])


@pytest.mark.parametrize(
    ("find", "word", "message"),
    [
        (config_of, "none.yaml", "none.yaml: not found; name a config file"),
        (config_of, "none", "none: is no config file, and no study in config/"),
        (results_of, "none", "none: there is no such folder, .*; run the study first"),
    ],
)
def test_a_study_that_is_not_there_is_one_clear_line(here: Path, find, word: str, message: str) -> None:
    with pytest.raises(AssayError, match=message):
        find(word)


def test_the_workflow_is_named_where_the_folder_has_none(here: Path) -> None:
    assert snakefile_options() == ["--snakefile", str(ROOT / "Snakefile")]
    (here / "Snakefile").touch()
    assert snakefile_options() == []


# new


def study_of(path: str):
    return parse_study(yaml.safe_load(Path(path).read_text()), path)


def test_a_folder_of_images_becomes_a_study(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_images(here / "my pictures", {"cat": 40, "dog": 20})
    new.main(["--images", "my pictures", "--eps", "4/255"], "assay new")
    assert "60 images of 2 classes (cat, dog)" in capsys.readouterr().out
    study = study_of("config/my-pictures.yaml")
    assert (study.study, study.images.folder, study.images.classes) == ("my-pictures", "my pictures", ("cat", "dog"))
    assert (study.images.size, study.evaluation.images, study.images.validation) == (32, 10, 10)
    assert {eps for attack in study.attacks.values() for eps in attack.eps} == {4 / 255}
    assert {attack.threat.name for attack in study.attacks.values()} == {"transfer", "bpda", "adaptive", "locked"}


@pytest.mark.parametrize(
    ("parts", "drawn"),
    [
        (("train", "val", "test"), {"train": "train", "validation": "val", "test": "test"}),
        (("train", "val"), {"train": "train", "validation": "val", "test": "val"}),
        (("Train", "test"), {"train": "Train", "validation": "Train", "test": "test"}),
    ],
)
def test_parts_of_the_images_are_found(here: Path, parts: tuple[str, ...], drawn: dict[str, str]) -> None:
    for part in parts:
        write_images(here / "set/inside" / part, {"a": 8, "b": 8})
    assert look(Path("set")).parts == drawn
    new.main(["--images", "set"])
    study = study_of("config/set.yaml")
    assert study.images.parts == drawn
    assert study.evaluation.images == (16 if drawn["test"] != drawn["validation"] else 4)


def test_a_defence_of_ones_own_needs_no_diffusion(here: Path) -> None:
    write_images(here / "set", {"a": 8, "b": 8})
    (here / "mine.py").write_text(PURIFIER)
    new.main(["own", "--images", "set", "--purifier", "mine.py", "--size", "48", "--out", "own.yaml"])
    study = plan_study(yaml.safe_load(Path("own.yaml").read_text()), "own.yaml")
    assert (study.study, list(study.purifiers), study.diffusions, study.images.size) == (
        "own",
        ["mine", "noise"],
        {},
        48,
    )


def test_what_no_option_says_is_asked(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_images(here / "set", {"a": 8, "b": 8})
    answers = {"Folder": "set", "Name": "asked", "Largest": "2/255"}
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: answers.get(question.split()[0], ""))
    new.main([])
    assert study_of("config/asked.yaml").attacks["pgd"].eps == [2 / 255]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "--images: missing"),
        (["--images", "none"], "none: not found"),
        (["--images", "one"], "one: needs a folder with images for each of two classes"),
        (["--images", "few"], "a class has 3 images; add some"),
        (["--images", "set", "--eps", "9"], "--eps: '9' is not a number between 0 and 1"),
        (["--images", "set", "--classifier", "none"], r"set.yaml: classifiers.classifier.published: none: not found"),
        (["a b", "--images", "set"], r"a b.yaml: study: 'a b' is not a valid name"),
        (["there", "--images", "set"], "there.yaml: is there already"),
    ],
)
def test_what_cannot_be_written_is_one_clear_line(here: Path, words: list[str], message: str) -> None:
    write_images(here / "set", {"a": 8, "b": 8})
    write_images(here / "one", {"a": 8})
    write_images(here / "few", {"a": 8, "b": 3})
    (here / "config").mkdir()
    (here / "config/there.yaml").touch()
    with pytest.raises(AssayError, match=message) as error:
        new.main(words)
    assert "\n" not in str(error.value)
    assert os.listdir(here / "config") == ["there.yaml"]


# what people see of a run


def test_a_stage_is_a_line_once_its_last_job_ended() -> None:
    live = Live(io.StringIO())
    live.planned({"attack": 2, "attack_part": 1, "report": 1, "all": 1, "total": 5})
    for number, rule in enumerate(("attack_part", "attack", "attack", "report", "all")):
        live.started(number, rule)
    for number in (0, 1, 4):
        live.finished(number)
    assert live.out.getvalue() == "4 jobs to run\n"
    live.finished(2)
    assert live.out.getvalue() == "4 jobs to run\nattack: 3 jobs in 0:00\n"


def test_a_failed_job_says_why_and_where_its_log_is(tmp_path: Path) -> None:
    log = tmp_path / "attack.log"
    log.write_text("attack: 1/9 batches\nerror: the disk is full\n")
    live = Live(io.StringIO())
    live.started(3, "attack")
    live.broke(3, "attack", [str(log)])
    assert live.out.getvalue() == f"error: the disk is full\n  its log: {log}\n"
    live.broke(4, "purify", [])
    assert live.out.getvalue().endswith("error: purify failed\n")
    assert live.failed == 2


def test_on_a_terminal_there_is_a_bar_with_the_stages_that_run() -> None:
    out = io.StringIO()
    out.isatty = lambda: True
    live = Live(out)
    live.planned({"attack": 2, "report": 1})
    live.started(0, "attack")
    live.bar.refresh()
    assert "0/3 jobs" in out.getvalue()
    assert "attack 0/2" in out.getvalue()
    live.close()


def test_the_time_left_is_told_once_every_long_stage_has_a_job_that_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("assay.commands.live.time.monotonic", lambda: now)
    live = Live(io.StringIO())
    live.planned({"train_classifier": 1, "attack": 4, "report": 1})
    live.started(0, "train_classifier")
    now = 100.0
    live.finished(0)
    live.started(1, "attack")
    live.started(2, "attack")
    assert live.left() is None
    now = 120.0
    live.finished(1)
    live.started(3, "attack")
    assert live.left() == 3 * 20 / 2


def test_what_jobs_print_is_kept_from_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet_jobs() as out:
        os.system("echo from a job")
        out.write("from the run\n")
    os.system("echo after")
    assert capfd.readouterr().out == "from the run\nafter\n"
