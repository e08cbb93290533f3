"""Two full runs a session, `finished` is one; other tests work on copies of the finished tree, or on fresh ones."""

import pytest
from checkout import Checkout, fresh_checkout


@pytest.fixture(scope="session")
def pristine(tmp_path_factory) -> Checkout:
    """The tree as it stood when the session began; copies of it have one and the same code."""
    return fresh_checkout(tmp_path_factory.mktemp("workflow") / "pristine")


@pytest.fixture(scope="session")
def two_runs(pristine, tmp_path_factory) -> dict[int, Checkout]:
    """The study finished twice, in two folders, with one and with two cores; side by side, to save time."""
    folder = tmp_path_factory.mktemp("workflow")
    checkouts = {cores: pristine.copy(folder / f"cores-{cores}") for cores in (1, 2)}
    running = {cores: checkout.start("--cores", str(cores)) for cores, checkout in checkouts.items()}
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
