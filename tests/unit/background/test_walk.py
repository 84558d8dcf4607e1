"""A walk over a drive: what it may conclude from what the others say, and what it leaves alone."""

import pytest

from objstore.drive.ops import ReadKey, ReadStatus, ReadUpload
from objstore.engine.heal import heal_key
from objstore.errors import ReadQuorumLost
from objstore.limits import SETTLE_AGE_S
from objstore.names import Kind, ObjectKey, Order, Scheme
from objstore.ondisk.record import decode_record
from objstore.testing.memory_set import BUCKET, MemorySet, memory_set
from tests.unit.engine.bodies import delete, get, pattern, put
from tests.unit.engine.test_multipart import begin, complete, send

KEY = ObjectKey("k")


async def _orders(m: MemorySet, drive: int) -> list[Order]:
    records = (await m.drives[drive].memory.call(ReadKey(BUCKET, KEY))).records
    return [decode_record(sealed).version.order for sealed in records]


@pytest.mark.parametrize("scheme", [Scheme(1, 2), Scheme(2, 1), Scheme(2, 2)], ids=str)
async def test_a_replacement_that_is_alone_is_not_trusted(scheme: Scheme) -> None:
    """It would say of every key that it does not exist, and be believed."""
    async with memory_set(scheme) as m:
        await put(m, "k", b"hello")
        m.drives[0].replace(m.clock)
        for drive in m.drives[1:]:
            drive.pull()
        with pytest.raises(ReadQuorumLost):
            await m.walk(0)
        assert not (await m.drives[0].call(ReadStatus())).trusted
        for drive in m.drives[1:]:
            drive.bring_back()
        await m.walk(0)
        assert (await m.drives[0].call(ReadStatus())).trusted
        assert len(await _orders(m, 0)) == 1


async def test_what_is_left_of_a_superseded_version_is_not_brought_to_others() -> None:
    async with memory_set(Scheme(1, 2)) as m:
        await put(m, "k", b"old")
        m.drives[2].pull()
        await put(m, "k", b"new")
        await m.idle()
        m.drives[2].bring_back()
        m.clock.advance(SETTLE_AGE_S + 1)
        await heal_key(m.context, m.handle, BUCKET, KEY, frozenset({2}), verify=False)
        held = [await _orders(m, drive) for drive in range(3)]
        assert held == [held[0]] * 3
        assert len(held[0]) == 1
        assert await get(m, "k") == b"new"


async def test_an_upload_that_ended_does_not_begin_again_on_a_drive_that_saw_its_end() -> None:
    """One drive missed the end; while another is away, its word is not enough."""
    async with memory_set(Scheme(2, 1), bracketing=0) as m:
        upload = await begin(m)
        part = await send(m, upload, 1, pattern(100_000))
        m.drives[2].pull()
        await complete(m, upload, [part])
        await m.idle()
        m.drives[2].bring_back()
        m.drives[0].pull()
        with pytest.raises(ReadQuorumLost):
            await m.walk(1)
        assert (await m.drives[1].call(ReadUpload(upload))).upload is None
        m.drives[0].bring_back()
        for drive in range(3):
            await m.walk(drive)
        assert (await m.drives[1].call(ReadUpload(upload))).upload is None


async def test_a_part_beyond_repair_holds_nothing_up() -> None:
    async with memory_set(Scheme(2, 1), bracketing=0) as m:
        await put(m, "k", b"hello")
        upload = await begin(m)
        await send(m, upload, 1, pattern(100_000))
        m.drives[1].memory.files.clear()
        m.drives[0].replace(m.clock)
        await m.walk(0)
        assert (await m.drives[0].call(ReadStatus())).trusted
        assert len(await _orders(m, 0)) == 1


async def test_a_damaged_tombstone_is_found_by_a_walk_that_verifies() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        await put(m, "k", b"hello")
        await delete(m, "k")
        await m.idle()
        (row,) = m.drives[0].memory.rows[BUCKET, KEY]
        assert row.kind is Kind.TOMBSTONE
        m.drives[0].memory.damage(BUCKET, KEY, row.order)
        assert not await _orders(m, 0)
        await m.walk(0, verify=True)
        assert await _orders(m, 0) == [row.order]


@pytest.mark.parametrize("scheme", [Scheme(1, 2), Scheme(2, 1), Scheme(2, 2)], ids=str)
async def test_of_a_set_whose_drives_are_all_new_every_drive_is_trusted_in_the_end(
    scheme: Scheme,
) -> None:
    """A pool that is added: there is nobody who could know more."""
    async with memory_set(scheme) as m:
        for drive in m.drives:
            drive.replace(m.clock)
        for number, drive in enumerate(m.drives):
            await m.walk(number)
            assert (await drive.call(ReadStatus())).trusted
