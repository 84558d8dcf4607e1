"""Every implementation of a drive on this machine passes the one suite. rpc has its own module."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from objstore.drive.format import format_drive
from objstore.drive.guarded import GuardedDrive
from objstore.drive.local import LocalDrive, LocalDriveSettings
from objstore.drive.reaper import empty_trash
from objstore.names import DriveId
from objstore.ondisk.drive_identity import DriveIdentity
from objstore.testing.drive_harness import Harness
from objstore.testing.drive_suite import DriveSuite
from objstore.testing.fake_clock import FakeClock
from objstore.testing.faulty_drive import FaultyDrive
from objstore.testing.memory_drive import MemoryDrive

_ID = DriveId("d" * 32)


def identity() -> DriveIdentity:
    return DriveIdentity(
        deployment="a" * 32,
        drive=_ID,
        pool=0,
        set=0,
        slots=(0,),
        endpoint="/drive",
        layout="f" * 32,
        created_ms=1,
    )


async def local_harness(path: Path, *, direct_io: bool) -> tuple[Harness, LocalDrive]:
    path.mkdir()
    format_drive(path, identity(), trusted=True)
    clock = FakeClock()
    # The age of a file is what the file system says: the clock has to agree with it.
    clock.jump((path / "drive.json").stat().st_mtime - clock.now_ns() / 1e9 + 30)
    drive = await LocalDrive.open(
        path,
        check=lambda found: None,
        clock=clock,
        settings=LocalDriveSettings(direct_io=direct_io),
    )

    async def reap() -> None:
        await empty_trash(drive, clock, older_than_s=0)

    return Harness(drive, clock, reap), drive


class TestMemoryDrive(DriveSuite):
    @pytest.fixture
    def harness(self) -> Harness:
        clock = FakeClock()
        return Harness(MemoryDrive(_ID, clock), clock)


class TestFaultyDriveWithoutFaults(DriveSuite):
    @pytest.fixture
    def harness(self) -> Harness:
        clock = FakeClock()
        return Harness(FaultyDrive(MemoryDrive(_ID, clock)), clock)


class TestLocalDrive(DriveSuite):
    @pytest.fixture
    async def harness(self, tmp_path: Path) -> AsyncIterator[Harness]:
        harness, drive = await local_harness(tmp_path / "drive", direct_io=True)
        yield harness
        await drive.close()


class TestLocalDriveBuffered(DriveSuite):
    @pytest.fixture
    async def harness(self, tmp_path: Path) -> AsyncIterator[Harness]:
        harness, drive = await local_harness(tmp_path / "drive", direct_io=False)
        yield harness
        await drive.close()


class TestGuardedLocalDrive(DriveSuite):
    @pytest.fixture
    async def harness(self, tmp_path: Path) -> AsyncIterator[Harness]:
        harness, drive = await local_harness(tmp_path / "drive", direct_io=True)
        async with asyncio.TaskGroup() as group:
            guarded = GuardedDrive(drive, name="drive", clock=harness.clock, group=group)
            yield Harness(guarded, harness.clock, harness.reap)
            await guarded.close()
