"""Every implementation of a drive on this machine passes the one suite. rpc has its own module."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from objstore.drive.format import format_drive
from objstore.drive.guarded import GuardedDrive
from objstore.drive.reaper import empty_trash
from objstore.names import DriveId
from objstore.testing.drive_harness import Harness
from objstore.testing.drive_suite import DriveSuite
from objstore.testing.fake_clock import FakeClock
from objstore.testing.faulty_drive import FaultyDrive
from objstore.testing.local_drives import clock_for, identity, local_drive, memory_directory
from objstore.testing.memory_drive import MemoryDrive
from objstore.testing.unsynced_drive import UnsyncedDrive

_ID = DriveId("d" * 32)


@asynccontextmanager
async def _local(path: Path, *, direct_io: bool) -> AsyncIterator[Harness]:
    path.mkdir()
    format_drive(path, identity(), trusted=True)
    clock = clock_for(path)
    async with local_drive(path, clock=clock, direct_io=direct_io) as drive:

        async def reap() -> None:
            await empty_trash(drive, clock, older_than_s=0)

        yield Harness(drive, clock, reap)


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


class TestUnsyncedDriveWithPower(DriveSuite):
    @pytest.fixture
    def harness(self) -> Harness:
        clock = FakeClock()
        return Harness(UnsyncedDrive(_ID, clock, seed=0), clock)


class TestLocalDrive(DriveSuite):
    @pytest.fixture
    async def harness(self, tmp_path: Path) -> AsyncIterator[Harness]:
        async with _local(tmp_path / "drive", direct_io=True) as harness:
            yield harness


class TestLocalDriveBuffered(DriveSuite):
    @pytest.fixture
    async def harness(self) -> AsyncIterator[Harness]:
        with memory_directory() as directory:
            async with _local(directory / "drive", direct_io=False) as harness:
                yield harness


class TestGuardedLocalDrive(DriveSuite):
    @pytest.fixture
    async def harness(self) -> AsyncIterator[Harness]:
        with memory_directory() as directory:
            async with (
                _local(directory / "drive", direct_io=True) as inner,
                asyncio.TaskGroup() as group,
            ):
                drive = GuardedDrive(inner.drive, name="drive", clock=inner.clock, group=group)
                yield Harness(drive, inner.clock, inner.reap)
                await drive.close()
