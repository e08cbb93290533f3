"""A lock is removed only when the process that took it is dead."""

import json
import socket
import subprocess
import sys

import pytest

from assay.planning.locks import clear_stale_locks


@pytest.fixture
def folder(tmp_path):
    """A .snakemake whose lock was taken by a run that is noted."""
    (tmp_path / "locks").mkdir()
    clear_stale_locks(tmp_path)
    (tmp_path / "locks/0.output.lock").write_text("results/x\n")
    return tmp_path


def run_elsewhere(folder, ending=""):
    """Another process that parses the workflow: it clears stale locks and notes itself."""
    code = (
        f"from pathlib import Path; from assay.planning.locks import clear_stale_locks as c; c(Path({str(folder)!r}))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", f"{code}\nprint('noted', flush=True)\n{ending}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "noted\n"
    return process


def locks(folder):
    return [path.name for path in (folder / "locks").iterdir()]


def rewrite_notes(folder, **changes):
    """Change what the runs noted of themselves."""
    for path in (folder / "assay-runs").iterdir():
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_live_owner_keeps_its_lock(folder):
    run_elsewhere(folder).communicate()
    assert locks(folder) == ["0.output.lock"]


def test_a_dead_owner_loses_its_lock(tmp_path):
    run_elsewhere(tmp_path).communicate()
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks/0.output.lock").write_text("results/x\n")
    _, errors = run_elsewhere(tmp_path).communicate()
    assert locks(tmp_path) == []
    assert "is dead; removed" in errors


def test_a_process_number_that_is_used_again_is_not_the_owner(folder):
    rewrite_notes(folder, started="1")
    clear_stale_locks(folder)
    assert locks(folder) == []


def test_a_lock_taken_on_another_machine_is_kept(folder):
    rewrite_notes(folder, host=f"not-{socket.gethostname()}", process=2**22 + 1)
    clear_stale_locks(folder)
    assert locks(folder) == ["0.output.lock"]


def test_a_lock_that_nobody_noted_is_kept(tmp_path):
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks/0.output.lock").write_text("results/x\n")
    clear_stale_locks(tmp_path)
    assert locks(tmp_path) == ["0.output.lock"]


def test_a_dry_run_beside_a_run_that_has_not_locked_yet_does_not_cost_it_its_lock(tmp_path):
    run = run_elsewhere(tmp_path, "input()")
    run_elsewhere(tmp_path).communicate()  # the dry run: comes and goes before the lock is taken
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks/0.output.lock").write_text("results/x\n")
    _, errors = run_elsewhere(tmp_path).communicate()
    assert locks(tmp_path) == ["0.output.lock"], errors
    run.communicate("\n")
    run_elsewhere(tmp_path).communicate()
    assert locks(tmp_path) == []
