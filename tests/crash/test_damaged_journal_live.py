"""A journal whose file is damaged is noticed, set aside and rebuilt, while its set serves.

Two processes stand for those of a server: each has every drive open. Whatever byte is damaged, live
or before a start: no answer is wrong, and every object is whole in the end without anybody's help.
"""

import asyncio
import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from objstore.background.heal_queue import run_heal_queue
from objstore.background.tend import run_tend
from objstore.drive.local import LocalDrive
from objstore.drive.ops import ReadKey, ReadStatus
from objstore.errors import DriveError, DriveFaulty, QuorumError
from objstore.names import ObjectKey, Scheme
from objstore.ondisk.wal import FRAME_BYTES, WAL_HEADER_BYTES
from objstore.testing.local_drives import accept, memory_directory
from objstore.testing.local_set import LocalSet, local_set
from objstore.testing.memory_set import BUCKET
from objstore.testing.rot import damage_page, empty_log, flip, root_pages
from tests.unit.engine.bodies import get, pattern, put

SCHEME = Scheme(2, 2)
DRIVE = 1
REBUILT_S = 60.0
OBJECTS = {f"{n:03}": pattern(500 if n % 4 else 70_000, n) for n in range(40)}


@pytest.fixture
def root() -> Iterator[Path]:
    with memory_directory() as directory:
        yield directory


async def fill(root: Path) -> None:
    async with local_set(SCHEME, root) as m:
        for key, data in OBJECTS.items():
            await put(m, key, data)
    for drive in range(SCHEME.slots):
        empty_log(root / f"d{drive}")


async def tended(m: LocalSet) -> None:
    """Do what the background process does until every drive is trusted, and reads all the time."""
    async with asyncio.timeout(REBUILT_S), asyncio.TaskGroup() as group:
        tasks = [group.create_task(run_tend(m.background, own)) for own in m.background.own]
        tasks.append(group.create_task(run_heal_queue(m.background, m.handle)))
        await asyncio.sleep(0.1)
        calm = 0
        while calm < 3:
            for key, data in OBJECTS.items():
                assert await get(m, key) == data
            calm = calm + 1 if await all_trusted(m) else 0
            await asyncio.sleep(0.2)
        for task in tasks:
            task.cancel()


async def all_trusted(m: LocalSet) -> bool:
    for guard in m.guards:
        try:
            status = await guard.call(ReadStatus())
        except DriveError:
            return False
        if not status.trusted or status.journal_damage:
            return False
    return True


async def prove(m: LocalSet) -> None:
    """Every drive has every object, and their records say the same."""
    for key in OBJECTS:
        states = [await drive.call(ReadKey(BUCKET, ObjectKey(key))) for drive in m.drives]
        assert all(state.trusted and not state.unknown for state in states)
        assert all(len(state.records) == 1 for state in states)


def aside(root: Path) -> list[Path]:
    return sorted((root / f"d{DRIVE}").glob("journal.broken-*"))


def _first_page(at: int) -> Callable[[Path], None]:
    return lambda drive: flip(drive / "journal.db", at, 0x41)


def _garbage(drive: Path) -> None:
    (drive / "journal.db").write_bytes(random.Random(1).randbytes(300_000))


def _half(drive: Path) -> None:
    path = drive / "journal.db"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 8192 * 4096])


def _trees(drive: Path) -> None:
    for page in root_pages(drive, "rows", "records", "shards"):
        damage_page(drive, page, at=1)
        damage_page(drive, page, at=3)


AT_A_START: dict[str, Callable[[Path], None]] = {
    "the file's magic": _first_page(3),
    "what kind of file it is": _first_page(69),
    "a name in its tables": lambda drive: flip(
        drive / "journal.db", (drive / "journal.db").read_bytes().index(b"record_id INTEGER"), 2
    ),
    "all of it": _garbage,
    "its length": _half,
    "its trees": _trees,
}


@pytest.mark.parametrize("kind", list(AT_A_START))
async def test_a_journal_damaged_before_a_start_is_rebuilt(root: Path, kind: str) -> None:
    await fill(root)
    AT_A_START[kind](root / f"d{DRIVE}")
    async with local_set(SCHEME, root) as m:
        await read_all_keys(m)  # whoever meets the damage says so
        await tended(m)
        await prove(m)
    (kept,) = aside(root)
    assert (kept / "journal.db").exists()
    assert (kept / "journal.damaged").read_text()
    assert not (root / f"d{DRIVE}" / "journal.damaged").exists()


async def read_all_keys(m: LocalSet) -> None:
    for key in OBJECTS:
        with suppress(DriveError):
            await m.drives[DRIVE].call(ReadKey(BUCKET, ObjectKey(key)))


async def test_every_process_goes_on_with_the_new_journal(root: Path) -> None:
    await fill(root)
    async with local_set(SCHEME, root) as m:
        path = root / f"d{DRIVE}"
        other = await LocalDrive.open(path, check=accept, clock=m.context.clock)
        try:
            assert (await other.call(ReadStatus())).trusted
            _trees(path)
            # The other process has pages in memory; this one meets the damage.
            await m.drives[DRIVE].check(lambda checker: checker.root.note_damage("seen"))
            # From here on the other one trusts it no more, and it goes on with the new one.
            assert not (await other.call(ReadStatus())).trusted
            await tended(m)
            for key in OBJECTS:
                with suppress(DriveError):
                    await other.call(ReadKey(BUCKET, ObjectKey(key)))
            async with asyncio.timeout(10):
                while not await is_trusted(other):
                    await asyncio.sleep(0.1)
            state = await other.call(ReadKey(BUCKET, ObjectKey("001")))
            assert len(state.records) == 1
            # Closing what it had open of the damaged one has not touched the new one's log.
            await put(m, "later", b"later")
            assert (await other.call(ReadKey(BUCKET, ObjectKey("later")))).records
        finally:
            await other.close()
    async with local_set(SCHEME, root) as m:
        await tended(m)
        assert await get(m, "later") == b"later"
        assert (await m.drives[DRIVE].call(ReadKey(BUCKET, ObjectKey("later")))).records


async def is_trusted(drive: LocalDrive) -> bool:
    try:
        return (await drive.call(ReadStatus())).trusted
    except DriveError:
        return False


async def test_a_log_that_lost_what_was_acknowledged_is_not_taken_for_a_crash(root: Path) -> None:
    """SQLite cuts a log at its first damaged frame; what it had behind there was acknowledged."""
    await fill(root)
    path = root / f"d{DRIVE}"
    log = path / "journal.db-wal"
    async with local_set(SCHEME, root) as m:
        for number in range(30):
            await put(m, f"late/{number}", b"late")
        whole = log.read_bytes()
        journal = (path / "journal.db").read_bytes()
    (path / "journal.db").write_bytes(journal)
    log.write_bytes(whole)
    flip(log, WAL_HEADER_BYTES + 6 * FRAME_BYTES + 500)
    drive = await LocalDrive.open(path, check=accept, clock=m.context.clock)
    assert isinstance(drive.reason, DriveFaulty)
    await drive.close()
    async with local_set(SCHEME, root) as m:
        await tended(m)
        for number in range(30):
            state = await m.drives[DRIVE].call(ReadKey(BUCKET, ObjectKey(f"late/{number}")))
            assert len(state.records) == 1
    assert len(aside(root)) == 1


async def test_a_log_that_a_crash_cut_off_is_no_damage(root: Path) -> None:
    await fill(root)
    path = root / f"d{DRIVE}"
    log = path / "journal.db-wal"
    async with local_set(SCHEME, root) as m:
        for number in range(30):
            await put(m, f"late/{number}", b"late")
        whole = log.read_bytes()
        journal = (path / "journal.db").read_bytes()
    for length in (len(whole) - 1, len(whole) - 3 * FRAME_BYTES + 9, WAL_HEADER_BYTES + 100, 0):
        (path / "journal.db").write_bytes(journal)
        log.write_bytes(whole[:length] + bytes(5000))
        drive = await LocalDrive.open(path, check=accept, clock=m.context.clock)
        assert drive.reason is None
        await drive.close()
        log.unlink(missing_ok=True)
    assert not aside(root)


async def test_a_damaged_journal_that_still_answers_waits_until_the_others_are_well(
    root: Path,
) -> None:
    await fill(root)
    async with local_set(SCHEME, root) as m:
        away = root / "d2"
        away.rename(root / "away")
        await m.drives[DRIVE].check(lambda checker: checker.root.note_damage("seen"))
        with suppress(TimeoutError, ExceptionGroup):
            async with asyncio.timeout(5), asyncio.TaskGroup() as group:
                for own in m.background.own:
                    group.create_task(run_tend(m.background, own))
        assert not aside(root)
        with suppress(QuorumError):
            assert await get(m, "001") == OBJECTS["001"]
        (root / "away").rename(away)
        await tended(m)
        await prove(m)
    assert len(aside(root)) == 1


async def test_a_crash_while_it_is_set_aside_is_followed_by_another_try(root: Path) -> None:
    """Between moving the damaged one and making the new one there is no journal at all."""
    await fill(root)
    path = root / f"d{DRIVE}"
    (path / "journal.damaged").write_text("seen")
    (path / "journal.broken-1").mkdir()
    (path / "journal.db").rename(path / "journal.broken-1" / "journal.db")
    async with local_set(SCHEME, root) as m:
        await tended(m)
        await prove(m)


async def test_a_newer_journal_is_not_taken_for_a_damaged_one(root: Path) -> None:
    await fill(root)
    path = root / f"d{DRIVE}"
    connection = sqlite3.connect(path / "journal.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    async with local_set(SCHEME, root) as m:
        assert isinstance(m.drives[DRIVE].reason, DriveFaulty)
        assert not (path / "journal.damaged").exists()
