"""LocalDrive: what happens to its directory, and several of them on one directory."""

import asyncio
import contextlib
import errno
import shutil
import sqlite3
from collections.abc import Awaitable
from pathlib import Path

import msgspec
import pytest

from objstore.drive.format import format_drive
from objstore.drive.job_states import Progress
from objstore.drive.local import LocalDrive
from objstore.drive.ops import ListKeys, ReadKey, ReadStatus, Settle, WriteProgress
from objstore.errors import ConfigError, DriveError, DriveFaulty, DriveOffline, ShardMissing
from objstore.limits import DRIVE_PROBE_INTERVAL_S
from objstore.names import ObjectKey
from objstore.ondisk.drive_identity import DriveIdentity
from objstore.ondisk.paths import JOURNAL_DB
from objstore.ondisk.record import HeldShard
from objstore.testing.drive_harness import call_together
from objstore.testing.drive_values import (
    BUCKET,
    KEY,
    commit,
    data_id,
    order,
    part,
    put_bucket,
    version,
)
from objstore.testing.fake_clock import FakeClock
from objstore.testing.local_drives import clock_for, identity, local_drive

_NAME = (data_id(1), 1, 0)


class TestADirectoryThatIsMovedAway:
    async def test_acknowledges_nothing(self, tmp_path: Path) -> None:
        path, aside = tmp_path / "drive", tmp_path / "aside"
        async with local_drive(path) as drive:
            await drive.call(put_bucket())
            path.rename(aside)
            with pytest.raises(DriveOffline):
                await drive.call(commit(version(5)))
            with pytest.raises(DriveOffline):
                await drive.call(ReadStatus())
            with pytest.raises(DriveOffline):
                await drive.call(ReadKey(BUCKET, KEY))
        async with local_drive(aside) as drive:
            assert (await drive.call(ReadKey(BUCKET, KEY))).records == ()

    async def test_finishes_no_shard(self, tmp_path: Path) -> None:
        path = tmp_path / "drive"
        async with local_drive(path) as drive:
            sink = await drive.create_shard(*_NAME)
            await sink.write(b"shard")
            path.rename(tmp_path / "aside")
            with pytest.raises(DriveOffline):
                await sink.finish()
            await sink.abort()
            with pytest.raises(DriveOffline):
                await drive.create_shard(*_NAME)
            with pytest.raises(DriveOffline):
                await drive.read_shard(*_NAME, offset=0, size=1)

    async def test_is_opened_again_when_it_is_back(self, tmp_path: Path) -> None:
        path, aside = tmp_path / "drive", tmp_path / "aside"
        format_dir(path)
        clock = clock_for(path)
        async with local_drive(path, clock=clock) as drive:
            await drive.call(put_bucket())
            path.rename(aside)
            with pytest.raises(DriveOffline):
                await drive.call(ReadStatus())
            aside.rename(path)
            with pytest.raises(DriveOffline):
                await drive.call(commit(version(5)))  # too early to try again
            clock.advance(DRIVE_PROBE_INTERVAL_S)
            await drive.call(commit(version(5)))
            path.rename(aside)
            with pytest.raises(DriveOffline):
                await drive.call(commit(version(6)))
            aside.rename(path)
            await drive.call(ReadStatus())  # who asks for the status wants to know now
            assert drive.reason is None
            await drive.call(commit(version(6)))

    async def test_may_be_replaced_by_another_drive(self, tmp_path: Path) -> None:
        path = tmp_path / "drive"
        async with local_drive(path) as drive:
            assert drive.drive_id == "d" * 32
            await drive.call(put_bucket())
            path.rename(tmp_path / "aside")
            path.mkdir()
            with pytest.raises(DriveOffline):
                await drive.call(ReadStatus())
            format_drive(path, identity("e"), trusted=False)
            status = await drive.call(ReadStatus())
            assert not status.trusted
            assert drive.drive_id == "e" * 32

    async def test_tells_since_when_it_is_there_also_when_it_is_trusted_again(
        self, tmp_path: Path
    ) -> None:
        path = tmp_path / "drive"
        path.mkdir()
        taken = msgspec.structs.replace(identity("e"), created_ms=77)
        format_drive(path, taken, trusted=False)
        lacking = ReadKey(BUCKET, ObjectKey("k"))
        async with local_drive(path) as drive:
            await drive.call(put_bucket())
            assert (await drive.call(lacking)).emptied_ms == 77
            progress = Progress(job="rebuild", started_ms=1, updated_ms=2)
            await drive.call(WriteProgress(progress, trusted=True))
            state = await drive.call(lacking)
            assert (state.trusted, state.emptied_ms) == (True, 77)

    async def test_that_is_the_first_in_its_place_was_never_emptied(self, tmp_path: Path) -> None:
        async with local_drive(tmp_path / "drive") as drive:
            await drive.call(put_bucket())
            assert (await drive.call(ReadKey(BUCKET, ObjectKey("k")))).emptied_ms == 0

    async def test_the_wrong_drive_is_not_opened(self, tmp_path: Path) -> None:
        path, other = tmp_path / "drive", tmp_path / "other"
        format_dir(path)
        format_drive(_made(other), identity("e", slots=(3,)), trusted=True)

        def check(found: DriveIdentity) -> None:
            if found.slots != (0,):
                raise ConfigError(found="slot 3", expected="slot 0", remedy="swap")

        drive = await LocalDrive.open(path, check=check, clock=FakeClock())
        await drive.call(put_bucket())
        path.rename(tmp_path / "aside")
        other.rename(path)
        for _ in range(2):
            with pytest.raises(DriveOffline):
                await drive.call(ReadStatus())
        assert "slot 3" in str(drive.reason)
        await drive.close()


def format_dir(path: Path) -> None:
    format_drive(_made(path), identity(), trusted=True)


def _made(path: Path) -> Path:
    path.mkdir()
    return path


async def test_a_missing_directory_is_a_drive_that_is_offline(tmp_path: Path) -> None:
    drive = await LocalDrive.open(tmp_path / "none", check=lambda _: None, clock=FakeClock())
    assert isinstance(drive.reason, DriveOffline)
    assert (drive.drive_id, drive.identity) == ("", None)
    with pytest.raises(DriveOffline):
        await drive.call(ReadStatus())
    await drive.close()


async def test_a_closed_drive_stays_closed(tmp_path: Path) -> None:
    async with local_drive(tmp_path / "drive") as drive:
        await drive.call(put_bucket())
        await drive.close()
        await drive.close()
        with pytest.raises(DriveOffline):
            await drive.call(ReadStatus())


async def test_close_answers_those_who_wait(tmp_path: Path) -> None:
    async with local_drive(tmp_path / "drive") as drive:
        await drive.call(put_bucket())
        async with asyncio.TaskGroup() as group:
            running = group.create_task(
                call_together(drive, [commit(version(n)) for n in range(1, 200)])
            )
            await asyncio.sleep(0)
            await drive.close()
        kinds = {type(outcome).__name__ for outcome in running.result()}
        assert kinds <= {"Committed", "DriveOffline"}


async def test_two_drives_on_one_directory_share_a_journal(tmp_path: Path) -> None:
    """As the workers of a server do."""
    path = tmp_path / "drive"
    format_dir(path)
    clock = clock_for(path)
    async with local_drive(path, clock=clock) as one, local_drive(path, clock=clock) as two:
        await one.call(put_bucket())
        numbers = range(1, 101)
        ops = [commit(version(number), merge=True) for number in numbers]
        async with asyncio.TaskGroup() as group:
            group.create_task(call_together(one, ops[::2]))
            group.create_task(call_together(two, ops[1::2]))
        for drive in (one, two):
            state = await drive.call(ReadKey(BUCKET, KEY, limit=1000))
            assert len(state.records) == len(numbers)
            assert (await drive.call(ReadStatus())).objects == 1
        # An ordered write sees what another process committed.
        outcomes = await call_together(two, [commit(version(100))])
        assert type(outcomes[0]).__name__ == "Superseded"


async def test_groups_larger_than_one_statement(tmp_path: Path) -> None:
    async with local_drive(tmp_path / "drive") as drive:
        await drive.call(put_bucket())
        keys = [ObjectKey(f"{index:04}") for index in range(300)]
        await call_together(drive, [commit(version(5, key=key)) for key in keys])
        await call_together(drive, [commit(version(6, key=key)) for key in keys])
        page = await drive.call(ListKeys(BUCKET))
        assert [entry.key for entry in page.entries] == keys
        assert {entry.order for entry in page.entries} == {order(6)}


async def test_a_cancelled_create_leaves_no_file(tmp_path: Path) -> None:
    async with local_drive(tmp_path / "drive") as drive:
        await drive.call(ReadStatus())
        for _ in range(20):
            task = asyncio.get_running_loop().create_task(drive.create_shard(*_NAME))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        for _ in range(100):
            await asyncio.sleep(0.01)
            if not list((drive.path / "shards" / "01").iterdir()):
                return
        raise AssertionError


async def test_an_abort_while_a_write_runs_removes_the_file(tmp_path: Path) -> None:
    async with local_drive(tmp_path / "drive") as drive:
        sink = await drive.create_shard(*_NAME)
        async with asyncio.TaskGroup() as group:
            writing = group.create_task(_suppressed(sink.write(bytes(8 << 20))))
            await asyncio.sleep(0)
            await sink.abort()
            await writing
        with pytest.raises(ShardMissing):
            await drive.read_shard(*_NAME, offset=0, size=1)


async def _suppressed(writing: Awaitable[None]) -> None:
    with contextlib.suppress(DriveError):
        await writing


async def test_reading_goes_on_while_a_version_is_superseded(tmp_path: Path) -> None:
    """A GET in flight returns the whole old object."""
    async with local_drive(tmp_path / "drive") as drive:
        await drive.call(put_bucket())
        sink = await drive.create_shard(*_NAME)
        await sink.write(b"0123456789")
        await sink.finish()
        await drive.call(commit(version(5, parts=[part(1, data_id(1))]), HeldShard(0)))
        await drive.call(commit(version(6)))
        await drive.call(Settle(BUCKET, KEY, order(6)))
        assert not (drive.path / "shards" / "01" / f"{data_id(1).hex()}.1.0").exists()
        assert await drive.read_shard(*_NAME, offset=5, size=5) == b"56789"


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_an_fsync_that_failed_is_final(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "drive"
    format_dir(path)
    clock = clock_for(path)
    async with local_drive(path, clock=clock) as drive:
        sink = await drive.create_shard(*_NAME)
        await sink.write(b"shard")
        calls = []

        def fail(handle: int) -> None:
            calls.append(handle)
            raise OSError(errno.EIO, "Input/output error")

        with monkeypatch.context() as patch:
            patch.setattr("os.fdatasync", fail)
            with pytest.raises(DriveFaulty):
                await sink.finish()
            # The drive is out until a write test succeeds.
            with pytest.raises(DriveFaulty):
                await drive.call(ReadStatus())
        with pytest.raises(DriveError):
            await sink.finish()
        assert calls.count(calls[0]) == 1
        await sink.abort()
        clock.advance(1)
        await drive.call(put_bucket())
        with pytest.raises(ShardMissing):
            await drive.read_shard(*_NAME, offset=0, size=1)


async def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    before = _descriptors()
    for index in range(3):
        async with local_drive(tmp_path / f"drive{index}") as drive:
            sink = await drive.create_shard(*_NAME)
            await sink.write(b"shard")
            await sink.finish()
            await drive.read_shard(*_NAME, offset=0, size=5)
            shutil.rmtree(drive.path)
            with pytest.raises(DriveOffline):
                await drive.call(ReadStatus())
    async with asyncio.timeout(5):  # threads of a session that was dropped end by themselves
        while _descriptors() > before:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("damaged", [b"", b"\xc1", b"\x93\xa2\xff\xfe\x01\x01", b"\x80"])
async def test_damaged_progress_is_none(tmp_path: Path, damaged: bytes) -> None:
    path = tmp_path / "drive"
    async with local_drive(path) as drive:
        await drive.call(WriteProgress(Progress("heal", started_ms=1, updated_ms=1)))
        assert (await drive.call(ReadStatus())).progress is not None
        with contextlib.closing(sqlite3.connect(path / JOURNAL_DB)) as journal, journal:
            journal.execute("UPDATE meta SET value = ? WHERE name = 'progress'", (damaged,))
        assert (await drive.call(ReadStatus())).progress is None
