"""What a scrub of real directories finds, tells apart, and remembers."""

import asyncio
import dataclasses
import os
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec
import pytest

from objstore.background.heal_queue import heal_missed_once
from objstore.background.scrub import Finding, Scrub
from objstore.background.scrub_plan import Stage, at, begun
from objstore.clock import Clock
from objstore.drive.ops import CheckTree, ListMissed, ReadKey, ReadStatus, RequestScrub, WriteScrub
from objstore.engine.ports import Attributes
from objstore.limits import SCRUB_PASS_S, SCRUB_START_S
from objstore.names import ObjectKey, Scheme
from objstore.ondisk.record import decode_record
from objstore.testing.fake_clock import FakeClock
from objstore.testing.local_drives import memory_directory
from objstore.testing.local_set import LocalSet, local_set
from objstore.testing.memory_set import BUCKET
from objstore.testing.rot import SHARD_ROT, empty_log, flip, shard_files
from objstore.wire.digests import Digests
from tests.unit.engine.bodies import BytesBody, get, pattern, put

SCHEME = Scheme(2, 1)
FILE = pattern(200_000)


@pytest.fixture
def root() -> Iterator[Path]:
    with memory_directory() as directory:
        yield directory


@asynccontextmanager
async def filled(root: Path) -> AsyncIterator[LocalSet]:
    async with local_set(SCHEME, root) as m:
        for number in range(4):
            await put(m, f"file/{number}", FILE)
            await put(m, f"inline/{number}", b"inline")
        yield m


def scrub_of(m: LocalSet, drive: int = 0) -> Scrub:
    own = m.background.own[drive]
    assert own.local is not None
    return Scrub(m.background, own, own.local)


async def one_pass(m: LocalSet, drive: int = 0, *, full_speed: bool = True) -> Scrub:
    scrub = scrub_of(m, drive)
    asked = RequestScrub(m.context.now_ms(), full_speed=full_speed)
    await m.drives[drive].call(asked)
    await scrub.look()
    return scrub


async def healed(m: LocalSet, scrub: Scrub) -> None:
    """Let the heal queue do its work, and the scrub look at it again."""
    async with asyncio.timeout(20):
        while scrub.open:
            await heal_missed_once(m.background, m.handle)
            await scrub.look()


def sql(root: Path, statement: str, *values: object, drive: int = 0) -> None:
    """Change a journal behind the drive's back."""
    connection = sqlite3.connect(root / f"d{drive}" / "journal.db")
    connection.execute(statement, values)
    connection.commit()
    connection.close()


async def test_a_drive_without_rot_is_read_whole_and_nothing_is_found(root: Path) -> None:
    async with filled(root) as m:
        scrub = await one_pass(m)
        state = scrub.state
        assert (state.found, state.unnamed, state.foreign) == ({}, 0, 0)
        files = shard_files(root / "d0")
        assert state.files_done == len(files)
        assert state.records_done == 8
        assert state.bytes_done > sum(path.stat().st_size for path in files.values())
        assert state.finished_ms >= state.started_ms > 0
        assert (await m.drives[0].call(ReadStatus())).scrub == state
        assert not (await m.drives[0].call(ListMissed())).entries


@pytest.mark.parametrize("kind", list(SHARD_ROT))
async def test_rot_of_a_shard_is_told_by_its_kind_and_repaired(root: Path, kind: str) -> None:
    async with filled(root) as m:
        paths = list(shard_files(root / "d0").values())
        SHARD_ROT[kind](paths[0], paths[1])
        scrub = await one_pass(m)
        told = {"its name": "shard misplaced", "its presence": "shard missing"}.get(kind, "shard")
        assert scrub.state.found == {told: 1}
        assert scrub.state.repaired == 0
        await healed(m, scrub)
        assert scrub.state.repaired == 1
        assert (await one_pass(m)).state.found == {}
        for number in range(4):
            assert await get(m, f"file/{number}") == FILE


async def test_files_that_nobody_names_are_counted_and_left_alone(root: Path) -> None:
    async with filled(root) as m:
        (first, *_) = shard_files(root / "d0").values()
        orphan = first.with_name("0" * 32 + ".1.0")
        foreign = first.with_name("notes.txt")
        young = first.with_name(f"{first.name[:31]}0.1.2")
        for path in (orphan, foreign, young):
            path.write_bytes(b"something")
        orphan_dir = root / "d0" / "shards" / "00"
        orphan = orphan.rename(orphan_dir / orphan.name)
        for path in (orphan, foreign):
            os.utime(path, (1, 1))
        state = (await one_pass(m)).state
        assert (state.unnamed, state.foreign, state.found) == (1, 1, {})
        assert all(path.exists() for path in (orphan, foreign, young))


async def test_damaged_records_of_every_table_are_found_and_repaired(root: Path) -> None:
    async with filled(root) as m:
        upload = await m.store.create_upload(BUCKET, ObjectKey("upload"), attributes=Attributes())
        await m.store.put_part(
            BUCKET, upload.key, upload.upload_id, 1, BytesBody(FILE), digests=Digests(["MD5"])
        )
        await m.idle()
    empty_log(root / "d0")
    sql(root, "UPDATE records SET payload = x'00' WHERE record_id = 1")
    sql(root, "UPDATE rows SET summary = x'00' WHERE key = ?", b"inline/2")
    sql(root, "UPDATE buckets SET record = x'00'")
    sql(root, "UPDATE parts SET record = x'00'")
    sql(root, "DELETE FROM shards WHERE owner = (SELECT max(owner) FROM shards)")
    sql(
        root,
        "INSERT INTO shards SELECT data_id, part, 7, owner FROM shards WHERE owner > 1 LIMIT 1",
    )
    async with local_set(SCHEME, root) as m:
        scrub = await one_pass(m)
        await healed(m, scrub)
        assert scrub.state.found == {"record": 1, "row": 1, "bucket": 1, "upload": 1, "name": 2}
        assert scrub.state.repaired == 6
        again = await one_pass(m)
        assert again.state.found == {}
        listed = await m.store.list_parts(BUCKET, upload.key, upload.upload_id, after=0, limit=10)
        assert len(listed.parts) == 1


@pytest.mark.parametrize(
    "rot",
    [
        "UPDATE tree SET low = low + 1",
        "UPDATE tree SET entries = entries + 1",
        "UPDATE tree SET high = 'no number'",
        "DELETE FROM tree",
    ],
)
async def test_a_tree_that_is_no_sum_of_its_rows_is_found_and_mended(root: Path, rot: str) -> None:
    async with filled(root) as m:
        await m.idle()
    sql(root, rot)
    async with local_set(SCHEME, root) as m:
        scrub = await one_pass(m)
        assert scrub.state.found == {"tree": 1}
        assert scrub.state.repaired == 1
        assert (await m.drives[0].call(CheckTree())).mended == 0


async def test_a_row_that_is_mended_counts_in_the_tree_again(root: Path) -> None:
    async with filled(root) as m:
        await m.idle()
    sql(root, "UPDATE rows SET summary = x'00' WHERE key = ?", b"inline/2")
    async with local_set(SCHEME, root) as m:
        assert (await one_pass(m)).state.found == {"row": 1}
        assert (await m.drives[0].call(CheckTree())).mended == 0


async def test_a_damaged_shard_of_an_upload_in_progress_is_repaired(root: Path) -> None:
    async with local_set(SCHEME, root) as m:
        upload = await m.store.create_upload(BUCKET, ObjectKey("upload"), attributes=Attributes())
        await m.store.put_part(
            BUCKET, upload.key, upload.upload_id, 1, BytesBody(FILE), digests=Digests(["MD5"])
        )
        await m.idle()
        (path,) = shard_files(root / "d0").values()
        flip(path, 5000)
        scrub = await one_pass(m)
        assert scrub.state.found == {"shard": 1}
        await healed(m, scrub)
        assert (await one_pass(m)).state.found == {}


async def test_a_pass_goes_on_after_a_restart_where_it_was(root: Path) -> None:
    async with filled(root) as m:
        whole = await one_pass(m)
        (record,) = (await m.drives[0].call(ReadKey(BUCKET, ObjectKey("file/1")))).records
        order = decode_record(record).version.order
        under_way = begun(whole.state, now_ms=m.context.now_ms(), requested_ms=0, bytes_total=1)
        there = at(under_way, Stage.ROWS, bucket=BUCKET, key="file/1", order=order)
        await m.drives[0].call(WriteScrub(msgspec.structs.replace(there, asked=True)))
    async with local_set(SCHEME, root) as m:
        scrub = scrub_of(m)
        await scrub.look()  # it was asked for, so it goes on at once
        assert scrub.state.passes == 2
        assert (scrub.state.files_done, scrub.state.records_done) == (2, 6)


async def test_by_itself_a_pass_begins_after_the_start_and_again_some_days_later(
    root: Path,
) -> None:
    async with filled(root) as m:
        scrub = scrub_of(m)
        clock = FakeClock()
        clock.jump(m.context.now_ms() / 1000 - clock.now_ns() / 1e9)
        set_clock(scrub, clock)
        passes = []
        for later_s in (0, SCRUB_START_S, SCRUB_PASS_S - 10, 20):
            clock.advance(later_s)
            await scrub.look()
            passes.append(scrub.state.passes)
        assert passes == [0, 1, 1, 2]


def set_clock(scrub: Scrub, clock: Clock) -> None:
    scrub._clock = clock
    scrub._context = dataclasses.replace(scrub._context, clock=clock)
    scrub._began_s = clock.monotonic_s()


async def test_a_key_that_is_overwritten_meanwhile_is_no_finding_for_ever(root: Path) -> None:
    async with filled(root) as m:
        (path, *_) = shard_files(root / "d0").values()
        flip(path, 5000)
        scrub = await one_pass(m)
        ((found),) = scrub.open
        assert isinstance(found, Finding)
        await put(m, found.key, b"other")
        await scrub.look()
        assert not scrub.open


async def test_a_drive_whose_journal_is_damaged_is_not_scrubbed_until_it_was_made_anew(
    root: Path,
) -> None:
    async with filled(root) as m:
        await m.drives[0].check(lambda checker: checker.root.note_damage("seen"))
        scrub = await one_pass(m)
        assert not scrub.state.started_ms
        await m.background.own[0].restore()
        with suppress(Exception):
            await scrub.look()
        assert not scrub.state.passes
