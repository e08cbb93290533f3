"""Two full runs a session, `finished` is one; other tests work on copies of the finished tree, or on fresh ones."""

from collections.abc import Iterator

import pytest
from checkout import COLD, Checkout, Python, fresh_checkout
from warm import warm_python


@pytest.fixture(scope="session", autouse=True)
def _warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Snakemake and its stages need not import their libraries again and again in these tests."""
    with warm_python(tmp_path_factory.mktemp("warm") / "python") as (warm, python, environment):
        Python.used, Python.apart = Python(str(warm), environment), Python(str(python), environment)
        yield
    Python.used = Python.apart = COLD


@pytest.fixture(scope="session")
def pristine(tmp_path_factory) -> Checkout:
    """The tree as it stood when the session began; copies of it have one and the same code."""
    return fresh_checkout(tmp_path_factory.mktemp("workflow") / "pristine")


@pytest.fixture(scope="session")
def two_runs(pristine, tmp_path_factory) -> dict[int, Checkout]:
    """The study finished twice, in two folders, with one and with two cores; side by side, to save time.

    On one core, Snakemake and its stages are programs like a user's, each of which imports its libraries.
    """
    folder = tmp_path_factory.mktemp("workflow")
    checkouts = {cores: pristine.copy(folder / f"cores-{cores}") for cores in (1, 2)}
    pythons = {1: COLD, 2: Python.used}
    running = {cores: one.start("--cores", str(cores), python=pythons[cores]) for cores, one in checkouts.items()}
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
