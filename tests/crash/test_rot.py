"""A thousand corruptions of every kind on a set's drives: one pass finds and repairs them all."""

import asyncio
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from objstore.background.heal_queue import run_heal_queue
from objstore.background.scrub import Scrub
from objstore.background.tend import run_tend
from objstore.drive.ops import CheckTree, ListMissed, ReadStatus, RequestScrub
from objstore.errors import DriveError, QuorumError
from objstore.names import ObjectKey, Scheme
from objstore.testing.local_drives import memory_directory
from objstore.testing.local_set import LocalSet, local_set
from objstore.testing.memory_set import BUCKET
from objstore.testing.rot import (
    SHARD_ROT,
    damage_page,
    empty_log,
    flip_in_journal,
    journal_rows,
    root_pages,
    shard_files,
)
from tests.unit.engine.bodies import get, pattern, put

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("faults")]

SCHEME = Scheme(4, 2)
FILES, INLINE = 300, 330  # objects with shard files, and with their shards in the records
BROKEN = 5  # the drive whose journal is damaged beyond its rows
PASS_S_MAX = 240.0  # a machine that does nothing else needs a tenth of it


def contents() -> dict[str, bytes]:
    files = {f"file/{n:03}": pattern(100_000 + 7 * n, n) for n in range(FILES)}
    return files | {f"inline/{n:03}": pattern(2_000 + n, n) for n in range(INLINE)}


def plant_in_shards(root: Path) -> Counter[str]:
    """Damage two shards of every object that has files, each in another way."""
    planted: Counter[str] = Counter()
    by_object: dict[bytes, list[Path]] = {}
    for drive in range(SCHEME.slots):
        if drive == BROKEN:
            continue
        for name, path in shard_files(root / f"d{drive}").items():
            by_object.setdefault(name.data_id, []).append(path)
    kinds = list(SHARD_ROT)
    others = list(shard_files(root / f"d{BROKEN}").values())  # not damaged, and of other names
    for number, (_, paths) in enumerate(sorted(by_object.items())):
        for place in range(2):
            kind = kinds[(number * 2 + place) % len(kinds)]
            SHARD_ROT[kind](paths[(number + place) % len(paths)], others[number])
            planted[kind] += 1
    return planted


def plant_in_records(root: Path) -> Counter[str]:
    """Flip a bit of one drive's record of every small object, or of what stands before it."""
    planted: Counter[str] = Counter()
    rows = {
        drive: {
            key: (summary, payload) for key, summary, payload in journal_rows(root / f"d{drive}")
        }
        for drive in range(SCHEME.slots)
        if drive != BROKEN
    }
    for number in range(INLINE):
        drive = number % BROKEN
        summary, payload = rows[drive][f"inline/{number:03}"]
        if number % 11 == 0:
            flip_in_journal(root / f"d{drive}", summary[:8], len(summary) - 1)
            planted["row"] += 1
        else:
            flip_in_journal(root / f"d{drive}", payload[4:20], number % 16)
            planted["record"] += 1
    return planted


def plant_in_trees(root: Path) -> Counter[str]:
    """Flip a bit of every sum of hashes on the drives whose journals open."""
    planted = 0
    for drive in range(SCHEME.slots):
        if drive != BROKEN:
            with closing(sqlite3.connect(root / f"d{drive}" / "journal.db")) as journal:
                planted += journal.execute("UPDATE tree SET low = low + 1 - 2 * (low & 1)").rowcount
                journal.commit()
    return Counter(tree=planted)


def plant_in_pages(root: Path, count: int) -> Counter[str]:
    """Damage pages of one journal, in the trees that everything is found by."""
    drive = root / f"d{BROKEN}"
    pages = root_pages(drive, "rows", "records", "shards")
    for number in range(count):
        damage_page(drive, pages[number % len(pages)], at=3 + number // len(pages))
    return Counter(index=count)


async def scrub_all(m: LocalSet) -> list[Scrub]:
    """Do one pass over every drive, and wait until all that it found is repaired."""
    scrubs = [Scrub(m.background, own, own.local) for own in m.background.own if own.local]
    asked_ms = m.context.now_ms()
    for drive in m.drives:
        await drive.call(RequestScrub(asked_ms, full_speed=True))
    async with asyncio.timeout(PASS_S_MAX), asyncio.TaskGroup() as group:
        tasks = [group.create_task(run_tend(m.background, own)) for own in m.background.own]
        tasks.append(group.create_task(run_heal_queue(m.background, m.handle)))
        passes = [group.create_task(one_pass(scrub)) for scrub in scrubs]
        await asyncio.wait(passes)
        for task in tasks:
            task.cancel()
    return scrubs


async def one_pass(scrub: Scrub) -> None:
    while not scrub.state.finished_ms or scrub.open:
        with suppress(DriveError, QuorumError):  # as run_scrub does
            await scrub.look()
        await asyncio.sleep(0.1)


@pytest.fixture
def root() -> Iterator[Path]:
    with memory_directory() as directory:
        yield directory


async def test_a_thousand_corruptions_are_found_and_repaired_in_one_pass(root: Path) -> None:
    objects = contents()
    async with local_set(SCHEME, root) as m:
        for key, data in objects.items():
            await put(m, key, data)
    for drive in range(SCHEME.slots):
        empty_log(root / f"d{drive}")
    shards, records, trees = plant_in_shards(root), plant_in_records(root), plant_in_trees(root)
    planted = shards + records + trees
    planted += plant_in_pages(root, 1000 - planted.total())
    assert planted.total() == 1000
    assert all(planted.values())
    async with local_set(SCHEME, root) as m:
        began = time.monotonic()
        scrubs = await scrub_all(m)
        print(f"{planted} in {time.monotonic() - began:.1f} s")
        found: Counter[str] = Counter()
        for scrub in scrubs:
            found += Counter(scrub.state.found)
            assert scrub.state.repaired == sum(scrub.state.found.values())
        # Of the damaged trees the first damage is found, and the journal is made anew.
        assert found.pop("journal") == 1
        assert sorted(path.name for path in (root / f"d{BROKEN}").glob("journal.broken-*"))
        # A sum is mended by whoever meets it first: a row beside it, a comparison, the scrub.
        assert found.pop("tree", 0) <= trees["tree"]
        missing, misplaced = shards["its presence"], shards["its name"]
        assert found == {
            "shard": shards.total() - missing - misplaced,
            "shard missing": missing,
            "shard misplaced": misplaced,
            "record": records["record"],
            "row": records["row"],
        }
        await check(m, objects)
        # Nothing is left, and nothing has spread.
        for scrub in await scrub_all(m):
            assert scrub.state.found == {}
        for one in m.drives:
            assert not (await one.call(ListMissed())).entries
            assert (await one.call(ReadStatus())).trusted
            assert (await one.call(CheckTree())).mended == 0


async def check(m: LocalSet, objects: dict[str, bytes]) -> None:
    """Read every object, and some without two of the drives."""
    for key, data in objects.items():
        assert await get(m, key) == data, key
    for number, (key, data) in enumerate(objects.items()):
        reader = await m.store.open_object(BUCKET, ObjectKey(key))
        reader.complete = True  # type: ignore[attr-defined]
        for drive in (number % SCHEME.slots, (number // 7 + number + 1) % SCHEME.slots):
            for shard, source in list(reader.sources.items()):  # type: ignore[attr-defined]
                if source.drive == drive and len(reader.sources) > SCHEME.k:  # type: ignore[attr-defined]
                    del reader.sources[shard]  # type: ignore[attr-defined]
        read = b"".join([bytes(piece) async for piece in reader.read(0, len(data))])
        assert read == data, key
