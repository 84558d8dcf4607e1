"""Two machines for the tests of deploy/, with a cluster on them where a test asks for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.machines import Machines, missing_program, why_no_machines


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """Two empty machines that every test of a module shares, in order."""
    if why := why_no_machines():
        pytest.skip(why)
    with Machines.running(tmp_path_factory.mktemp("machines")) as made:
        yield made
    # The sockets of ssh's shared connections and the like are below this directory.


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """The same with a third one, for a witness."""
    if why := why_no_machines() or missing_program("etcd"):
        pytest.skip(why)
    with Machines.running(tmp_path_factory.mktemp("machines"), witness=True) as made:
        yield made


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, built as an operator would build it."""
    from tests.deploy.packages import build_wheel

    return build_wheel(tmp_path_factory.mktemp("wheel"))
