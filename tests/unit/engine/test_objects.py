"""The engine over drives in memory: what is acknowledged comes back, whatever fails within m."""

import asyncio
import hashlib
import itertools

import pytest

from objstore.drive.ops import ReadBucket, ReadKey
from objstore.engine.ports import Attributes
from objstore.engine.store import Store
from objstore.errors import DriveFull, DriveOffline, ReadQuorumLost, RequestRefused, WriteQuorumLost
from objstore.limits import INLINE_SHARD_BYTES_MAX, STRIPE_BYTES
from objstore.names import BucketName, ObjectKey, Scheme
from objstore.testing.faulty_drive import Late, Rot, on
from objstore.testing.memory_set import BUCKET, MemorySet, memory_set
from objstore.wire.digests import Digests
from tests.unit.engine.bodies import BytesBody, delete, get, keys, pattern, put, read_all

SCHEMES = [Scheme(3, 1), Scheme(2, 2), Scheme(1, 1), Scheme(1, 3), Scheme(4, 2), Scheme(2, 0)]
EDGE = (INLINE_SHARD_BYTES_MAX - 16) * 3
SIZES = [0, 1, 2, 3, 4, EDGE - 1, EDGE, EDGE + 1, STRIPE_BYTES - 1, STRIPE_BYTES, STRIPE_BYTES + 1,
         3 * STRIPE_BYTES + 17]  # fmt: skip


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
async def test_what_goes_in_comes_out(scheme: Scheme) -> None:
    async with memory_set(scheme) as m:
        for size in SIZES:
            data = pattern(size, size)
            version = await put(m, f"k{size}", data)
            assert version.size == size
            assert version.etag == hashlib.md5(data).hexdigest()
            assert await get(m, f"k{size}") == data


async def test_small_objects_have_no_files_and_large_ones_do() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        await put(m, "small", pattern(EDGE))
        assert not any(drive.memory.files for drive in m.drives)
        await put(m, "large", pattern(EDGE + 1))
        assert all(len(drive.memory.files) == 1 for drive in m.drives)


@pytest.mark.parametrize("scheme", [Scheme(3, 1), Scheme(4, 2)], ids=str)
async def test_any_m_drives_may_be_away(scheme: Scheme) -> None:
    async with memory_set(scheme) as m:
        data = pattern(2 * STRIPE_BYTES + 5)
        await put(m, "large", data)
        await put(m, "small", b"hello")
        for away in itertools.combinations(m.drives, scheme.m):
            for drive in away:
                drive.pull()
            assert await get(m, "large") == data
            assert await get(m, "small") == b"hello"
            for drive in away:
                drive.bring_back()
        for drive in m.drives[: scheme.m + 1]:
            drive.pull()
        with pytest.raises(ReadQuorumLost):
            await get(m, "large")


async def test_ranges_read_exactly_what_they_name() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        data = pattern(2 * STRIPE_BYTES + 500)
        await put(m, "k", data)
        reader = await m.store.open_object(BUCKET, ObjectKey("k"))
        for start, stop in [(0, 1), (5, 5), (STRIPE_BYTES - 1, STRIPE_BYTES + 1), (100, len(data)),
                            (len(data) - 1, len(data)), (349_000, 350_000)]:  # fmt: skip
            assert await read_all(reader, start, stop) == data[start:stop]


@pytest.mark.parametrize("size", [10, STRIPE_BYTES * 2])
async def test_rot_in_any_one_shard_is_read_around(size: int) -> None:
    async with memory_set(Scheme(3, 1)) as m:
        data = pattern(size)
        await put(m, "k", data)
        for drive in m.drives:
            drive.rules.append(on("read_shard", Rot()))
            assert await get(m, "k") == data
            drive.rules.clear()


async def test_a_slow_drive_is_read_around() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        data = pattern(STRIPE_BYTES * 6)
        await put(m, "k", data)
        m.drives[0].rules.append(on("read_shard", Late(30)))
        async with asyncio.timeout(5):
            assert await get(m, "k") == data


async def test_a_write_while_a_drive_is_away_takes_more_parity() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        m.drives[1].pull()
        version = await put(m, "k", pattern(STRIPE_BYTES))
        assert version.scheme == Scheme(2, 2)
        # One more may go, and it is still there: that is what the extra parity is for.
        m.drives[2].pull()
        assert await get(m, "k") == pattern(STRIPE_BYTES)


@pytest.mark.parametrize("size", [10, STRIPE_BYTES])
async def test_a_bucket_that_drives_missed_is_brought_to_them_by_the_next_write(size: int) -> None:
    """[A, C | B | D | P]: drives 0 and 1 are a quorum for a bucket, 2 and 3 one against a write."""
    async with memory_set(Scheme(4, 1), (0, 1, 0, 2, 3)) as m:
        late = m.drives[2:]
        for drive in late:
            drive.pull()
        name = BucketName("young")
        await m.store.create_bucket(name, owner="me", region="")
        for drive in late:
            drive.bring_back()
        await put(m, "k", pattern(size), bucket=name)
        await m.store.create_upload(name, ObjectKey("u"), attributes=Attributes())
        for drive in late:
            page = await drive.call(ReadBucket(name))
            assert len(page.records) == 1
        assert await get(m, "k", bucket=name) == pattern(size)


async def test_a_bucket_that_was_deleted_elsewhere_is_not_brought_back_by_a_write() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        other = Store(m.context)
        await m.store.head_bucket(BUCKET)  # this server remembers it from now on
        await other.delete_bucket(BUCKET)
        with pytest.raises(RequestRefused, match="NoSuchBucket"):
            await put(m, "k", b"data")
        assert await other.list_buckets() == []


async def test_beyond_the_quorum_a_write_is_refused_and_leaves_nothing() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        for drive in m.drives[:2]:
            drive.pull()
        with pytest.raises(WriteQuorumLost):
            await put(m, "k", pattern(STRIPE_BYTES))
        assert not any(drive.memory.files or drive.memory.rows for drive in m.drives)


@pytest.mark.parametrize("verb", ["create_shard", "write", "finish", "Commit"])
@pytest.mark.parametrize("failing", [1, 2])
async def test_drives_that_fail_midway(verb: str, failing: int) -> None:
    async with memory_set(Scheme(3, 1)) as m:
        await put(m, "k", b"old")
        for drive in m.drives[:failing]:
            drive.rules.append(on(verb, DriveFull("full")))
        data = pattern(STRIPE_BYTES + 1)
        if failing == 1:
            await put(m, "k", data)
            assert await get(m, "k") == data
            return
        with pytest.raises(WriteQuorumLost):
            await put(m, "k", data)
        await m.idle()
        for drive in m.drives:
            drive.rules.clear()
        assert await get(m, "k") == b"old"
        assert not any(drive.memory.files for drive in m.drives)


async def test_a_body_that_is_not_what_was_promised_leaves_nothing() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        for size in (10, STRIPE_BYTES):
            digests = Digests(["MD5"])
            digests.expect("MD5", bytes(16))
            with pytest.raises(RequestRefused, match="BadDigest"):
                await m.store.put_object(
                    BUCKET,
                    ObjectKey("k"),
                    BytesBody(pattern(size)),
                    attributes=Attributes(),
                    digests=digests,
                )
        assert not any(drive.memory.files or drive.memory.rows for drive in m.drives)


async def test_the_later_write_wins_when_the_clock_jumps_back() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        for number in range(20):
            await put(m, "k", str(number).encode())
            m.clock.jump(-3600 if number % 2 else 10)
            assert await get(m, "k") == str(number).encode()
        await delete(m, "k")
        with pytest.raises(RequestRefused, match="NoSuchKey"):
            await get(m, "k")


async def test_an_overwrite_leaves_one_version_and_no_old_shard() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        for number in range(5):
            await put(m, "k", pattern(STRIPE_BYTES, number))
        for drive in m.drives:
            state = await drive.call(ReadKey(BUCKET, ObjectKey("k"), 10))
            assert len(state.records) == 1
            assert len(drive.memory.files) == 1


async def test_concurrent_writers_leave_one_whole_object() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        bodies = [pattern(STRIPE_BYTES + n, n) for n in range(12)]
        async with asyncio.TaskGroup() as group:
            for body in bodies:
                group.create_task(put(m, "k", body))
        await m.idle()
        assert await get(m, "k") in bodies
        states = [await drive.call(ReadKey(BUCKET, ObjectKey("k"), 10)) for drive in m.drives]
        assert all(len(state.records) == 1 for state in states)


async def test_two_shards_on_one_drive_as_the_guide_says() -> None:
    # A and C on drive 0, B on 1, D on 2, P on 3: slots A B C D P.
    async with memory_set(Scheme(4, 1), slots=(0, 1, 0, 2, 3)) as m:
        data = pattern(3 * STRIPE_BYTES)
        await put(m, "k", data)
        assert len(m.drives[0].memory.files) == 2
        for drive in m.drives[1:]:
            drive.pull()
            assert await get(m, "k") == data
            drive.bring_back()
        m.drives[0].pull()
        with pytest.raises(ReadQuorumLost):
            await get(m, "k")


async def test_listing_shows_what_a_get_finds() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        names = ["a", "a/b", "a/b/c", "a/b/d", "b", "b//", "é", "z/"]
        for name in names:
            await put(m, name, name.encode())
        assert await keys(m) == sorted(names)
        assert sorted(await keys(m, delimiter="/")) == sorted(["a", "a/", "b", "b/", "é", "z/"])
        assert sorted(await keys(m, prefix="a/b", delimiter="/")) == ["a/b", "a/b/"]
        m.drives[0].pull()
        await delete(m, "a/b/c")
        await delete(m, "a/b/d")
        m.drives[0].bring_back()
        # Drive 0 still has both; nobody may see them.
        assert await keys(m, prefix="a/b", delimiter="/") == ["a/b"]
        assert "a/b/c" not in await keys(m)
        for drive in m.drives[1:3]:
            drive.pull()
        with pytest.raises(ReadQuorumLost):
            await keys_of_three_lost(m)


async def keys_of_three_lost(m: MemorySet) -> None:
    m.drives[3].rules.append(on("ListKeys", DriveOffline("gone")))
    await keys(m)


async def test_paging_through_a_listing_finds_every_key_once() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        names = sorted(f"{a}/{b}" for a in "abc" for b in range(7))
        for name in names:
            await put(m, name, b"x")
        found: list[str] = []
        after = ""
        while True:
            page = await m.store.list_objects(BUCKET, prefix="", delimiter="", after=after, limit=4)
            found += [one.key for one in page.objects]
            after = page.last
            if not page.truncated:
                break
        assert found == names


async def test_a_bucket_with_objects_is_not_deleted() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        await put(m, "k", b"x")
        with pytest.raises(RequestRefused, match="BucketNotEmpty"):
            await m.store.delete_bucket(BUCKET)
        await delete(m, "k")
        await m.store.delete_bucket(BUCKET)
        with pytest.raises(RequestRefused, match="NoSuchBucket"):
            await put(m, "k", b"x")
        assert await m.store.list_buckets() == []
        await m.store.create_bucket(BUCKET, owner="me", region="r")
        assert await keys(m) == []


async def test_of_a_put_and_a_bucket_deletion_that_race_one_is_acknowledged() -> None:
    for _ in range(10):
        async with memory_set(Scheme(3, 1)) as m:
            outcomes: list[str] = []

            async def writing(on: MemorySet = m, done: list[str] = outcomes) -> None:
                try:
                    await put(on, "k", b"x")
                    done.append("put")
                except (RequestRefused, WriteQuorumLost):
                    pass

            async def deleting(on: MemorySet = m, done: list[str] = outcomes) -> None:
                try:
                    await on.store.delete_bucket(BUCKET)
                    done.append("deleted")
                except (RequestRefused, WriteQuorumLost):
                    pass

            async with asyncio.TaskGroup() as group:
                group.create_task(writing())
                group.create_task(deleting())
            assert len(outcomes) <= 1
