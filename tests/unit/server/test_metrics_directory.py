"""What a killed server left in the temporary directory goes; what a living one uses stays."""

import multiprocessing
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from objstore.clock import SystemClock
from objstore.server.metrics_directory import PREFIX, metrics_directory
from objstore.testing.fake_clock import FakeClock


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def later() -> FakeClock:
    """Return the clock of a server that starts in ten minutes."""
    return FakeClock(now_ms=time.time_ns() // 1_000_000 + 600_000)


@pytest.fixture
def used() -> Iterator[Path]:
    with metrics_directory(SystemClock()) as path:
        (Path(path) / "counter_1.db").write_bytes(b"1")
        yield Path(path)


def _serve(temporary: Path, told: Connection) -> None:
    tempfile.tempdir = str(temporary)
    with metrics_directory(SystemClock()) as path:
        (Path(path) / "counter_1.db").write_bytes(b"1")
        told.send(path)
        time.sleep(60)


def test_it_is_removed_in_the_end(temporary: Path) -> None:
    with metrics_directory(SystemClock()) as path:
        assert [str(found) for found in temporary.iterdir()] == [path]
    assert not list(temporary.iterdir())


def test_that_of_a_living_server_stays(used: Path, later: FakeClock) -> None:
    with metrics_directory(later):
        assert (used / "counter_1.db").exists()


def test_that_of_a_killed_server_is_removed(temporary: Path, later: FakeClock) -> None:
    told, tell = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=(temporary, tell))
    server.start()
    left = Path(told.recv())
    server.kill()
    server.join()
    assert left.exists()
    with metrics_directory(later) as path:
        assert [str(found) for found in temporary.iterdir()] == [path]


def test_one_that_was_just_made_stays(temporary: Path) -> None:
    """Its server may be about to lock it."""
    young = temporary / f"{PREFIX}young"
    young.mkdir()
    with metrics_directory(SystemClock()):
        assert young.exists()


def test_nothing_else_is_touched(temporary: Path, later: FakeClock) -> None:
    theirs = temporary / "theirs"
    theirs.mkdir()
    (temporary / f"{PREFIX}link").symlink_to(theirs)
    (temporary / f"{PREFIX}file").write_bytes(b"1")
    with ExitStack() as both:
        for _ in range(2):
            both.enter_context(metrics_directory(later))
    assert {path.name for path in temporary.iterdir()} == {
        "theirs",
        f"{PREFIX}link",
        f"{PREFIX}file",
    }
