"""Drives as they once were: back after a tombstone's life, set back to an old copy, or a clone's.

A drive that is old knows what was true then. It may say so, and is outvoted; what was acknowledged
since stays, and what was deleted stays deleted, although its tombstone may be forgotten.
"""

import copy
from collections.abc import Iterable
from itertools import combinations

import pytest

from objstore.background.reaper import reap_once
from objstore.clock import Clock
from objstore.engine.forgotten import drives_that_count
from objstore.engine.heal import heal_key
from objstore.errors import (
    DriveError,
    DriveOffline,
    QuorumError,
    RequestRefused,
    WriteQuorumLost,
)
from objstore.limits import SETTLE_AGE_S, TOMBSTONE_AGE_S
from objstore.names import ObjectKey, Scheme
from objstore.quorum.thresholds import write_quorum
from objstore.testing.faulty_drive import DriveCall, Fault, on
from objstore.testing.memory_drive import MemoryDrive
from objstore.testing.memory_set import BUCKET, MemorySet, memory_set
from tests.unit.engine.bodies import delete, get, keys, pattern, put

WEEKS_S = 5 * 7 * 86_400
SCHEMES = [Scheme(1, 1), Scheme(1, 2), Scheme(2, 2), Scheme(3, 1), Scheme(4, 2)]
SIZES = [10, 3_000_000]


def copy_of(memory: MemoryDrive, clock: Clock) -> MemoryDrive:
    """What `cp -a` of the drive would give."""
    copied = MemoryDrive(memory.drive_id, clock, trusted=memory.trusted)
    for name in ("rows", "files", "buckets", "uploads"):
        setattr(copied, name, copy.deepcopy(getattr(memory, name)))
    copied.jobs.forgotten = memory.jobs.forgotten
    return copied


def put_back(m: MemorySet, copies: dict[int, MemoryDrive]) -> None:
    """Put old copies in the places of drives."""
    for index, memory in copies.items():
        m.drives[index].inner = copy_of(memory, m.clock)
        m.drives[index].bring_back()


def copies_of(m: MemorySet, drives: Iterable[int]) -> dict[int, MemoryDrive]:
    return {index: copy_of(m.drives[index].memory, m.clock) for index in drives}


async def catch_up(m: MemorySet) -> None:
    """What every server does with each of its drives when it is back."""
    for index in range(len(m.drives)):
        await m.compare(index)
        await m.walk(index)


async def reap(m: MemorySet) -> int:
    m.clock.advance(TOMBSTONE_AGE_S + 1)
    try:
        return await reap_once(m.background, m.handle, age_s=TOMBSTONE_AGE_S)
    except (DriveError, QuorumError):  # as in run_reaper
        return 0


async def is_gone(m: MemorySet, key: str) -> None:
    with pytest.raises(RequestRefused):
        await get(m, key)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
async def test_what_was_deleted_while_a_drive_was_away_for_weeks_stays_deleted(
    scheme: Scheme, size: int
) -> None:
    """Its tombstones wait for it, however long that takes."""
    async with memory_set(scheme) as m:
        await put(m, "k", pattern(size))
        m.drives[0].pull()
        if scheme.slots > 2:
            await delete(m, "k")
        else:  # nothing can be deleted without it
            m.drives[0].bring_back()
            await delete(m, "k")
            m.drives[0].pull()
        m.clock.advance(WEEKS_S)
        assert await reap(m) == 0
        m.drives[0].bring_back()
        await is_gone(m, "k")
        await catch_up(m)
        assert await reap(m) == 1
        await is_gone(m, "k")
        assert not any(any(drive.memory.rows.values()) for drive in m.drives)
        assert not any(drive.memory.files for drive in m.drives)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
async def test_a_replaced_drive_that_is_put_back_after_the_tombstones_brings_nothing_back(
    scheme: Scheme, size: int
) -> None:
    """Replaced by an empty one, all deleted and forgotten: the old one alone knows of it."""
    async with memory_set(scheme) as m:
        await put(m, "k", pattern(size))
        old = copies_of(m, [0])
        m.drives[0].replace(m.clock)
        await m.walk(0)
        await delete(m, "k")
        assert await reap(m) == 1
        m.clock.advance(WEEKS_S)
        put_back(m, old)
        await is_gone(m, "k")
        await catch_up(m)
        await is_gone(m, "k")
        # A listing asks fewer drives than a GET: it may have shown the key until now.
        assert await keys(m) == []
        assert not any(any(drive.memory.rows.values()) for drive in m.drives)


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
async def test_old_copies_of_m_drives_lose_nothing_and_bring_nothing_back(scheme: Scheme) -> None:
    """In every choice of them, as long as they are fewer than make a write.

    While no more are old than writes do without, reads show it before anything is healed.
    """
    unneeded = scheme.slots - write_quorum(scheme)
    most = min(scheme.m, write_quorum(scheme) - 1)
    async with memory_set(scheme) as m:
        await put(m, "kept", pattern(100, 1))
        await put(m, "deleted", pattern(100, 2))
        await put(m, "overwritten", pattern(100, 3))
        before = copies_of(m, range(scheme.slots))
        await put(m, "overwritten", pattern(100, 4))
        await put(m, "new", pattern(100, 5))
        await delete(m, "deleted")
        assert await reap(m) == 1
        m.clock.advance(SETTLE_AGE_S + 1)
        after = copies_of(m, range(scheme.slots))
        for old in range(1, most + 1):
            for which in combinations(range(scheme.slots), old):
                put_back(m, after)
                put_back(m, {index: before[index] for index in which})
                if old <= unneeded:
                    await all_is_there(m)
                await catch_up(m)
                await all_is_there(m)
                assert await keys(m) == ["kept", "new", "overwritten"]


async def all_is_there(m: MemorySet) -> None:
    assert await get(m, "kept") == pattern(100, 1)
    assert await get(m, "overwritten") == pattern(100, 4)
    assert await get(m, "new") == pattern(100, 5)
    await is_gone(m, "deleted")


async def test_a_drive_counts_again_once_it_holds_what_the_others_do() -> None:
    """So that what was written on it since is settled forward, as on any other."""
    async with memory_set(Scheme(1, 2)) as m:
        await put(m, "deleted", pattern(10))
        old = copies_of(m, [0])
        await delete(m, "deleted")
        assert await reap(m) == 1
        put_back(m, old)
        await catch_up(m)
        assert await drives_that_count(m.context, m.handle) == {1, 2}
        await m.compare(0)
        assert await drives_that_count(m.context, m.handle) == {0, 1, 2}
        for drive in m.drives[1:]:
            drive.rules.append(on("Commit", DriveOffline("coordinator died")))
        m.drives[0].rules.append(never_undoes)
        with pytest.raises(WriteQuorumLost):
            await put(m, "k", b"new")
        await m.idle()
        for drive in m.drives:
            drive.rules.clear()
        m.clock.advance(WEEKS_S)
        await catch_up(m)
        assert await get(m, "k") == b"new"


def never_undoes(call: DriveCall) -> Fault | None:
    return DriveOffline("coordinator died") if call.verb == "Undo" else None


async def test_what_such_a_drive_alone_has_waits_until_all_others_tell_what_they_know() -> None:
    """Which drives those are can be told only when all do tell."""
    async with memory_set(Scheme(1, 2)) as m:
        await put(m, "deleted", pattern(10))
        old = copies_of(m, [0])
        await delete(m, "deleted")
        assert await reap(m) == 1
        put_back(m, old)
        for drive in m.drives[1:]:
            drive.rules.append(on("ReadStatus", DriveOffline("does not tell")))
        m.clock.advance(WEEKS_S)
        for _ in range(2):
            await heal_key(
                m.context, m.handle, BUCKET, ObjectKey("deleted"), frozenset({1}), verify=False
            )
            await is_gone(m, "deleted")
        assert any(m.drives[0].memory.rows.values())
