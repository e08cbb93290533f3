"""The programs that people run by hand, mostly in a subprocess as people do: view, verify, compare, plan."""

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

import study_tables
from assay.artifacts import Wanted
from assay.evaluation.summary import judge, summarise, write_table
from assay.files import AssayError
from assay.planning.dry_run import Planned
from assay.planning.plan import past_times
from assay.planning.plan import render as render_plan
from assay.reporting.audit import audit
from assay.reporting.comparison import compare, read_side, render
from assay.reporting.difference import amplification
from assay.reporting.inspection import choose, describe, locate, view
from assay.reporting.sheet import columns
from stack_files import write_stack

ROOT = Path(__file__).parents[2]
IMAGES, SIZE, DRAWS, STEP = 6, 16, 2, 8
IDS = [f"p{index}" for index in range(IMAGES)]
LABELS = np.array([0, 1, 0, 1, 0, 1])
ATTACKED = "net/pgd/eps-8_255/undefended"
ADAPTIVE = "net/adaptive/eps-8_255/noise-0.1"
CLEAN_RIGHT = np.array([[1], [1], [1], [1], [0], [0]], bool)
ATTACKED_RIGHT = np.array([[0], [0], [1], [0], [0], [1]], bool)
PURIFIED_RIGHT = np.array([[1, 0], [1, 1], [0, 1], [0, 0], [1, 1], [0, 0]], bool)


def run(program, *arguments):
    folder = "scripts" if (ROOT / f"scripts/{program}.py").is_file() else "workflow/stages"
    command = [sys.executable, f"{folder}/{program}.py", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def write_images(folder, images, **columns_of_table):
    with Wanted(folder, "stack", {}, "code", {}).write({}) as draft:
        write_stack(draft, images, pd.DataFrame(columns_of_table))
        draft.facts["classes"] = ["normal", "tumour"]


def write_scores(folder, correct, ids=IDS):
    study_tables.write_scores(folder, study_tables.logits_of(correct, LABELS), LABELS, ids)


def write_study_summary(study):
    keys = {"classifier": "net", "attack": "pgd", "threat": "transfer", "norm": "Linf", "eps": 8 / 255}
    clean = {"classifier": "net", "attack": "none", "threat": "none", "norm": "none", "eps": 0.0}
    cells = [
        (clean, "none", 0.0, "net/clean/none/sigma-0"),
        (keys, "none", 0.0, f"net/{ATTACKED}/none/sigma-0"),
        (keys, "noise", 0.1, f"net/{ATTACKED}/noise/sigma-0.1"),
    ]
    rows = [cell | {"defence": defence, "sigma": sigma, "scores": place} for cell, defence, sigma, place in cells]
    write_table(summarise(study.name, judge(rows, study / "scores")), study / "summary.csv")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A study of six images whose attack moves every value by 8 grey levels, up or down."""
    study = tmp_path_factory.mktemp("results") / "tiny"
    generator = np.random.default_rng(0)
    clean = generator.integers(60, 190, (IMAGES, SIZE, SIZE, 3), np.uint8)
    attacked = (clean + STEP * generator.choice([-1, 1], clean.shape)).astype(np.uint8)
    purified = 257 * np.repeat(clean, DRAWS, axis=0).astype(np.uint16)
    purified[1::2] += 257  # draw 1: one grey level up
    write_images(study / "images/test", clean, id=IDS, label=LABELS)
    write_images(study / "images/train", clean, id=IDS, label=LABELS)
    write_images(study / "adversarial" / ATTACKED, attacked, id=IDS, label=LABELS, linf=STEP / 255)
    write_images(study / "adversarial" / ADAPTIVE, attacked, id=IDS, label=LABELS, fooled=[1, 0, 0, 1, 1, 1])
    draws = {"id": np.repeat(IDS, DRAWS), "label": np.repeat(LABELS, DRAWS), "draw": np.tile([0, 1], IMAGES)}
    write_images(study / "purified" / ATTACKED / "noise/sigma-0.1", purified, **draws)
    write_images(study / "purified/clean/noise/sigma-0.1", purified, **draws)
    write_scores(study / "scores/net/clean/none/sigma-0", CLEAN_RIGHT)
    write_scores(study / f"scores/net/{ATTACKED}/none/sigma-0", ATTACKED_RIGHT)
    write_scores(study / f"scores/net/{ATTACKED}/noise/sigma-0.1", PURIFIED_RIGHT)
    write_study_summary(study)
    return study


@pytest.fixture
def study(made, tmp_path):
    return Path(shutil.copytree(made, tmp_path / "tiny"))


# all programs


def test_every_program_starts():
    programs = [path.stem for folder in ("scripts", "workflow/stages") for path in sorted((ROOT / folder).glob("*.py"))]
    with ThreadPoolExecutor(2) as pool:
        for program, done in zip(programs, pool.map(lambda program: run(program, "--help"), programs), strict=True):
            assert (done.returncode, done.stderr) == (0, ""), program
            assert done.stdout.startswith(f"usage: {program}.py"), program


# view


def test_a_stack_is_found_in_its_study(made):
    place = locate(made / "purified" / ATTACKED / "noise/sigma-0.1")
    assert (place.study, place.kind, place.source) == (made, "purified", ATTACKED)
    assert place.defence == "noise/sigma-0.1"
    assert locate(made / "purified/clean/noise/sigma-0.1").source == "clean"
    with pytest.raises(AssayError, match="no stack of a study"):
        locate(made / "scores/net/clean/none/sigma-0")


def test_each_stage_shows_the_same_images(made):
    stack = view(made / "purified" / ATTACKED / "noise/sigma-0.1", draw=1)
    assert list(stack.stages) == ["clean", "attacked", "purified"]
    chosen = np.array([4, 1])
    clean, attacked, purified = (stage.pixels(chosen) for stage in stack.stages.values())
    assert np.allclose(np.abs(attacked - clean), STEP / 255)
    assert np.allclose(purified - clean, 1 / 255)
    assert stack.stages["purified"].right.tolist() == PURIFIED_RIGHT[:, 1].tolist()


@pytest.mark.parametrize(
    ("stack", "draw", "filters", "expected"),
    [
        (f"adversarial/{ATTACKED}", 0, {}, [0, 1, 2, 3, 4, 5]),
        (f"adversarial/{ATTACKED}", 0, {"fooled": True}, [0, 1, 3]),
        (f"adversarial/{ATTACKED}", 0, {"fooled": True, "label": "tumour"}, [1, 3]),
        (f"adversarial/{ATTACKED}", 0, {"ids": ["p5", "p1"]}, [5, 1]),
        (f"purified/{ATTACKED}/noise/sigma-0.1", 0, {"fooled": True}, [2, 3]),
        (f"purified/{ATTACKED}/noise/sigma-0.1", 1, {"fooled": True}, [0, 3]),
        (f"adversarial/{ADAPTIVE}", 0, {"fooled": True}, [0, 3]),
        ("images/train", 0, {"label": "normal"}, [0, 2, 4]),
    ],
)
def test_filters(made, stack, draw, filters, expected):
    assert choose(view(made / stack, draw), **filters).tolist() == expected


@pytest.mark.parametrize(
    ("stack", "draw", "filters", "message"),
    [
        (f"adversarial/{ATTACKED}", 0, {"ids": ["p9"]}, "tiny has no image p9"),
        (f"adversarial/{ATTACKED}", 0, {"label": "mucus"}, "mucus is not a class of tiny: normal, tumour"),
        (f"adversarial/{ATTACKED}", 0, {"ids": ["p0"], "label": "tumour"}, "no image passes the filters"),
        (f"purified/{ATTACKED}/noise/sigma-0.1", 2, {}, "has draws 0 to 1, not 2"),
        ("images/test", 0, {"fooled": True}, "these images are clean"),
        ("purified/clean/noise/sigma-0.1", 0, {"fooled": True}, "no scores clean/noise/sigma-0.1"),
    ],
)
def test_what_cannot_be_chosen_is_one_clear_error(made, stack, draw, filters, message):
    with pytest.raises(AssayError, match=message):
        choose(view(made / stack, draw), **filters)


def test_verdicts_on_test_images_are_not_shown_beside_training_images(made):
    assert view(made / "images/test").stages["clean"].right.tolist() == CLEAN_RIGHT[:, 0].tolist()
    assert view(made / "images/train").stages["clean"].right is None


def test_the_histogram_counts_grey_levels(made):
    counts = view(made / "adversarial" / ATTACKED).histogram("attacked", np.arange(IMAGES))
    assert counts.sum() == IMAGES * SIZE * SIZE * 3
    assert np.flatnonzero(counts).tolist() == [255 - STEP, 255 + STEP]


def test_differences_are_amplified_around_grey(made):
    stack = view(made / "adversarial" / ATTACKED)
    clean, attacked, change = columns(stack, np.array([0, 1]))
    assert (clean.caption, attacked.caption, change.caption) == ("clean", "attacked", "attacked − clean\n× 8")
    moved = attacked.images.astype(int) - clean.images
    assert np.abs(change.images - (127.5 + 8 * moved)).max() <= 0.5
    assert amplification(np.zeros(3)) == 1
    assert amplification(np.full(3, 0.9)) == 1
    assert amplification(np.full(3, 1e-9)) == 128


def test_the_description_gives_table_and_verdicts(made):
    text = describe(view(made / "adversarial" / ATTACKED), np.arange(IMAGES))
    assert "6 images (3 normal, 3 tumour), 1 draw; 6 pass the filters" in text
    assert "linf" in text
    assert "attacked: 2 of 6 classified right" in text
    assert "attacked - clean: 8.00 grey levels per value on average, at most 8" in text


def test_view_writes_a_contact_sheet_where_it_says(study):
    done = run("view", study / "purified" / ATTACKED / "noise/sigma-0.1", "--count", 4)
    assert done.returncode == 0, done.stderr
    path = study / "view/purified-net-pgd-eps-8_255-undefended-noise-sigma-0.1.png"
    assert done.stdout.endswith(f"4 images: {path}\n")
    with Image.open(path) as sheet:
        assert min(sheet.size) > 300
        assert len(sheet.convert("RGB").getcolors(1 << 24)) > 100


def test_view_writes_a_tiff_that_imagej_reads(study):
    path = study / "some.tif"
    done = run("view", study / "adversarial" / ATTACKED, "--fooled", "--tiff", path)
    assert done.returncode == 0, done.stderr
    assert not (study / "view").exists()
    with tifffile.TiffFile(path) as file:
        assert file.is_imagej
        assert (file.series[0].axes, file.series[0].shape) == ("TZYXS", (3, 3, SIZE, SIZE, 3))
        labels = file.imagej_metadata["Labels"]
        assert labels[:3] == [
            "p0, normal: clean",
            "p0, normal: attacked",
            "p0, normal: attacked - clean x 8",
        ]
        clean = tifffile.imread(study / "images/test/images.tif")
        assert np.array_equal(file.asarray()[:, 0], clean[[0, 1, 3]])


def test_view_fails_in_one_line(study):
    done = run("view", study / "nowhere")
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


# verify


def test_a_whole_study_is_verified(study):
    (study / "summary.csv").unlink()
    done = run("verify", study)
    assert done.returncode == 0
    note, closing = done.stdout.splitlines()
    assert note == f"note: {study}: has no tables yet; what its artifacts were made of was not followed"
    assert closing == "verified 9 artifacts, 18 files, 0.00 GB: all whole"
    assert "verify: 9/9 artifacts" in done.stderr


def test_one_artifact_is_verified(study):
    (study / "summary.csv").unlink()
    assert str(audit([study / "images/test"])) == "verified 1 artifact, 2 files, 0.00 GB: all whole"


def test_every_fault_is_named(study):
    (study / "summary.csv").unlink()
    with open(study / "images/test/images.tif", "r+b") as file:
        file.seek(2000)
        file.write(b"\xff\x00\xff")
    (study / "images/train/table.csv").unlink()
    (study / "adversarial" / ATTACKED / "manifest.json").write_text('{"files": ')
    done = run("verify", study)
    assert done.returncode == 1
    _, *faults, closing = done.stdout.splitlines()
    assert closing == "verified 9 artifacts, 16 files, 0.00 GB: 3 faults"
    assert len(faults) == 3
    for line, expected in zip(faults, ["not valid JSON", "(corrupt)", "missing"], strict=True):
        assert line.startswith("fault: ")
        assert expected in line


def test_leftovers_are_notes_not_faults(study):
    (study / "summary.csv").unlink()
    for leftover in (".draft-x/manifest.json", ".images.tif.y.partial", ".test.resume-0a1b/batch-000000.npz"):
        path = study / "images" / leftover
        path.parent.mkdir(exist_ok=True)
        path.write_text("{")
    done = run("verify", study)
    assert done.returncode == 0
    notes = [line.split(": ")[1] for line in done.stdout.splitlines() if line.startswith("note: ")]
    assert [Path(note).name for note in notes[:-1]] == [".draft-x", ".images.tif.y.partial", ".test.resume-0a1b"]


def test_a_table_without_its_manifest_is_a_fault(study):
    assert [fault for fault in audit([study]).faults if "missing, but there is a summary.csv" in fault]


@pytest.mark.parametrize(("path", "message"), [("nowhere", "no such folder"), ("", "no artifact there")])
def test_nothing_to_verify_is_one_clear_error(tmp_path, path, message):
    with pytest.raises(AssayError, match=message):
        audit([tmp_path / path])


# compare


def test_a_study_does_not_differ_from_itself(made):
    done = run("compare", made, made / "summary.csv")
    assert (done.returncode, done.stdout) == (0, "no cell differs (3 compared)\n")


def test_changed_cells_are_compared_image_by_image_and_sorted(made, study):
    write_scores(study / "scores/net/clean/none/sigma-0", np.ones((IMAGES, 1), bool))
    write_scores(study / f"scores/net/{ATTACKED}/noise/sigma-0.1", np.zeros((IMAGES, 3), bool))
    write_study_summary(study)
    table = compare(read_side(made), read_side(study))
    assert table["defence"].tolist() == ["noise", "none"]
    assert table["difference"].tolist() == pytest.approx([-6 / 12, 2 / 6])
    assert table["interval"].tolist() == ["paired", "paired"]
    assert (table["low"] <= table["difference"]).all()
    assert (table["high"] >= table["difference"]).all()
    text = render(table)
    assert "pgd 8/255 (Linf, transfer)" in text
    assert "noise at sigma 0.1" in text
    assert "6 x 2 -> 6 x 3" in text
    assert "-50.0 [" in text


def test_other_verdicts_of_the_same_accuracy_are_a_change(made, study):
    write_scores(study / f"scores/net/{ATTACKED}/none/sigma-0", ATTACKED_RIGHT[::-1])
    write_study_summary(study)
    table = compare(read_side(made), read_side(study))
    assert table["difference"].tolist() == [0.0]
    assert table["low"].item() < 0 < table["high"].item()


@pytest.mark.parametrize("why", ["no scores", "other images"])
def test_without_common_scores_the_comparison_is_unpaired_and_says_so(made, study, why):
    right = np.ones((IMAGES, 1), bool)
    for place, correct in (("clean", right), (ATTACKED, ATTACKED_RIGHT)):
        write_scores(study / f"scores/net/{place}/none/sigma-0", correct, ids=[f"q{name}" for name in IDS])
    write_scores(study / f"scores/net/{ATTACKED}/noise/sigma-0.1", PURIFIED_RIGHT, ids=[f"q{name}" for name in IDS])
    write_study_summary(study)
    if why == "no scores":
        shutil.rmtree(study / "scores")
    done = run("compare", made, study, "--csv", study / "table.csv")
    assert done.returncode == 0, done.stderr
    assert "unpaired: the scores of both" in done.stdout
    table = pd.read_csv(study / "table.csv", keep_default_na=False, na_values=[""])
    assert table["state"].tolist() == ["changed"]
    assert table["interval"].tolist() == ["unpaired"]
    assert table["difference"].item() == pytest.approx(2 / 6)


def test_cells_of_one_side_only_come_last(made, study):
    path = study / "summary.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], lines[1], lines[3].replace(",0.1,", ",0.2,"), ""]))
    done = run("compare", made, study)
    assert done.returncode == 0, done.stderr
    assert "0 of 1 shared cells changed, 2 only in A, 1 only in B" in done.stdout
    assert compare(read_side(made), read_side(study))["state"].tolist() == ["only in A", "only in A", "only in B"]


def test_a_missing_summary_is_one_clear_error(tmp_path, made):
    done = run("compare", made, tmp_path)
    assert done.returncode == 1
    assert done.stderr == f"error: {tmp_path}/summary.csv: not found; run the stage that makes it\n"


# plan

SNAKEFILE = """
if "seed" not in config:
    raise WorkflowError("config.yaml: seed: missing; add it")
RESULTS = "results/tiny"

rule all:
    input: f"{RESULTS}/summary.csv"

rule prepare_images:
    output: f"{RESULTS}/images/{{split}}.txt"
    benchmark: f"{RESULTS}/benchmarks/prepare_images/{{split}}.tsv"
    params: spec=lambda wildcards: '{"seed":%s}' % config["seed"]
    shell: "echo {params.spec:q} > {output}"

rule fetch:
    output: f"{RESULTS}/fetched.txt"
    shell: "touch {output}"

rule summarise:
    input: f"{RESULTS}/images/train.txt", f"{RESULTS}/images/test.txt", ancient(f"{RESULTS}/fetched.txt")
    output: f"{RESULTS}/summary.csv"
    benchmark: f"{RESULTS}/benchmarks/summarise.tsv"
    params: spec='{"study":"tiny"}', code=config.get("fingerprint", "0123456789abcdef")
    shell: "cat {input} > {output}"
"""


def plan(folder, *arguments):
    command = [sys.executable, ROOT / "scripts/plan.py", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


@pytest.fixture(scope="module")
def workflow(tmp_path_factory):
    """A small workflow with rules named as ours; finished once with seed=0."""
    folder = tmp_path_factory.mktemp("workflow")
    (folder / "Snakefile").write_text(SNAKEFILE)
    first = plan(folder, "--cores", "2", "--config", "seed=0")
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--quiet", "all", "--config", "seed=0"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder, first


def test_a_first_run_is_planned_by_stage_without_times(workflow):
    _, first = workflow
    assert (first.returncode, first.stderr) == (0, "")
    title, images, summary, fetch, closing = first.stdout.splitlines()
    assert title.split() == ["stage", "jobs", "time", "per", "job", "in", "all", "compute", "disk", "why"]
    assert " ".join(images.split()) == "prepare_images 2 no past run ? ? ? 2 missing output"
    assert " ".join(summary.split()) == "summarise 1 no past run ? ? little 1 missing output"
    assert " ".join(fetch.split()) == "fetch 1 no past run ? ? ? 1 missing output"
    assert closing == "4 jobs; no past run to tell the time from"


def test_a_finished_study_has_nothing_to_do(workflow):
    done = plan(workflow[0], "--config", "seed=0")
    assert (done.returncode, done.stdout) == (0, "Nothing to do: everything is there and up to date.\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "config.yaml: seed: missing; add it"),
        (
            ["--config", "seed=0", "--configfile", "no.yaml"],
            "FileNotFoundError: [Errno 2] No such file or directory: 'no.yaml'",
        ),
    ],
)
def test_snakemakes_errors_are_passed_on_in_one_line(workflow, arguments, message):
    done = plan(workflow[0], *arguments)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1


def write_benchmark(study, job, seconds):
    path = study / "benchmarks" / job
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("s\th:m:s\n" + "".join(f"{value}\t0:00:01\n" for value in seconds))


def test_times_come_from_the_same_job_then_the_same_study_then_others(tmp_path):
    job = Planned("attack", "forced", 1, tmp_path / "mine/benchmarks/attack/net/pgd.tsv")
    assert past_times(job) is None
    write_benchmark(tmp_path / "other", "attack/net/pgd.tsv", [100])
    assert past_times(job).clock == 100
    write_benchmark(tmp_path / "mine", "attack/net/fgsm.tsv", [1, 3])
    write_benchmark(tmp_path / "mine", "attack/net/square.tsv", ["cut o"])
    assert past_times(job).clock == 2
    write_benchmark(tmp_path / "mine", "attack/net/pgd.tsv", [50])
    assert past_times(job).clock == 50
    write_benchmark(tmp_path / "mine", "summarise.tsv", [7])
    assert past_times(Planned("summarise", "forced", 1, tmp_path / "mine/benchmarks/summarise.tsv")).clock == 7


def test_the_total_counts_threads_and_the_longest_job(tmp_path):
    study = tmp_path / "results/mine"
    write_benchmark(study, "attack/a.tsv", [100])
    jobs = [Planned("attack", "forced", 2, study / "benchmarks/attack" / name) for name in ("a.tsv", "b.tsv")]
    unknown = Planned("purify", "forced", 1, study / "benchmarks/purify/a.tsv")
    assert render_plan(jobs, 1).endswith("2 jobs; at least 3 min 20 s on 1 core")
    assert render_plan(jobs, 2).endswith("2 jobs; at least 3 min 20 s on 2 cores")
    assert render_plan(jobs, 8).endswith("2 jobs; at least 1 min 40 s on 8 cores")
    assert render_plan([*jobs, unknown], 4).endswith("at least 1 min 40 s on 4 cores, without 1 job that never ran")
