"""Two full runs a session, `finished` is one; other tests work on copies of the finished tree, or on fresh ones."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from checkout import Checkout, fresh_checkout

from assay.planning.interpreter import WARM
from assay.warm.client import SERVER


@pytest.fixture(scope="session", autouse=True)
def _one_warm_process() -> Iterator[None]:
    """The runs of these tests share one warm process; a user's runs have one each."""
    name = f"assay-warm-tests-{os.getpid()}"
    subprocess.run([sys.executable, "-P", "-m", SERVER, name, str(os.getpid())], check=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(WARM, name)
        yield


@pytest.fixture(scope="session")
def pristine(tmp_path_factory) -> Checkout:
    """The tree as it stood when the session began; copies of it have one and the same code."""
    return fresh_checkout(tmp_path_factory.mktemp("workflow") / "pristine")


@pytest.fixture(scope="session")
def two_runs(pristine, tmp_path_factory) -> dict[int, Checkout]:
    """The study finished twice, in two folders, with one and with two cores; side by side, to save time.

    The stages of the one on one core have interpreters of their own.
    """
    folder = tmp_path_factory.mktemp("workflow")
    checkouts = {cores: pristine.copy(folder / f"cores-{cores}") for cores in (1, 2)}
    warm = {1: {WARM: "0"}, 2: {}}
    running = {cores: one.start("--cores", str(cores), **warm[cores]) for cores, one in checkouts.items()}
    for process in running.values():
        output, _ = process.communicate()
        assert process.returncode == 0, output
    return checkouts


@pytest.fixture(scope="session")
def finished(two_runs) -> Checkout:
    """A finished study. Not to be changed: work on `study`."""
    return two_runs[2]


@pytest.fixture(scope="session")
def finished_on_one_core(two_runs) -> Checkout:
    return two_runs[1]


@pytest.fixture
def study(finished, tmp_path) -> Checkout:
    """A copy of the finished study, to change at will."""
    return finished.copy(tmp_path / "study")


@pytest.fixture
def fresh(pristine, tmp_path) -> Checkout:
    """A copy without results."""
    return pristine.copy(tmp_path / "fresh")
