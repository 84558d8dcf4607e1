"""Reads from what is left, where the operator asked for it: shown is what is there, and no more."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from objstore.engine.absences import Absences
from objstore.engine.patient import PatientStore
from objstore.engine.store import Store
from objstore.errors import QuorumError, ReadQuorumLost, RequestRefused
from objstore.names import BucketName, ObjectKey, Scheme
from objstore.testing.memory_set import BUCKET, MemorySet, memory_set
from tests.unit.engine.bodies import delete, get, keys, pattern, put

COPIES = Scheme(1, 3)


@asynccontextmanager
async def left(scheme: Scheme = COPIES) -> AsyncIterator[MemorySet]:
    async with memory_set(scheme) as m:
        m.store = PatientStore(m.context, Absences(m.clock), stale_reads=True)
        yield m


def pull_all_but(m: MemorySet, *stay: int) -> None:
    for index, drive in enumerate(m.drives):
        if index not in stay:
            drive.pull()


def bring_back(m: MemorySet) -> None:
    for drive in m.drives:
        drive.bring_back()
    m.clock.advance(2)  # buckets are read anew


@pytest.mark.parametrize("size", [0, 10, 3_000_000])
async def test_one_survivor_of_full_copies_serves_what_it_has(size: int) -> None:
    async with left() as m:
        await put(m, "key", pattern(size))
        for survivor in range(4):
            pull_all_but(m, survivor)
            m.clock.advance(2)
            assert await get(m, "key") == pattern(size)
            assert await keys(m) == ["key"]
            assert [one.name for one in await m.store.list_buckets()] == [BUCKET]
            bring_back(m)


async def test_it_is_refused_unless_it_was_asked_for() -> None:
    async with left() as m:
        await put(m, "key", b"content")
        m.store = Store(m.context)
        pull_all_but(m, 0)
        with pytest.raises(ReadQuorumLost):
            await get(m, "key")
        with pytest.raises(ReadQuorumLost):
            await keys(m)


async def test_what_the_survivor_does_not_have_is_refused_and_not_denied() -> None:
    async with left() as m:
        m.drives[0].pull()
        await put(m, "missed", b"content")
        bring_back(m)
        pull_all_but(m, 0)
        with pytest.raises(ReadQuorumLost):
            await get(m, "missed")
        with pytest.raises(ReadQuorumLost):
            await m.store.head_bucket(BucketName("unheard-of"))


async def test_nothing_is_written_or_deleted_by_what_is_left() -> None:
    async with left() as m:
        await put(m, "key", b"content")
        m.drives[0].pull()
        await put(m, "missed", b"content")
        bring_back(m)
        pull_all_but(m, 0)
        for key in ("key", "missed"):
            with pytest.raises(QuorumError):
                await put(m, key, b"new")
            with pytest.raises(QuorumError):
                await delete(m, key)
        with pytest.raises(QuorumError):
            await m.store.create_bucket(BucketName("more"), owner="me", region="")
        bring_back(m)
        for key in ("key", "missed"):
            assert await get(m, key) == b"content"


async def test_something_older_is_shown_only_while_nobody_knows_better() -> None:
    async with left() as m:
        await put(m, "key", b"old")
        m.drives[0].pull()
        await put(m, "key", b"new")
        await put(m, "gone", b"x")
        await delete(m, "gone")
        bring_back(m)
        assert await get(m, "key") == b"new"
        pull_all_but(m, 0)
        m.clock.advance(2)
        assert await get(m, "key") == b"old"
        m.drives[1].bring_back()
        m.clock.advance(2)
        assert await get(m, "key") == b"new", "two of four cannot be certain, and one knows better"
        bring_back(m)
        with pytest.raises(RequestRefused, match="NoSuchKey"):
            await m.store.open_object(BUCKET, ObjectKey("gone"))


async def test_too_few_shards_stay_too_few() -> None:
    async with left(Scheme(3, 1)) as m:
        await put(m, "key", pattern(1000))
        pull_all_but(m, 0, 1)
        with pytest.raises(ReadQuorumLost):
            await get(m, "key")
