"""Any sequence of calls gives the same answers from LocalDrive and from its slow twin.

Calls of a group reach LocalDrive at once, so that they share a transaction, and the twin one by
one: a group means what its calls mean in their order.
"""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from objstore.drive.format import format_drive
from objstore.drive.local import LocalDrive, LocalDriveSettings
from objstore.drive.ops import (
    AbortUpload,
    CheckTree,
    ClearMissed,
    Commit,
    CommitMode,
    DiscardShards,
    Forget,
    ListBuckets,
    ListKeys,
    ListMissed,
    ListTombstones,
    ListUploads,
    ListVersions,
    Op,
    ReadBucket,
    ReadKey,
    ReadStatus,
    ReadTree,
    ReadUpload,
    ReadUsage,
    Settle,
    Undo,
    VersionPage,
)
from objstore.drive.reaper import empty_trash
from objstore.errors import DriveError
from objstore.names import (
    NO_ORDER,
    REVISION_LAST,
    BucketName,
    DriveId,
    Kind,
    ObjectKey,
    Order,
    UploadId,
)
from objstore.ondisk.paths import ShardName
from objstore.ondisk.record import HeldShard
from objstore.ondisk.tree import place_of
from objstore.testing.drive_values import (
    data_id,
    order,
    part,
    put_bucket,
    put_part,
    put_upload,
    sealed,
    stamp,
    version,
)
from objstore.testing.fake_clock import FakeClock
from objstore.testing.local_drives import accept, identity, memory_directory
from objstore.testing.memory_drive import MemoryDrive

_ID = DriveId("d" * 32)
_BUCKETS = [BucketName("b"), BucketName("b2")]
_KEYS = [ObjectKey(key) for key in ("a", "a/", "a/b", "a/c/d", "a0", "é/x")]
_UPLOADS = [UploadId("u1"), UploadId("u2")]
_DATA = [data_id(number) for number in range(1, 4)]
_FILES = [(data, number, shard) for data in _DATA for number in (1, 2) for shard in (0, 1)]

buckets = st.sampled_from(_BUCKETS)
keys = st.sampled_from(_KEYS)
numbers = st.integers(1, 6)
revisions = st.sampled_from([0, 0, 1, REVISION_LAST])
orders: st.SearchStrategy[Order] = st.builds(order, numbers, revisions)
uploads = st.sampled_from(_UPLOADS)
limits = st.sampled_from([1, 2, 3, 100])
texts = st.sampled_from(["", "a", "a/", "a/b", "a/c/", "a0", "é", "z"])


places = st.sampled_from(
    [b"", *(place_of(name, key.encode()) for name in _BUCKETS for key in ("", *_KEYS, "a/z"))]
)


@st.composite
def commits(draw: st.DrawFn) -> Commit:
    completes = draw(st.sampled_from([None, None, *_UPLOADS]))
    data = draw(st.sampled_from(_DATA))
    made = version(
        draw(numbers),
        key=draw(keys),
        bucket=draw(buckets),
        kind=draw(st.sampled_from([Kind.OBJECT, Kind.OBJECT, Kind.TOMBSTONE, Kind.DELETE_MARKER])),
        revision=draw(revisions),
        null_version=draw(st.sampled_from([True, True, True, False])),
        size=draw(st.sampled_from([0, 10, 1000])),
        parts=[part(1, data), part(2, data)],
        upload_id=completes or "",
    )
    held = st.builds(
        HeldShard,
        st.integers(0, 1),
        st.sampled_from([None, b"inline"]),
        st.sampled_from([(), (1,), (1, 2)]),
    )
    shards = draw(st.lists(held, max_size=2, unique_by=lambda shard: shard.shard))
    mode = draw(st.sampled_from(CommitMode))
    return Commit(
        sealed(made, *shards),
        mode,
        draw(st.none() | orders),
        completes,
        draw(orders) if mode is CommitMode.REVISED else None,
        draw(st.none() | st.none() | orders),
    )


writes: st.SearchStrategy[Op[Any]] = st.one_of(
    commits(),
    commits(),
    commits(),
    st.builds(Undo, buckets, keys, orders),
    st.builds(
        Settle,
        buckets,
        keys,
        orders,
        st.sampled_from([(), (0,), (1, 3)]),
        st.sampled_from([0, 10]),
    ),
    st.builds(Forget, buckets, keys, orders),
    st.builds(ClearMissed, buckets, keys, orders, st.sampled_from([(0,), (1,), (0, 1, 3)])),
    st.builds(
        lambda number, name, deleted, force: put_bucket(
            number, name=name, deleted=deleted, force=force
        ),
        numbers,
        buckets,
        st.booleans(),
        st.booleans(),
    ),
    st.builds(
        lambda upload, key, bucket: put_upload(upload, key=key, bucket=bucket),
        uploads,
        keys,
        buckets,
    ),
    st.builds(
        lambda upload, number, data, at, shards: put_part(
            upload, number, data, at=at, shards=shards
        ),
        uploads,
        st.integers(1, 2),
        st.sampled_from(_DATA),
        numbers,
        st.sampled_from([(), (0,), (0, 1)]),
    ),
    st.builds(AbortUpload, uploads),
    st.builds(
        lambda files: DiscardShards(tuple(files)), st.lists(st.sampled_from(_FILES), max_size=3)
    ),
)
reads: st.SearchStrategy[Op[Any]] = st.one_of(
    st.builds(ReadKey, buckets, keys, limits),
    st.builds(
        ReadKey,
        buckets,
        keys,
        limits,
        st.none() | st.builds(stamp, numbers),
        st.booleans(),
        st.none() | orders,
    ),
    st.builds(
        ListVersions,
        buckets,
        texts,
        texts | keys,
        st.just(NO_ORDER) | orders,
        st.sampled_from(["", "/", "b"]),
        limits,
    ),
    st.builds(ReadUsage, buckets),
    st.builds(ListKeys, buckets, texts, texts, st.sampled_from(["", "/", "b"]), limits),
    st.builds(ListKeys, buckets, texts, texts, st.sampled_from(["", "/", "b"]), limits),
    st.builds(ReadBucket, buckets),
    st.just(ListBuckets()),
    st.builds(ReadUpload, uploads, st.integers(0, 2), limits),
    st.builds(ListUploads, buckets, texts, texts, st.sampled_from(["", "u1", "u2"]), limits),
    st.builds(ListMissed, st.sampled_from(["", "b"]), texts, limits),
    st.builds(
        lambda n, b, k, after, limit: ListTombstones(stamp(n), b, k, after, limit),
        numbers,
        st.sampled_from(["", "b"]),
        texts,
        st.just(NO_ORDER) | orders,
        limits,
    ),
    st.just(ReadStatus()),
    st.builds(ReadTree, st.integers(0, 3), places, places, limits),
)
# A failing example is shrunk by hand: each one formats a drive, which makes shrinking slow.
_PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
groups = st.lists(
    st.one_of(st.lists(writes, min_size=1, max_size=6), st.lists(reads, min_size=1, max_size=4)),
    max_size=12,
)


async def _outcome(drive: LocalDrive | MemoryDrive, op: Op[Any]) -> object:
    try:
        result = await drive.call(op)
    except DriveError as error:
        return type(error), error.args
    if isinstance(op, ReadStatus):
        return (
            result.trusted,
            result.objects,
            result.object_bytes,
            result.missed,
            result.missed_bytes,
            result.missed_since_ms,
        )
    if isinstance(op, ListVersions):
        return await _versions(drive, op, result)
    return result


async def _versions(
    drive: LocalDrive | MemoryDrive, op: ListVersions, first: VersionPage
) -> tuple[object, ...]:
    """Return what all pages show: a drive may name the place where one ends in several ways."""
    entries, prefixes = [*first.entries], [*first.prefixes]
    page = first
    while page.next_after is not None:
        key, order = page.next_after
        page = await drive.call(msgspec.structs.replace(op, after_key=key, after_order=order))
        entries += page.entries
        prefixes += page.prefixes
    return first.entries, first.prefixes, first.trusted, entries, prefixes


async def _compare(path: Path, calls: list[list[Op[Any]]], leaf_level: int) -> None:
    format_drive(path, identity(), trusted=True)
    clock = FakeClock()
    local = await LocalDrive.open(
        path, check=accept, clock=clock, settings=LocalDriveSettings(tree_leaf_level=leaf_level)
    )
    twin = MemoryDrive(_ID, clock)
    try:
        for name in _FILES:
            for drive in (local, twin):
                sink = await drive.create_shard(*name)
                await sink.write(b"shard")
                await sink.finish()
        for group in calls:
            async with asyncio.TaskGroup() as tasks:
                running = [tasks.create_task(_outcome(local, op)) for op in group]
            got = [task.result() for task in running]
            for op, answer in zip(group, got, strict=True):
                assert answer == await _outcome(twin, op), op
            clock.advance(1)
        checked = await local.call(CheckTree())
        assert (checked.mended, checked.next) == (0, None)
        await empty_trash(local, clock, older_than_s=0)
        left = await local.run_io(lambda files: {name for name in _FILES if _there(path, name)})
        assert left >= set(twin.files)
        # A group of calls is one transaction: a file that one of them unnames and a later one
        # names stays, where the twin, call by call, has removed it already.
        for name in left - set(twin.files):
            assert await local.is_named(ShardName(*name)), name
        for bucket in _BUCKETS:
            last: list[Op[Any]] = [
                ListKeys(bucket),
                ListVersions(bucket),
                ReadUsage(bucket),
                ListUploads(bucket),
                *(ReadTree(level) for level in range(3)),
            ]
            for op in last:
                assert await _outcome(local, op) == await _outcome(twin, op)
    finally:
        await local.close()


def _there(path: Path, name: tuple[bytes, int, int]) -> bool:
    data, number, shard = name
    return (path / "shards" / data[:1].hex() / f"{data.hex()}.{number}.{shard}").exists()


@pytest.mark.timeout(300)
@settings(max_examples=100, deadline=None, phases=_PHASES, suppress_health_check=list(HealthCheck))
@given(calls=groups, leaf_level=st.sampled_from([0, 0, 1, 2]))
def test_the_twin_gives_the_same_answers(calls: list[list[Op[Any]]], leaf_level: int) -> None:
    first: list[Op[Any]] = [put_bucket(1, name=bucket) for bucket in _BUCKETS]
    first += [put_upload(upload, key=_KEYS[0], bucket=_BUCKETS[0]) for upload in _UPLOADS]
    with memory_directory() as directory:
        asyncio.run(_compare(directory, [first, *calls], leaf_level))
