"""A drive that missed something finds it by comparing trees, and is healed; nothing else is."""

from collections.abc import Iterable

import msgspec
import pytest

from objstore.background.compare import NoTree
from objstore.background.heal_queue import heal_missed_once
from objstore.drive.ops import Commit, CommitMode, ListMissed, ReadStatus, ReadTree
from objstore.engine.ports import Attributes
from objstore.errors import DriveOffline, DriveRefusal, ReadQuorumLost
from objstore.limits import SETTLE_AGE_S, STRIPE_BYTES
from objstore.names import CURRENT, BucketName, ObjectKey, Scheme
from objstore.ondisk.record import HeldShard, Record, encode_record, encode_version
from objstore.ondisk.tree import LEVEL_MAX
from objstore.testing.faulty_drive import DriveCall, Fault, on
from objstore.testing.memory_rows import HeldRow
from objstore.testing.memory_set import BUCKET, MemorySet, SwitchedDrive, memory_set
from objstore.wire.digests import Digests
from tests.unit.engine.bodies import BytesBody, delete, get, keys, pattern, put

LARGE = pattern(2 * STRIPE_BYTES + 7)


async def roots(m: MemorySet) -> set[int]:
    return {await root(drive) for drive in m.drives}


async def root(drive: SwitchedDrive) -> int:
    (node,) = (await drive.call(ReadTree(LEVEL_MAX))).nodes
    return node.total


async def forget_notes(m: MemorySet) -> None:
    """Lose what is noted for drives that were away: the comparison has to find it."""
    for drive in m.drives:
        drive.memory._missed.clear()
    assert not [one for drive in m.drives for one in (await drive.call(ListMissed())).entries]


async def test_drives_that_agree_exchange_their_roots() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        for number in range(200):
            await put(m, f"{number}", b"x")
        result = await m.compare(0)
        assert result.differences == result.failed == result.mended == 0
        assert result.calls == len(m.drives) - 1
        assert result.read_bytes < 100 * result.calls
        assert (await m.drives[0].call(ReadStatus())).comparison == result


@pytest.mark.parametrize("scheme", [Scheme(3, 1), Scheme(2, 2), Scheme(1, 2)], ids=str)
async def test_what_a_drive_missed_is_found_and_healed(scheme: Scheme) -> None:
    async with memory_set(scheme) as m:
        for number in range(300):
            await put(m, f"kept/{number}", b"x")
        await put(m, "deleted", LARGE)
        await put(m, "overwritten", b"old")
        m.drives[2].pull()
        await delete(m, "deleted")
        await put(m, "overwritten", LARGE)
        await put(m, "new", b"new")
        m.drives[2].bring_back()
        await forget_notes(m)
        result = await m.compare(2)
        assert (result.differences, result.failed) == (3, 0)
        assert len(await roots(m)) == 1
        m.drives[0].pull()
        assert await get(m, "overwritten") == LARGE
        assert await get(m, "new") == b"new"
        assert "deleted" not in await keys(m)


async def test_it_asks_about_little_more_than_what_differs() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        for number in range(600):
            await put(m, f"{number:05}", b"x")
        keys_of_all = await m.drives[0].call(ReadTree(0))
        m.drives[1].pull()
        await put(m, "00300", b"y")
        m.drives[1].bring_back()
        result = await m.compare(1)
        assert result.differences == 1
        assert result.read_bytes < len(str(keys_of_all)) / 8
        assert result.calls < 10  # one drive stands for the three that are alike


async def test_a_write_that_nobody_acknowledged_is_settled_or_left() -> None:
    """The comparison nominates; what is in flight the healer leaves alone."""
    async with memory_set(Scheme(3, 1)) as m:
        await put(m, "k", b"old")
        await put(m, "other", LARGE)
        only = m.drives[3]
        held = only.memory.rows[BUCKET, ObjectKey("k")][0]
        young = _again(m, held)
        await only.call(Commit(young, CommitMode.ORDERED))
        before = await roots(m)
        assert (await m.compare(3)).differences == 1
        assert (await m.compare(0)).differences == 1
        assert await roots(m) == before
        m.clock.advance(SETTLE_AGE_S + 1)
        await m.compare(3)
        assert len(await roots(m)) == 1
        assert await get(m, "k") == b"old"


def _again(m: MemorySet, held: HeldRow) -> bytes:
    """Return the record of a write that only one drive of four has."""

    version = msgspec.structs.replace(held.record.version, stamp=m.context.stamp(), size=3)
    return encode_record(encode_version(version), held.record.held)


async def test_buckets_and_uploads_are_compared_too() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        gone = await m.store.create_upload(BUCKET, ObjectKey("gone"), attributes=Attributes())
        m.drives[1].pull()
        m.clock.advance(1)
        await m.store.create_bucket(BucketName("second"), owner="me", region="", settings={})
        upload = await m.store.create_upload(
            BucketName("second"), ObjectKey("k"), attributes=Attributes()
        )
        await m.store.put_part(
            BucketName("second"),
            ObjectKey("k"),
            upload.upload_id,
            1,
            BytesBody(LARGE),
            digests=Digests(["MD5"]),
        )
        await m.store.abort_upload(BUCKET, ObjectKey("gone"), gone.upload_id)
        await m.idle()
        m.drives[1].bring_back()
        m.clock.advance(SETTLE_AGE_S + 1)
        result = await m.compare(1)
        assert (result.differences, result.failed) == (2, 0)
        assert len(await roots(m)) == 1
        assert (await m.compare(1)).differences == 0


async def test_a_lost_shard_is_found_though_every_drive_has_the_row() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        await put(m, "k", LARGE)
        _lose_shard(m.drives[2].memory.rows[BUCKET, ObjectKey("k")])
        result = await m.compare(2)
        assert (result.differences, result.failed) == (1, 0)
        assert len(await roots(m)) == 1
        m.drives[0].pull()
        assert await get(m, "k") == LARGE


def _lose_shard(rows: Iterable[HeldRow]) -> None:
    for row in rows:
        record = row.record
        held = tuple(HeldShard(one.shard, missing_parts=(1,)) for one in record.held)
        row.record = Record(record.version, held)
        row.sealed = encode_record(encode_version(record.version), held)


async def test_a_damaged_row_is_found_and_replaced() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        version = await put(m, "k", b"x")
        m.drives[2].memory.damage(BUCKET, ObjectKey("k"), version.order)
        assert (await m.compare(2)).differences == 1
        assert len(await roots(m)) == 1


async def test_a_drive_that_is_not_trusted_is_no_reference() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        await put(m, "k", b"x")
        m.drives[3].pull()
        m.drives[3].replace(m.clock)
        assert (await m.compare(0)).differences == 0
        with pytest.raises(ReadQuorumLost):
            await m.compare(3)


async def test_too_few_drives_are_no_comparison() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        await put(m, "k", b"x")
        for drive in m.drives[1:]:
            drive.pull()
        with pytest.raises(ReadQuorumLost, match="1 of 4 slots can be compared") as raised:
            await m.compare(0)
        assert not isinstance(raised.value, NoTree)


async def test_servers_that_know_no_trees_are_told_apart() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        for drive in m.drives[1:]:
            drive.rules.append(on("ReadTree", DriveRefusal("what?")))
        with pytest.raises(NoTree):
            await m.compare(0)


async def test_a_drive_that_goes_away_meanwhile_ends_the_comparison() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        m.drives[0].pull()
        for number in range(100):
            await put(m, f"{number}", b"x")
        m.drives[0].bring_back()
        asked = 0

        def later(call: DriveCall) -> Fault | None:
            nonlocal asked
            asked += call.verb == "ReadTree"
            return DriveOffline("pulled") if asked > 1 else None

        for drive in m.drives[1:]:
            drive.rules.append(later)
        with pytest.raises(DriveOffline):
            await m.compare(0)
        assert (await m.drives[0].call(ReadStatus())).comparison is None


async def test_beside_the_notes() -> None:
    """A key that its note healed meanwhile is no difference any more."""
    async with memory_set(Scheme(3, 1)) as m:
        m.drives[0].pull()
        for number in range(20):
            await put(m, f"{number}", LARGE[:5000])
        m.drives[0].bring_back()
        await heal_missed_once(m.background, m.handle)
        assert (await m.compare(0)).differences == 0


@pytest.mark.parametrize("verify", [False, True])
async def test_a_version_with_more_parity_than_its_set_has_is_recoded(*, verify: bool) -> None:
    """Whoever wrote it died before it could note that: whoever heals the key does."""
    async with memory_set(Scheme(3, 1)) as m:
        m.drives[3].pull()
        for drive in m.drives:
            drive.rules.append(on("Settle", DriveOffline("its writer is dead")))
        await put(m, "k", LARGE)
        for drive in m.drives:
            drive.bring_back()
        m.clock.advance(SETTLE_AGE_S + 1)
        if verify:
            await m.walk(3, verify=True)
        else:
            await m.compare(3)
        while await heal_missed_once(m.background, m.handle):
            await m.idle()
        rows = {len(drive.memory.rows[BUCKET, ObjectKey("k")]) for drive in m.drives}
        assert rows == {1}
        opened = await m.store.open_object(BUCKET, ObjectKey("k"), CURRENT)
        assert opened.version.scheme == Scheme(3, 1)
        assert await get(m, "k") == LARGE
        assert not [one for drive in m.drives for one in (await drive.call(ListMissed())).entries]
