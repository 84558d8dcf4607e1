"""The reaper removes what is nobody's, and nothing else."""

import os
import sqlite3
from pathlib import Path

from objstore.drive.job_states import Progress
from objstore.drive.local import LocalDrive
from objstore.drive.ops import Commit, Settle, WriteProgress
from objstore.drive.reaper import OrphanReaper, empty_trash
from objstore.limits import ORPHAN_AGE_S, TRASH_AGE_S
from objstore.ondisk.record import HeldShard
from objstore.testing.drive_values import (
    BUCKET,
    KEY,
    STRIPE_BYTES,
    commit,
    data_id,
    order,
    part,
    put_bucket,
    put_part,
    put_upload,
    sealed,
    shard_file,
    version,
)
from objstore.testing.fake_clock import FakeClock
from objstore.testing.local_drives import clock_for, local_drive

_DIRECTORY = data_id(1)[:1].hex()


def _path(path: Path, number: int = 1) -> Path:
    return path / "shards" / _DIRECTORY / f"{data_id(1).hex()}.{number}.0"


async def _shard(drive: LocalDrive, number: int = 1, *, upload: str = "") -> None:
    """Write a whole shard file of part `number`."""
    made = version(5, parts=[part(number, data_id(1), STRIPE_BYTES)], upload_id=upload)
    sink = await drive.create_shard(data_id(1), number, 0)
    await sink.write(shard_file(made, number, data_id(1), 0, [b"a" * 4096]))
    await sink.finish()


def _aged(path: Path) -> FakeClock:
    clock = clock_for(path)
    clock.advance(ORPHAN_AGE_S + 100)
    return clock


async def _sweep_twice(drive: LocalDrive, clock: FakeClock) -> int:
    reaper = OrphanReaper(drive, clock)
    first = await reaper.sweep(_DIRECTORY)
    assert first.removed == 0
    return (await reaper.sweep(_DIRECTORY)).removed


async def test_an_orphan_goes_when_it_is_old(tmp_path: Path) -> None:
    async with local_drive(tmp_path / "d") as drive:
        await drive.call(put_bucket())
        await _shard(drive)
        assert await _sweep_twice(drive, clock_for(drive.path)) == 0
        assert await _sweep_twice(drive, _aged(drive.path)) == 1
        assert not _path(drive.path).exists()


async def test_a_shard_that_a_record_names_stays(tmp_path: Path) -> None:
    async with local_drive(tmp_path / "d") as drive:
        await drive.call(put_bucket())
        await _shard(drive)
        made = version(5, parts=[part(1, data_id(1), STRIPE_BYTES)])
        await drive.call(Commit(sealed(made, HeldShard(0))))
        assert await _sweep_twice(drive, _aged(drive.path)) == 0


async def test_a_shard_stays_when_only_the_index_of_names_is_damaged(tmp_path: Path) -> None:
    async with local_drive(tmp_path / "d") as drive:
        await drive.call(put_bucket())
        await drive.call(put_upload("u"))
        await _shard(drive, 1)
        await _shard(drive, 2, upload="u")
        made = version(5, parts=[part(1, data_id(1), STRIPE_BYTES)])
        await drive.call(Commit(sealed(made, HeldShard(0))))
        await drive.call(put_part("u", 2, data_id(1)))
        with sqlite3.connect(drive.path / "journal.db") as connection:
            connection.execute("DELETE FROM shards")
        connection.close()
        assert await _sweep_twice(drive, _aged(drive.path)) == 0
        assert _path(drive.path, 1).exists()
        assert _path(drive.path, 2).exists()


async def test_a_shard_whose_record_is_damaged_stays(tmp_path: Path) -> None:
    async with local_drive(tmp_path / "d") as drive:
        await drive.call(put_bucket())
        await _shard(drive)
        await drive.call(commit(version(5, parts=[part(1, data_id(1))]), HeldShard(0)))
        with sqlite3.connect(drive.path / "journal.db") as connection:
            connection.execute("DELETE FROM shards")
            connection.execute("UPDATE records SET payload = x'00'")
        connection.close()
        assert await _sweep_twice(drive, _aged(drive.path)) == 0


async def test_a_file_with_a_damaged_header_stays_and_an_unsynced_one_goes(tmp_path: Path) -> None:
    async with local_drive(tmp_path / "d") as drive:
        await drive.call(put_bucket())
        for number in (1, 2, 3):
            await _shard(drive, number)
        with _path(drive.path, 1).open("r+b") as file:
            file.write(b"\xff")
        os.truncate(_path(drive.path, 2), 100)
        with _path(drive.path, 3).open("r+b") as file:
            file.write(bytes(4096))
        assert await _sweep_twice(drive, _aged(drive.path)) == 2
        assert _path(drive.path, 1).exists()


async def test_a_drive_that_is_not_trusted_keeps_all_its_shards(tmp_path: Path) -> None:
    async with local_drive(tmp_path / "d", trusted=False) as drive:
        await _shard(drive)
        assert await _sweep_twice(drive, _aged(drive.path)) == 0
        await drive.call(WriteProgress(Progress("rebuild", 1, 2), trusted=True))
        assert await _sweep_twice(drive, _aged(drive.path)) == 1


async def test_what_is_not_ours_stays(tmp_path: Path) -> None:
    async with local_drive(tmp_path / "d") as drive:
        mine = drive.path / "shards" / _DIRECTORY / "notes.txt"
        trash = drive.path / "trash" / "notes.txt"
        for path in (mine, trash):
            path.touch()
        assert await _sweep_twice(drive, _aged(drive.path)) == 0
        assert await empty_trash(drive, _aged(drive.path), older_than_s=0) == 0
        assert mine.exists()
        assert trash.exists()


async def test_the_trash_is_emptied_by_age(tmp_path: Path) -> None:
    async with local_drive(tmp_path / "d") as drive:
        await drive.call(put_bucket())
        await _shard(drive)
        await drive.call(commit(version(5, parts=[part(1, data_id(1))]), HeldShard(0)))
        await drive.call(commit(version(6)))
        await drive.call(Settle(BUCKET, KEY, order(6)))
        clock = clock_for(drive.path)
        clock.jump(-25)
        assert await empty_trash(drive, clock, older_than_s=TRASH_AGE_S) == 0
        clock.jump(TRASH_AGE_S + 100)
        assert await empty_trash(drive, clock, older_than_s=TRASH_AGE_S) == 1
        assert list((drive.path / "trash").iterdir()) == []
