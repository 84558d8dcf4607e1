"""Healing: a drive that was away, was replaced or has rotted comes to what its set says."""

import pytest

from objstore.background.heal_queue import heal_missed_once
from objstore.background.reaper import reap_once
from objstore.drive.ops import ListMissed, ReadKey, ReadStatus
from objstore.engine.heal import heal_key
from objstore.errors import DriveOffline, ReadQuorumLost, RequestRefused, WriteQuorumLost
from objstore.limits import SETTLE_AGE_S, STRIPE_BYTES
from objstore.names import ObjectKey, Scheme
from objstore.ondisk.record import decode_record
from objstore.testing.faulty_drive import DriveCall, Fault, on
from objstore.testing.memory_set import BUCKET, MemorySet, memory_set
from tests.unit.engine.bodies import delete, get, keys, pattern, put

LARGE = pattern(2 * STRIPE_BYTES + 7)


async def survives_without_any(
    m: MemorySet, expected: dict[str, bytes], tolerated: int = 1
) -> None:
    """Every drive may go: so every shard of every object is where it belongs."""
    assert tolerated == 1
    for drive in m.drives:
        drive.pull()
        for key, data in expected.items():
            assert await get(m, key) == data
        drive.bring_back()


@pytest.mark.parametrize("scheme", [Scheme(3, 1), Scheme(2, 2), Scheme(1, 2)], ids=str)
async def test_an_empty_replacement_is_rebuilt(scheme: Scheme) -> None:
    async with memory_set(scheme) as m:
        expected = {"large": LARGE, "small": b"hello", "empty": b""}
        for key, data in expected.items():
            await put(m, key, data)
        await delete_one(m)
        m.drives[1].pull()
        m.drives[1].replace(m.clock)
        assert not (await m.drives[1].call(ReadStatus())).trusted
        await m.walk(1)
        status = await m.drives[1].call(ReadStatus())
        assert status.trusted
        assert status.progress is not None
        assert status.progress.finished_ms
        await survives_without_any(m, expected)
        with pytest.raises(RequestRefused):
            await get(m, "deleted")


async def delete_one(m: MemorySet) -> None:
    await put(m, "deleted", b"x")
    await delete(m, "deleted")


async def test_while_a_replacement_is_rebuilt_what_it_lacks_is_unknown() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        await put(m, "k", LARGE)
        m.drives[0].replace(m.clock)
        m.drives[1].pull()
        # Two of four hold it and two are unknown: it may be acknowledged and can not be decoded.
        with pytest.raises(ReadQuorumLost):
            await get(m, "k")


async def test_a_drive_that_returns_is_brought_up_to_date_deletions_included() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        await put(m, "deleted", LARGE)
        await put(m, "overwritten", b"old")
        await put(m, "kept", b"kept")
        m.drives[2].pull()
        await delete(m, "deleted")
        await put(m, "overwritten", pattern(STRIPE_BYTES, 5))
        await put(m, "new", LARGE)
        m.drives[2].bring_back()
        await m.walk(2)
        await heal_missed_once(m.background, m.handle)
        expected = {"overwritten": pattern(STRIPE_BYTES, 5), "new": LARGE, "kept": b"kept"}
        await survives_without_any(m, expected)
        assert await keys(m) == ["kept", "new", "overwritten"]
        newest = decode_record(
            (await m.drives[2].call(ReadKey(BUCKET, ObjectKey("deleted")))).records[0]
        )
        assert newest.version.size == 0


async def test_notes_heal_a_missed_write_and_restore_the_sets_scheme() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        m.drives[3].pull()
        for key, data in {"large": LARGE, "small": b"hello"}.items():
            assert (await put(m, key, data)).scheme == Scheme(2, 2)
        notes = (await m.drives[0].call(ListMissed())).entries
        assert [note.key for note in notes] == ["large", "small"]
        assert await heal_missed_once(m.background, m.handle) == 0  # the drive is still away
        m.drives[3].bring_back()
        assert await heal_missed_once(m.background, m.handle) == 2
        await m.idle()
        for key, data in {"large": LARGE, "small": b"hello"}.items():
            assert (await m.store.open_object(BUCKET, ObjectKey(key))).version.scheme == Scheme(
                3, 1
            )
            assert await get(m, key) == data
        for drive in m.drives:
            assert not (await drive.call(ListMissed())).entries
            assert len((await drive.call(ReadKey(BUCKET, ObjectKey("large")))).records) == 1
            assert len(drive.memory.files) == 1
        await survives_without_any(m, {"large": LARGE, "small": b"hello"})


async def test_rot_that_a_read_finds_is_healed() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        await put(m, "k", LARGE)
        for drive in m.drives:
            ((name, file),) = drive.memory.files.items()
            if name[2] == 3:
                continue  # parity: a read that needs no decoding does not look at it
            file.data[4096 + 1000] ^= 1
            assert await get(m, "k") == LARGE
            await m.idle()
            await heal_missed_once(m.background, m.handle)
        await survives_without_any(m, {"k": LARGE})
        for drive in m.drives:
            assert not (await drive.call(ListMissed())).entries


async def test_a_walk_that_verifies_finds_rot_in_parity_too() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        await put(m, "k", LARGE)
        for index, drive in enumerate(m.drives):
            (file,) = drive.memory.files.values()
            file.data[4096 + 350_000] ^= 1
            await m.walk(index, verify=True)
        await survives_without_any(m, {"k": LARGE})


async def test_healing_twice_changes_nothing() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        await put(m, "k", LARGE)
        before = [dict(drive.memory.files) for drive in m.drives]
        for index in range(4):
            healed = await heal_key(
                m.context, m.handle, BUCKET, ObjectKey("k"), frozenset({index}), verify=True
            )
            assert not healed.changed
        assert [dict(drive.memory.files) for drive in m.drives] == before


async def test_healing_never_lowers_a_version() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        await put(m, "k", b"old")
        m.drives[0].pull()
        await put(m, "k", b"new")
        m.drives[0].bring_back()
        for index in range(4):
            await heal_key(
                m.context, m.handle, BUCKET, ObjectKey("k"), frozenset({index}), verify=True
            )
        assert await get(m, "k") == b"new"


@pytest.mark.parametrize("committed", [1, 2, 3])
async def test_a_write_whose_coordinator_died_is_settled(committed: int) -> None:
    """A crash during the commit leaves `committed` of 4 records, and nobody undoes them."""
    async with memory_set(Scheme(2, 2)) as m:
        await put(m, "k", b"old")

        def dies(call: DriveCall) -> Fault | None:
            return DriveOffline("coordinator died") if call.verb == "Undo" else None

        for drive in m.drives:
            drive.rules.append(dies)
        for drive in m.drives[committed:]:
            drive.rules.append(on("Commit", DriveOffline("coordinator died")))
        if committed < 3:
            with pytest.raises(WriteQuorumLost):
                await put(m, "k", b"new")
        else:
            await put(m, "k", b"new")
        await m.idle()
        for drive in m.drives:
            drive.rules.clear()
        first = await get(m, "k")
        assert first == (b"new" if committed >= 3 else b"old")
        m.clock.advance(SETTLE_AGE_S + 1)
        for index in range(4):
            await heal_key(
                m.context, m.handle, BUCKET, ObjectKey("k"), frozenset({index}), verify=True
            )
        # Forward when k shards exist, else back; and the same on every drive from then on.
        assert await get(m, "k") == (b"new" if committed >= 2 else b"old")
        orders = set()
        for drive in m.drives:
            records = (await drive.call(ReadKey(BUCKET, ObjectKey("k")))).records
            orders.add(tuple(decode_record(sealed).version.order for sealed in records))
        assert len(orders) == 1


async def test_a_tombstone_goes_when_every_slot_has_it_and_not_before() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        await put(m, "k", b"x")
        m.drives[1].pull()
        await delete(m, "k")
        m.clock.advance(7200)
        assert await reap_once(m.background, m.handle, age_s=3600) == 0
        m.drives[1].bring_back()
        assert await reap_once(m.background, m.handle, age_s=3600) == 0
        await m.walk(1)
        assert await reap_once(m.background, m.handle, age_s=3600) == 1
        assert not any(any(drive.memory.rows.values()) for drive in m.drives)
        with pytest.raises(RequestRefused):
            await get(m, "k")


async def test_a_damaged_record_is_healed() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        await put(m, "k", b"hello")
        m.drives[0].pull()
        m.drives[0].replace(m.clock)
        await m.walk(0)
        await survives_without_any(m, {"k": b"hello"})
