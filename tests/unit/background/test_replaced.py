"""A drive that took another's place: what it may have lost stays unknown, all else it tells of."""

import msgspec
import pytest

from objstore.drive.ops import Commit, CommitMode, ReadStatus
from objstore.errors import ReadQuorumLost
from objstore.limits import CLOCK_DRIFT_SECONDS_MAX, SETTLE_AGE_S
from objstore.names import ObjectKey, Scheme, VersionId, Versioning
from objstore.ondisk.record import Bucket, encode_record, encode_version
from objstore.quorum.thresholds import write_quorum
from objstore.testing.memory_set import BUCKET, MemorySet, memory_set
from objstore.versions.hlc import version_id_of
from tests.unit.engine.bodies import delete, get, put

KEY = ObjectKey("k")
# Those whose W slots less one, or less m, do not hold the k shards that a read takes.
SCHEMES = [Scheme(3, 1), Scheme(2, 1), Scheme(4, 2)]


def _keep_versions(bucket: Bucket) -> Bucket:
    settings = bucket.settings | {"versioning": Versioning.ENABLED.value.encode()}
    return msgspec.structs.replace(bucket, settings=settings)


def _last(m: MemorySet) -> int:
    return len(m.drives) - 1


async def _unfinished_write(m: MemorySet, holders: range) -> None:
    """Leave what a writer leaves that dies when these drives have its version."""
    stamp = m.context.stamp()
    for drive in holders:
        (row,) = m.drives[drive].memory.rows[BUCKET, KEY]
        version = msgspec.structs.replace(row.record.version, stamp=stamp, etag="0" * 32)
        sealed = encode_record(encode_version(version), row.record.held)
        await m.drives[drive].call(Commit(sealed, CommitMode.ORDERED))


def _almost_w(scheme: Scheme) -> range:
    return range(write_quorum(scheme) - 1)


async def _is_trusted(m: MemorySet, drive: int) -> bool:
    return (await m.drives[drive].call(ReadStatus())).trusted


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
async def test_it_tells_of_what_was_written_since(scheme: Scheme) -> None:
    """It did not lose what is younger than itself: W slots never had that, and nothing waits."""
    async with memory_set(scheme) as m:
        await put(m, KEY, b"old")
        m.drives[_last(m)].replace(m.clock)
        m.clock.advance(CLOCK_DRIFT_SECONDS_MAX + 1)
        await _unfinished_write(m, _almost_w(scheme))
        assert await get(m, KEY) == b"old"
        m.clock.advance(SETTLE_AGE_S + 1)
        await m.walk(_last(m))
        assert await _is_trusted(m, _last(m))
        for drive in range(len(m.drives)):
            await m.compare(drive)
        assert {len(drive.memory.rows[BUCKET, KEY]) for drive in m.drives} == {1}
        assert await get(m, KEY) == b"old"


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
async def test_what_it_may_have_lost_is_refused_and_keeps_it_from_nothing_else(
    scheme: Scheme,
) -> None:
    """The drive that went may have made it W: then it was acknowledged, and comes back with it."""
    async with memory_set(scheme) as m:
        await put(m, KEY, b"old")
        await put(m, "other", b"other")
        await _unfinished_write(m, _almost_w(scheme))
        m.drives[_last(m)].replace(m.clock)
        m.clock.advance(SETTLE_AGE_S + 1)
        with pytest.raises(ReadQuorumLost):
            await get(m, KEY)
        await m.walk(_last(m))
        assert await _is_trusted(m, _last(m))
        for drive in range(len(m.drives)):
            await m.compare(drive)
        with pytest.raises(ReadQuorumLost):
            await get(m, KEY)
        assert await get(m, "other") == b"other"
        for drive in _almost_w(scheme):
            assert len(m.drives[drive].memory.rows[BUCKET, KEY]) == 2


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
async def test_the_drive_that_went_brings_it_back(scheme: Scheme) -> None:
    async with memory_set(scheme) as m:
        await put(m, KEY, b"old")
        await _unfinished_write(m, range(write_quorum(scheme)))
        gone = m.drives[write_quorum(scheme) - 1]
        before = gone.inner
        gone.replace(m.clock)
        m.clock.advance(SETTLE_AGE_S + 1)
        await m.walk(write_quorum(scheme) - 1)
        with pytest.raises(ReadQuorumLost):
            await get(m, KEY)
        gone.inner = before
        assert await get(m, KEY) == b"old"  # its bytes are those of the old one, under a new name


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
async def test_who_deletes_such_a_key_has_it_back(scheme: Scheme) -> None:
    async with memory_set(scheme) as m:
        await put(m, KEY, b"old")
        await _unfinished_write(m, _almost_w(scheme))
        m.drives[_last(m)].replace(m.clock)
        m.clock.advance(SETTLE_AGE_S + 1)
        await m.walk(_last(m))
        await delete(m, KEY)
        await put(m, KEY, b"new")
        assert await get(m, KEY) == b"new"
        for drive in range(len(m.drives)):
            await m.compare(drive)
        assert {len(drive.memory.rows[BUCKET, KEY]) for drive in m.drives} == {1}


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
async def test_who_deletes_such_a_version_keeps_the_others(scheme: Scheme) -> None:
    async with memory_set(scheme) as m:
        await m.store.change_bucket(BUCKET, _keep_versions)
        old = await put(m, KEY, b"old")
        await _unfinished_write(m, _almost_w(scheme))
        (row,) = [row for row in m.drives[0].memory.rows[BUCKET, KEY] if row.order != old.order]
        m.drives[_last(m)].replace(m.clock)
        m.clock.advance(SETTLE_AGE_S + 1)
        await m.walk(_last(m))
        short = VersionId(version_id_of(row.record.version.stamp))
        m.drives[1].pull()
        with pytest.raises(ReadQuorumLost):  # a drive that is away may have the k-th shard
            await m.store.delete_object(BUCKET, KEY, short, permission=lambda _: None)
        m.drives[1].bring_back()
        await m.store.delete_object(BUCKET, KEY, short, permission=lambda _: None)
        await m.idle()
        assert await get(m, KEY) == b"old"
        assert not any(
            held.order == row.order for drive in m.drives for held in drive.memory.rows[BUCKET, KEY]
        )


async def test_writing_beside_a_drive_that_was_replaced_once_hides_nothing() -> None:
    """A write that has reached few drives is passed over, as it is where no drive was replaced."""
    async with memory_set(Scheme(3, 1)) as m:
        await put(m, KEY, b"old")
        m.drives[3].replace(m.clock)
        await m.walk(3)
        m.clock.advance(CLOCK_DRIFT_SECONDS_MAX + 1)
        await _unfinished_write(m, range(2))
        assert await get(m, KEY) == b"old"
