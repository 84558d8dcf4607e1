"""Reads of a key that is written meanwhile, with drives that hear the question early or late."""

import asyncio
from collections.abc import Callable

import pytest

from objstore.background.heal_queue import heal_missed_once
from objstore.drive.ops import ReadKey
from objstore.errors import ReadQuorumLost, RequestRefused
from objstore.names import CURRENT, ObjectKey, Scheme
from objstore.testing.faulty_drive import DriveCall, Fault, Late, on
from objstore.testing.memory_set import BUCKET, MemorySet, memory_set
from tests.unit.engine.bodies import delete, get, pattern, put

KEY = "k"
LATE_S = 0.05


def _first_read_late() -> Callable[[DriveCall], Fault | None]:
    """Return the rule that the first read of a key is heard late, and no other."""
    heard = False

    def rule(call: DriveCall) -> Fault | None:
        nonlocal heard
        if heard or not isinstance(call.op, ReadKey):
            return None
        heard = True
        return Late(LATE_S)

    return rule


async def _while_read(m: MemorySet, late: tuple[int, ...]) -> asyncio.Task[bytes]:
    """Begin a GET that some drives hear only later."""
    for drive in late:
        m.drives[drive].rules.append(_first_read_late())
    reading = asyncio.create_task(get(m, KEY))
    await asyncio.sleep(LATE_S / 10)
    return reading


@pytest.mark.parametrize("scheme", [Scheme(3, 1), Scheme(2, 2), Scheme(4, 2)], ids=str)
@pytest.mark.parametrize("size", [0, 5, 500_000])
async def test_an_overwrite_while_drives_are_heard_does_not_hide_the_key(
    scheme: Scheme, size: int
) -> None:
    async with memory_set(scheme) as m:
        old, new = pattern(size, 1), pattern(size, 2)
        await put(m, KEY, old)
        reading = await _while_read(m, late=tuple(range(scheme.slots // 2)))
        await put(m, KEY, new)
        assert await reading in {old, new}


async def test_recoding_while_drives_are_heard_does_not_hide_the_key() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        m.drives[3].pull()
        await put(m, KEY, b"hello")
        m.drives[3].bring_back()
        reading = await _while_read(m, late=(0, 1))
        while await heal_missed_once(m.background, m.handle):
            await m.idle()
        opened = await m.store.open_object(BUCKET, ObjectKey(KEY), CURRENT)
        assert opened.version.scheme == Scheme(3, 1)
        assert await reading == b"hello"


async def test_one_drive_away_and_an_overwrite_meanwhile() -> None:
    async with memory_set(Scheme(2, 2)) as m:
        await put(m, KEY, b"old")
        m.drives[3].pull()
        reading = await _while_read(m, late=(0, 1))
        await put(m, KEY, b"new")
        assert await reading in {b"old", b"new"}


@pytest.mark.parametrize("size", [5, 500_000])
async def test_the_last_shard_may_still_be_on_its_way_when_a_drive_is_lost(size: int) -> None:
    """W slots have it and the client its answer; then one of them goes, before the last has it."""
    async with memory_set(Scheme(3, 1)) as m:
        m.drives[3].rules.append(on("Commit", Late(4 * LATE_S)))
        await put(m, KEY, pattern(size))
        m.drives[0].pull()
        assert await get(m, KEY) == pattern(size)


async def test_a_shard_that_does_not_come_is_not_waited_for_long() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        m.drives[3].pull()
        await put(m, KEY, b"hello")  # 2 + 2
        m.drives[3].bring_back()
        m.drives[0].pull()
        m.drives[1].pull()
        async with asyncio.timeout(2):
            with pytest.raises(ReadQuorumLost):
                await get(m, KEY)


async def test_a_listing_needs_no_shards_and_waits_for_none() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        m.drives[3].pull()
        for number in range(5):
            await put(m, f"k{number}", b"hello")
        m.drives[3].bring_back()
        m.drives[0].pull()
        m.drives[1].pull()
        before = len(m.drives[2].calls)
        listing = await m.store.list_versions(
            BUCKET, prefix="", delimiter="", after_key="", after_version=CURRENT, limit=10
        )
        assert len(listing.versions) == 5
        asked = [call for call in m.drives[2].calls[before:] if isinstance(call.op, ReadKey)]
        assert len(asked) <= 2 * 5, "each key once, and once more to see that it stands still"


async def test_a_listing_shows_a_name_that_reaches_the_other_drive_while_it_asks() -> None:
    """Two drives are left; they disagree about a key when they are listed, and then no more."""
    async with memory_set(Scheme(3, 1)) as m:
        m.drives[1].rules.append(on("Commit", Late(10 * LATE_S)))
        await put(m, KEY, b"hello")
        m.drives[2].pull()
        m.drives[3].pull()
        m.drives[0].rules.append(on("ReadKey", Late(10 * LATE_S)))
        m.drives[1].rules.append(on("ReadKey", Late(10 * LATE_S)))
        listing = await m.store.list_objects(BUCKET, prefix="", delimiter="", after="", limit=10)
        assert [one.key for one in listing.objects] == [KEY]


async def test_what_was_deleted_stays_deleted_while_drives_are_heard() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        await put(m, KEY, b"old")
        await delete(m, KEY)
        reading = await _while_read(m, late=(0, 1))
        await put(m, KEY, b"new")
        await delete(m, KEY)
        with pytest.raises(RequestRefused, match="NoSuchKey"):
            await reading
