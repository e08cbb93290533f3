"""Damage of every kind to every kind of file: found by verify, seen by a run's own look, and mended by the next run."""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from checkout import CONFIG, Checkout, differences

from assay.manifests import MANIFEST, read_manifest
from assay.planning.bring import plan_study
from assay.planning.freshness import Freshness
from assay.planning.jobs import Artifact, Jobs
from assay.reporting.audit import audit, quarantine

NOISE, ONESHOT = "purified/clean/noise/sigma-0.1", "purified/clean/oneshot/sigma-0.1"


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "flip": flip,
    "truncate": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "empty": lambda path: path.write_bytes(b""),
    "append": lambda path: path.write_bytes(path.read_bytes() + b"\n"),
    "delete": lambda path: path.unlink(),
}


@contextlib.contextmanager
def damaged(path: Path, damage: Callable[[Path], object]) -> Iterator[None]:
    """A file damaged for a while."""
    content, times = path.read_bytes(), path.stat()
    damage(path)
    try:
        yield
    finally:
        path.write_bytes(content)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def stale(study: Checkout) -> set[str]:
    """The places below the study's folder that a run would make anew, by its own look."""
    with contextlib.chdir(study.root):
        jobs = Jobs(plan_study(study.config(), CONFIG))
        freshness = Freshness(jobs)
        found: dict[Artifact, None] = {}
        waiting = [jobs.page()]
        while waiting:
            artifact = waiting.pop()
            if artifact not in found:
                found[artifact] = None
                waiting.extend(jobs.maker(artifact).all_inputs.values())
        return {
            Path(artifact.folder).relative_to(jobs.results).as_posix()
            for artifact in found
            if freshness.reason(jobs.maker(artifact))
        }


def kinds_of_files(study: Checkout) -> dict[tuple[str, str], Path]:
    """One file of each kind: by the artifact's kind and its name; manifests too."""
    found = {}
    for path in sorted(study.results.rglob(f"*{MANIFEST}")):
        manifest = read_manifest(path)
        for file in [path, *(path.parent / name for name in manifest["files"])]:
            found.setdefault((manifest["kind"], file.name), file)
    return found


def test_every_kind_of_damage_to_every_kind_of_file_is_found(study: Checkout) -> None:
    assert stale(study) == set()
    assert audit([study.results]).faults == []
    files = kinds_of_files(study)
    assert len(files) > 20
    for path in files.values():
        for name, damage in DAMAGES.items():
            with damaged(path, damage):
                faults = audit([study.results]).faults
                assert any(str(path) in fault or str(path.parent) in fault for fault in faults), f"{name}: {path}"
                assert stale(study), f"{name}: {path}"
    assert audit([study.results]).faults == []
    assert stale(study) == set()


def test_damage_that_keeps_size_and_time_is_for_verify_to_find(study: Checkout) -> None:
    path = study.results / "images/test/images.tif"
    times = path.stat()
    flip(path)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert stale(study) == set()
    assert [fault for fault in audit([study.results]).faults if str(path) in fault]


def swapped(study: Checkout, one: str, other: str) -> None:
    for source, target in ((one, "aside"), (other, one), ("aside", other)):
        (study.results / source).rename(study.results / target)


def test_two_artifacts_that_changed_places_are_both_found(study: Checkout) -> None:
    swapped(study, NOISE, ONESHOT)
    assert {NOISE, ONESHOT} <= stale(study)
    faults = "\n".join(audit([study.results]).faults)
    assert f"{NOISE}/{MANIFEST}: is not what the study's tables were made from" in faults
    assert f"{ONESHOT}/{MANIFEST}: is not what the study's tables were made from" in faults


def test_an_older_version_with_its_own_manifest_is_found(study: Checkout, tmp_path: Path) -> None:
    older = study.copy(tmp_path / "older")
    older.edit(CONFIG, "seed: 0", "seed: 1")
    older.complete("--cores", "2", f"results/tiny/{NOISE}/{MANIFEST}")
    shutil.rmtree(study.results / NOISE)
    shutil.copytree(older.results / NOISE, study.results / NOISE)
    assert NOISE in stale(study)
    assert any(NOISE in fault for fault in audit([study.results]).faults)


def test_what_stands_on_damage_is_told_and_the_next_run_mends_it(study: Checkout, finished: Checkout) -> None:
    flip(study.results / "images/test/images.tif")
    (study.results / "scores/resnet/clean/none/sigma-0" / MANIFEST).unlink()
    summary = study.results / "summary.csv"
    summary.write_text(summary.read_text().replace("0.", "0.9", 1))
    swapped(study, NOISE, ONESHOT)
    found = audit([study.results])
    said = "\n".join([*found.faults, *found.notes])
    assert "images/test/manifest.json: is damaged; on it stand 8 cells, the tables, the report" in said
    assert "scores/resnet/clean/none/sigma-0/manifest.json: missing; on it stand the tables, the report" in said
    moved = list(quarantine(found.damaged))
    assert len(moved) == 2
    assert not (study.results / "images/test" / MANIFEST).exists()
    study.complete()
    again = audit([study.results])
    assert again.faults == []
    assert [note for note in again.notes if "was moved aside" in note]
    assert differences(study.contents(), finished.contents()) == []
    assert study.plan() == set()


def test_a_report_says_what_it_was_made_from_wherever_it_lies(study: Checkout, tmp_path: Path) -> None:
    page = tmp_path / "mailed.html"
    shutil.copy(study.results / "report.html", page)
    with contextlib.chdir(study.root):
        assert audit([page]).faults == []
        study.edit(CONFIG, "seed: 0", "seed: 1")
        study.complete()
        assert any("mailed.html: was made from other tables" in fault for fault in audit([page]).faults)
        assert audit([study.results / "report.html"]).faults == []


@pytest.mark.parametrize("kept", [True, False], ids=["with records", "without Snakemake's records"])
def test_a_copied_study_is_exactly_as_fresh_as_it_was(study: Checkout, kept: bool) -> None:
    if not kept:
        shutil.rmtree(study.root / ".snakemake")
    assert study.plan() == set()
    study.append("src/assay/purifiers/ddpm.py", "\nNEW = 1\n")
    expected = {"purify clean ddpm 0.2", "classify resnet clean ddpm 0.2", "summarise", "check", "report"}
    assert study.plan() == expected


def test_what_was_looked_at_again_hides_nothing(study: Checkout) -> None:
    """check_images must run and all after it are as they were, but for a new eps."""
    study.append("src/assay/data/check.py", "\nNEW = 1\n")
    study.edit(CONFIG, "eps: [4/255]", "eps: [4/255, 6/255]")
    planned = study.plan()
    assert "check_images" in planned
    assert "attack resnet/pgd/eps-6_255/undefended" in planned
    study.complete()
    assert study.plan() == set(), "one call finishes a study"
