"""Local drives for tests: formatted in a directory, opened with a clock that fits its files."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from objstore.clock import Clock
from objstore.drive.format import format_drive
from objstore.drive.local import LocalDrive, LocalDriveSettings
from objstore.limits import TREE_LEAF_LEVEL
from objstore.names import DriveId
from objstore.ondisk.drive_identity import DriveIdentity
from objstore.testing.fake_clock import FakeClock
from objstore.testing.memory_rows import DEPLOYMENT


def identity(drive: str = "d", **more: object) -> DriveIdentity:
    """Return the identity of a drive; `drive` is one hex digit."""
    fields: dict[str, object] = {
        "deployment": DEPLOYMENT,
        "drive": DriveId(drive * 32),
        "pool": 0,
        "set": 0,
        "slots": (0,),
        "endpoint": "/drive",
        "layout": "f" * 32,
        "created_ms": 1,
    }
    return DriveIdentity(**{**fields, **more})  # type: ignore[arg-type]


def accept(_: DriveIdentity) -> None:
    """Accept every identity."""


def clock_for(path: Path) -> FakeClock:
    """Return a clock that agrees with the times of the files of a drive."""
    clock = FakeClock()
    clock.jump((path / "drive.json").stat().st_mtime - clock.now_ns() / 1e9 + 30)
    return clock


def _prepare(path: Path, *, trusted: bool) -> None:
    path.mkdir(exist_ok=True)
    if not (path / "drive.json").exists():
        format_drive(path, identity(), trusted=trusted)


@contextmanager
def memory_directory() -> Iterator[Path]:
    """Return a directory whose fsyncs cost nothing, where the machine has such a place."""
    place = Path("/dev/shm")  # noqa: S108
    with TemporaryDirectory(dir=place if place.is_dir() else None) as directory:
        yield Path(directory)


@asynccontextmanager
async def local_drive(
    path: Path,
    *,
    clock: Clock | None = None,
    trusted: bool = True,
    direct_io: bool = True,
    tree_leaf_level: int = TREE_LEAF_LEVEL,
) -> AsyncIterator[LocalDrive]:
    """Open the drive at `path`, formatted first if there is nothing."""
    _prepare(path, trusted=trusted)
    drive = await LocalDrive.open(
        path,
        check=accept,
        clock=clock or clock_for(path),
        settings=LocalDriveSettings(direct_io=direct_io, tree_leaf_level=tree_leaf_level),
    )
    try:
        yield drive
    finally:
        await drive.close()
