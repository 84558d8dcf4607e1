"""A record that fails its checksum is unknown, never absent: bytes of the journal are flipped."""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from objstore.drive.journal_aside import set_journal_aside
from objstore.drive.local import LocalDrive
from objstore.drive.ops import (
    Commit,
    KeyPage,
    ListBuckets,
    ListKeys,
    ListUploads,
    PutPart,
    ReadBucket,
    ReadKey,
    ReadStatus,
    ReadUpload,
    Settle,
    Undo,
)
from objstore.errors import BucketMissing, DriveError, DriveFaulty, RecordUnknown, Superseded
from objstore.names import Kind, UploadId
from objstore.ondisk.record import HeldShard
from objstore.testing.drive_values import (
    BUCKET,
    KEY,
    commit,
    data_id,
    order,
    part,
    put_bucket,
    put_part,
    put_upload,
    sealed,
    version,
)
from objstore.testing.local_drives import local_drive

_UPLOAD = UploadId("upload")


def _flip(path: Path, table: str, column: str, at: int = -1) -> None:
    """Flip a bit of a column of every row of a table."""
    connection = sqlite3.connect(path / "journal.db")
    for rowid, value in list(connection.execute(f"SELECT {_key(table)}, {column} FROM {table}")):
        if isinstance(value, bytes):
            damaged = bytearray(value)
            damaged[at] ^= 1
            new: object = bytes(damaged)
        else:
            new = value ^ 1
        connection.execute(f"UPDATE {table} SET {column} = ? WHERE {_key(table)} = ?", (new, rowid))
    connection.commit()
    connection.close()


def _key(table: str) -> str:
    return {"rows": "key", "records": "record_id", "buckets": "name", "uploads": "upload_id"}.get(
        table, "part_id"
    )


async def _prepare(drive: LocalDrive) -> None:
    await drive.call(put_bucket())
    for key in ("a", KEY, "z"):
        await drive.call(commit(version(5, key=key)))


def _damage_all_of(path: Path, key: str) -> None:
    """Damage both the row and the record of a key."""
    connection = sqlite3.connect(path / "journal.db")
    ((record_id, summary),) = connection.execute(
        "SELECT record_id, summary FROM rows WHERE key = ?", (key.encode(),)
    ).fetchall()
    connection.execute("UPDATE rows SET summary = ? WHERE key = ?", (summary[:-1], key.encode()))
    connection.execute("UPDATE records SET payload = x'00' WHERE record_id = ?", (record_id,))
    connection.commit()
    connection.close()


class TestAPayload:
    async def test_is_unknown_and_still_ordered_listed_and_retired(self, tmp_path: Path) -> None:
        async with local_drive(tmp_path / "d") as drive:
            await _prepare(drive)
            _flip(drive.path, "records", "payload")
            state = await drive.call(ReadKey(BUCKET, KEY))
            assert (state.records, state.unknown, state.damaged) == ((), 1, (order(5),))
            page = await drive.call(ListKeys(BUCKET))
            assert [entry.key for entry in page.entries] == ["a", KEY, "z"]
            assert page.trusted
            with pytest.raises(Superseded):
                await drive.call(commit(version(5)))
            await drive.call(commit(version(6)))
            await drive.call(Settle(BUCKET, KEY, order(6)))
            state = await drive.call(ReadKey(BUCKET, KEY))
            assert (len(state.records), state.unknown) == (1, 0)

    async def test_is_healed_by_a_merge(self, tmp_path: Path) -> None:
        async with local_drive(tmp_path / "d") as drive:
            await _prepare(drive)
            _flip(drive.path, "records", "payload", at=10)
            op = commit(version(5), merge=True)
            await drive.call(op)
            assert (await drive.call(ReadKey(BUCKET, KEY))).records == (op.record,)


@pytest.mark.parametrize("column", ["summary", "kind"])
class TestARow:
    async def test_takes_the_place_of_its_record(self, tmp_path: Path, column: str) -> None:
        async with local_drive(tmp_path / "d") as drive:
            await _prepare(drive)
            _flip(drive.path, "rows", column)
            state = await drive.call(ReadKey(BUCKET, KEY))
            assert (len(state.records), state.unknown) == (1, 0)
            page = await drive.call(ListKeys(BUCKET))
            assert [(entry.key, entry.kind) for entry in page.entries] == [
                ("a", Kind.OBJECT),
                (KEY, Kind.OBJECT),
                ("z", Kind.OBJECT),
            ]
            assert page.trusted
            with pytest.raises(Superseded):
                await drive.call(commit(version(4)))


class TestARowWithoutItsRecord:
    async def _damaged(self, drive: LocalDrive) -> None:
        await _prepare(drive)
        _damage_all_of(drive.path, KEY)

    async def test_is_counted_as_unknown(self, tmp_path: Path) -> None:
        async with local_drive(tmp_path / "d") as drive:
            await self._damaged(drive)
            state = await drive.call(ReadKey(BUCKET, KEY))
            assert (state.records, state.unknown) == ((), 1)

    async def test_makes_a_listing_one_that_is_not_trusted(self, tmp_path: Path) -> None:
        async with local_drive(tmp_path / "d") as drive:
            await self._damaged(drive)
            page: KeyPage = await drive.call(ListKeys(BUCKET))
            assert [entry.key for entry in page.entries] == ["a", "z"]
            assert not page.trusted
            page = await drive.call(ListKeys(BUCKET, prefix="a"))
            assert page.trusted

    async def test_refuses_a_new_write_until_it_is_healed(self, tmp_path: Path) -> None:
        async with local_drive(tmp_path / "d") as drive:
            await self._damaged(drive)
            with pytest.raises(RecordUnknown):
                await drive.call(commit(version(9)))
            await drive.call(commit(version(5), merge=True))
            assert (await drive.call(ReadKey(BUCKET, KEY))).unknown == 0
            await drive.call(commit(version(9)))

    async def test_is_not_retired_by_a_newer_version(self, tmp_path: Path) -> None:
        async with local_drive(tmp_path / "d") as drive:
            await self._damaged(drive)
            await drive.call(commit(version(9), merge=True))
            await drive.call(Settle(BUCKET, KEY, order(9)))
            assert (await drive.call(ReadKey(BUCKET, KEY))).unknown == 1
            await drive.call(Undo(BUCKET, KEY, order(5)))
            assert (await drive.call(ReadKey(BUCKET, KEY))).unknown == 0

    async def test_leaves_the_other_keys_of_a_group_alone(self, tmp_path: Path) -> None:
        async with local_drive(tmp_path / "d") as drive:
            await self._damaged(drive)
            outcomes = await _all(drive, [commit(version(9, key=key)) for key in ("a", KEY, "z")])
            assert [type(outcome).__name__ for outcome in outcomes] == [
                "Committed",
                "RecordUnknown",
                "Committed",
            ]


class TestABucketRecord:
    async def test_is_unknown(self, tmp_path: Path) -> None:
        async with local_drive(tmp_path / "d") as drive:
            await _prepare(drive)
            _flip(drive.path, "buckets", "record")
            for page in (await drive.call(ReadBucket(BUCKET)), await drive.call(ListBuckets())):
                assert (page.records, page.trusted) == ((), False)
            for write in (commit(version(9)), put_upload("u"), put_bucket(9)):
                assert type(await _outcome(drive, write)) is RecordUnknown
            await drive.call(put_bucket(9, force=True))
            await drive.call(commit(version(9)))


class TestAnUpload:
    async def _upload(self, drive: LocalDrive) -> None:
        await drive.call(put_bucket())
        await drive.call(put_upload(_UPLOAD))
        await drive.call(put_part(_UPLOAD, 1, data_id(1)))

    async def test_record_is_unknown(self, tmp_path: Path) -> None:
        async with local_drive(tmp_path / "d") as drive:
            await self._upload(drive)
            _flip(drive.path, "uploads", "record")
            with pytest.raises(RecordUnknown):
                await drive.call(ReadUpload(_UPLOAD))
            page = await drive.call(ListUploads(BUCKET))
            assert (page.uploads, page.trusted) == ((), False)

    async def test_part_is_unknown(self, tmp_path: Path) -> None:
        async with local_drive(tmp_path / "d") as drive:
            await self._upload(drive)
            _flip(drive.path, "parts", "record")
            with pytest.raises(RecordUnknown):
                await drive.call(ReadUpload(_UPLOAD))
            again: PutPart = put_part(_UPLOAD, 1, data_id(1))
            await drive.call(again)
            assert len((await drive.call(ReadUpload(_UPLOAD))).parts) == 1


def _zero_pages(first: int, last: int) -> Callable[[Path], None]:
    def zero(path: Path) -> None:
        with (path / "journal.db").open("r+b") as file:
            file.seek(first * 4096)
            file.write(bytes((last - first) * 4096))

    return zero


class TestAFile:
    async def _fill(self, path: Path) -> list[Commit]:
        ops = [
            commit(version(5, key=f"{index:05}"), HeldShard(0, inline=bytes([index]) * 3000))
            for index in range(200)
        ]
        async with local_drive(path) as drive:
            await drive.call(put_bucket())
            await _all(drive, ops)
        return ops

    async def test_with_pages_of_zeros_gives_no_wrong_answer(self, tmp_path: Path) -> None:
        """Every page in turn: an answer is right, or unknown, or an error; none is "absent"."""
        path = tmp_path / "d"
        ops = await self._fill(path)
        whole = (path / "journal.db").read_bytes()
        absent = 0
        for page in range(0, len(whole) // 4096, 7):
            (path / "journal.db").write_bytes(whole)
            _zero_pages(page, page + 1)(path)
            async with local_drive(path) as drive:
                for index in (0, 17, 99, 199):
                    outcome = await _outcome(drive, ReadKey(BUCKET, f"{index:05}"))  # type: ignore[arg-type]
                    if isinstance(outcome, DriveError):
                        continue
                    right = outcome.records == (ops[index].record,)  # type: ignore[attr-defined]
                    assert right or not outcome.records  # type: ignore[attr-defined]
                    absent += not right and not outcome.unknown  # type: ignore[attr-defined]
        assert absent == 0

    async def test_that_is_no_database_is_a_faulty_drive_until_it_is_set_aside(
        self, tmp_path: Path
    ) -> None:
        path = tmp_path / "d"
        await self._fill(path)
        _zero_pages(0, 1)(path)
        async with local_drive(path) as drive:
            assert isinstance(drive.reason, DriveFaulty)
            with pytest.raises(DriveFaulty):
                await drive.call(ReadStatus())
        aside = set_journal_aside(path, now_ms=123)
        assert (aside.name, (aside / "journal.db").exists()) == ("journal.broken-123", True)
        async with local_drive(path) as drive:
            assert not (await drive.call(ReadStatus())).trusted
            state = await drive.call(ReadKey(BUCKET, KEY))
            assert (state.trusted, state.emptied_ms) == (False, 123)
            with pytest.raises(BucketMissing):
                await drive.call(commit(version(5)))


async def test_a_damaged_record_keeps_its_files(tmp_path: Path) -> None:
    """What a damaged record names cannot be known; its files stay for the healer to look at."""
    async with local_drive(tmp_path / "d") as drive:
        await drive.call(put_bucket())
        sink = await drive.create_shard(data_id(1), 1, 0)
        await sink.write(b"shard")
        await sink.finish()
        made = version(5, parts=[part(1, data_id(1))])
        await drive.call(Commit(sealed(made, HeldShard(0))))
        _damage_all_of(drive.path, KEY)
        await drive.call(commit(version(9), merge=True))
        await drive.call(Settle(BUCKET, KEY, order(9)))
        assert await drive.read_shard(data_id(1), 1, 0, offset=0, size=5) == b"shard"


async def _outcome(drive: LocalDrive, op: object) -> object:
    try:
        return await drive.call(op)  # type: ignore[arg-type]
    except DriveError as error:
        return error


async def _all(drive: LocalDrive, ops: list[Commit]) -> list[object]:

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_outcome(drive, op)) for op in ops]
    return [task.result() for task in tasks]
