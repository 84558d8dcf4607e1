"""Versions, whatever drives are away meanwhile: the store says what a slow obvious twin says."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from objstore.background.heal_queue import heal_missed_once
from objstore.background.reaper import reap_once
from objstore.engine.ports import ListedVersion
from objstore.engine.store import Store
from objstore.errors import RequestRefused
from objstore.names import (
    CURRENT,
    NULL,
    ObjectKey,
    Scheme,
    VersionId,
    Versioning,
)
from objstore.ondisk.record import Bucket, Version
from objstore.testing.memory_set import BUCKET, MemorySet, memory_set
from tests.unit.engine.bodies import put, read_all

KEYS = [ObjectKey("a"), ObjectKey("a/b"), ObjectKey("a0")]


@dataclass
class Held:
    """A version of the twin."""

    version_id: VersionId
    body: bytes | None  # None: a delete marker
    tags: dict[str, str] = field(default_factory=dict)


@dataclass
class Twin:
    """What S3 says should be there: of each key its versions, newest first."""

    versioning: Versioning = Versioning.OFF
    keys: dict[ObjectKey, list[Held]] = field(default_factory=dict)

    def add(self, key: ObjectKey, held: Held) -> None:
        versions = self.keys.setdefault(key, [])
        if held.version_id == NULL:
            versions[:] = [one for one in versions if one.version_id != NULL]
        versions.insert(0, held)

    def remove(self, key: ObjectKey, version_id: VersionId) -> None:
        versions = self.keys.get(key, [])
        versions[:] = [one for one in versions if one.version_id != version_id]

    def find(self, key: ObjectKey, version_id: VersionId) -> Held | None:
        versions = self.keys.get(key, [])
        if version_id == CURRENT:
            return versions[0] if versions else None
        return next((one for one in versions if one.version_id == version_id), None)


def _with_versioning(versioning: Versioning) -> Callable[[Bucket], Bucket]:
    def change(bucket: Bucket) -> Bucket:
        kept = bucket.settings | {"versioning": versioning.value.encode()}
        return msgspec.structs.replace(bucket, settings=kept)

    return change


async def _set_versioning(m: MemorySet, versioning: Versioning) -> None:
    await m.store.change_bucket(BUCKET, _with_versioning(versioning))


def _with_tags(tags: dict[str, str]) -> Callable[[Version], Version]:
    return lambda version: msgspec.structs.replace(version, tags=tags)


async def _delete(m: MemorySet, key: ObjectKey, version_id: VersionId = CURRENT) -> Any:
    return await m.store.delete_object(BUCKET, key, version_id, permission=lambda _: None)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from(KEYS), st.integers(0, 3)),
        st.tuples(st.just("put"), st.sampled_from(KEYS), st.integers(0, 3)),
        st.tuples(st.just("delete"), st.sampled_from(KEYS), st.just(0)),
        st.tuples(st.just("delete version"), st.sampled_from(KEYS), st.integers(0, 3)),
        st.tuples(st.just("tag"), st.sampled_from(KEYS), st.integers(0, 3)),
        st.tuples(st.just("versioning"), st.just(KEYS[0]), st.integers(0, 1)),
        st.tuples(st.just("pull"), st.just(KEYS[0]), st.integers(0, 3)),
        st.tuples(st.just("heal"), st.just(KEYS[0]), st.just(0)),
        st.tuples(st.just("replace"), st.just(KEYS[0]), st.integers(0, 3)),
    ),
    max_size=25,
)


class Machine:
    """Makes each step on the store and on the twin, and compares."""

    def __init__(self, m: MemorySet) -> None:
        self.m = m
        self.twin = Twin()
        self.away: int | None = None

    async def step(self, what: str, key: ObjectKey, number: int) -> None:
        self.m.clock.advance(0.01)
        await getattr(self, "_" + what.replace(" ", "_"))(key, number)
        await self.m.idle()
        await self.compare()

    async def _put(self, key: ObjectKey, number: int) -> None:
        body = bytes([number]) * (number * 20_000)
        version = await put(self.m, key, body)
        assert version.null_version == (self.twin.versioning is not Versioning.ENABLED)
        self.twin.add(key, Held(version.version_id, body))

    async def _delete(self, key: ObjectKey, _: int) -> None:
        deleted = await _delete(self.m, key)
        if self.twin.versioning is Versioning.OFF:
            self.twin.remove(key, NULL)
        else:
            assert deleted.delete_marker
            self.twin.add(key, Held(deleted.version_id, None))

    async def _delete_version(self, key: ObjectKey, number: int) -> None:
        versions = self.twin.keys.get(key, [])
        version_id = versions[number].version_id if number < len(versions) else NULL
        await _delete(self.m, key, version_id)
        self.twin.remove(key, version_id)

    async def _tag(self, key: ObjectKey, number: int) -> None:
        versions = self.twin.keys.get(key, [])
        if number < len(versions):
            held = versions[number]
            held.tags = {"n": str(number)}
            change = _with_tags(held.tags)
            await self.m.store.edit_object(BUCKET, key, held.version_id, change)

    async def _versioning(self, _: ObjectKey, number: int) -> None:
        self.twin.versioning = (Versioning.ENABLED, Versioning.SUSPENDED)[number]
        await _set_versioning(self.m, self.twin.versioning)

    async def _pull(self, _: ObjectKey, number: int) -> None:
        if self.away is None:
            self.away = number
            self.m.drives[number].pull()

    async def _heal(self, _: ObjectKey, __: int) -> None:
        if self.away is not None:
            self.m.drives[self.away].bring_back()
            await self.m.walk(self.away)
            self.away = None
        await heal_missed_once(self.m.background, self.m.handle)
        self.m.clock.advance(1)
        await reap_once(self.m.background, self.m.handle, age_s=0.5)

    async def _replace(self, key: ObjectKey, number: int) -> None:
        await self._heal(key, number)
        self.m.drives[number].replace(self.m.clock)
        await self.m.walk(number)
        assert self.m.drives[number].memory.trusted

    async def compare(self) -> None:
        store = self.m.store
        listing = await store.list_versions(
            BUCKET, prefix="", delimiter="", after_key="", after_version=CURRENT, limit=1000
        )
        shown = [(v.key, v.version_id, v.is_latest, v.delete_marker) for v in listing.versions]
        assert shown == [
            (key, held.version_id, index == 0, held.body is None)
            for key in sorted(self.twin.keys)
            for index, held in enumerate(self.twin.keys[key])
        ]
        current = await store.list_objects(BUCKET, prefix="", delimiter="", after="", limit=1000)
        live = [
            key
            for key in sorted(self.twin.keys)
            if (held := self.twin.find(key, CURRENT)) is not None and held.body is not None
        ]
        assert [one.key for one in current.objects] == live
        for key, versions in self.twin.keys.items():
            for version_id in (CURRENT, *(held.version_id for held in versions)):
                await self._compare_version(key, version_id)

    async def _compare_version(self, key: ObjectKey, version_id: VersionId) -> None:
        held = self.twin.find(key, version_id)
        if held is None:
            with pytest.raises(RequestRefused, match="NoSuchKey"):
                await self.m.store.open_object(BUCKET, key, version_id)
            return
        reader = await self.m.store.open_object(BUCKET, key, version_id)
        assert reader.version.version_id == held.version_id
        assert reader.version.tags == held.tags
        if held.body is not None:
            assert await read_all(reader) == held.body

    async def settle(self) -> None:
        """Once every drive is back and healed, every drive holds the same and counts the same."""
        await self._heal(KEYS[0], 0)
        sizes = [len(held.body or b"") for versions in self.twin.keys.values() for held in versions]
        usage = await self.m.store.bucket_usage(BUCKET)
        assert (usage.versions, usage.version_bytes) == (len(sizes), sum(sizes))
        orders = [
            {name: {row.order for row in rows} for name, rows in drive.memory.rows.items() if rows}
            for drive in self.m.drives
        ]
        assert all(one == orders[0] for one in orders)


@pytest.mark.timeout(300)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(scheme=st.sampled_from([Scheme(3, 1), Scheme(2, 2), Scheme(1, 3)]), script=steps)
def test_versions_are_those_of_the_twin(
    scheme: Scheme, script: list[tuple[str, ObjectKey, int]]
) -> None:
    async def run() -> None:
        async with memory_set(scheme, bracketing=0.0) as m:
            machine = Machine(m)
            for what, key, number in script:
                await machine.step(what, key, number)
            await machine.settle()

    asyncio.run(run())


async def test_pages_of_versions_join_to_the_whole() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        await _set_versioning(m, Versioning.ENABLED)
        for key in KEYS:
            for number in range(3):
                m.clock.advance(1)
                await put(m, key, bytes([number]))
        whole = await m.store.list_versions(
            BUCKET, prefix="", delimiter="", after_key="", after_version=CURRENT, limit=1000
        )
        for limit in range(1, 10):
            pages: list[ListedVersion] = []
            name, version = "", CURRENT
            while True:
                page = await m.store.list_versions(
                    BUCKET, prefix="", delimiter="", after_key=name, after_version=version,
                    limit=limit,
                )  # fmt: skip
                pages += page.versions
                if not page.truncated:
                    break
                name, version = page.last_key, page.last_version
            assert tuple(pages) == whole.versions


async def test_keys_below_a_delimiter_are_one_prefix_even_when_only_markers_are_there() -> None:
    """AWS: "CommonPrefixes: All of the keys rolled up into a common prefix count as a single
    return"; a delete marker is an entry of this listing too."""
    async with memory_set(Scheme(3, 1)) as m:
        await _set_versioning(m, Versioning.ENABLED)
        await _delete(m, ObjectKey("a/b"))
        await put(m, ObjectKey("b"), b"x")
        page = await m.store.list_versions(
            BUCKET, prefix="", delimiter="/", after_key="", after_version=CURRENT, limit=1000
        )
        assert page.prefixes == ("a/",)
        assert [one.key for one in page.versions] == ["b"]


async def test_a_prefix_of_keys_in_several_sets_counts_once() -> None:
    async with memory_set(Scheme(3, 1), seed=1) as one, memory_set(Scheme(2, 2), seed=2) as other:
        for m, key in ((one, "a/1"), (other, "a/2"), (one, "b/1"), (other, "b/2")):
            await put(m, ObjectKey(key), b"x")
        context = replace(one.context, pools=(*one.context.pools, *other.context.pools))
        store = Store(context)
        for after, prefix, truncated in (("", "a/", True), ("a/", "b/", False)):
            page = await store.list_versions(
                BUCKET, prefix="", delimiter="/", after_key=after, after_version=CURRENT, limit=1
            )
            assert (page.prefixes, page.truncated) == ((prefix,), truncated)


async def test_of_edits_that_race_none_is_lost() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        await put(m, KEYS[0], b"x" * 100_000)

        def adding(name: str) -> Callable[[Version], Version]:
            return lambda version: msgspec.structs.replace(version, tags=version.tags | {name: ""})

        async with asyncio.TaskGroup() as group:
            for number in range(8):
                change = adding(str(number))
                group.create_task(m.store.edit_object(BUCKET, KEYS[0], CURRENT, change))
        reader = await m.store.open_object(BUCKET, KEYS[0])
        assert reader.version.tags.keys() == {str(number) for number in range(8)}
        assert await read_all(reader) == b"x" * 100_000


async def test_of_conditional_writes_that_race_one_wins() -> None:
    """AWS: "Uploads the object only if the object key name does not already exist"."""

    def absent(version: Version | None) -> None:
        if version is not None:
            raise RequestRefused("PreconditionFailed")

    async with memory_set(Scheme(3, 1)) as m:
        for number in range(10):
            key = ObjectKey(str(number))

            winners: list[int] = []
            refusals: list[str] = []

            async def attempt(
                writer: int,
                key: ObjectKey = key,
                winners: list[int] = winners,
                refusals: list[str] = refusals,
            ) -> None:
                try:
                    await put(m, key, bytes([writer]), precondition=absent)
                except RequestRefused as refused:
                    refusals.append(refused.reason)
                else:
                    winners.append(writer)

            async with asyncio.TaskGroup() as group:
                for writer in range(20):
                    group.create_task(attempt(writer))
            assert len(winners) == 1
            assert set(refusals) <= {"PreconditionFailed", "ConditionalRequestConflict"}
            assert await read_all(await m.store.open_object(BUCKET, key)) == bytes(winners)


async def test_of_bucket_changes_that_race_none_is_lost() -> None:
    async with memory_set(Scheme(3, 1)) as m:

        def setting(name: str) -> Callable[[Bucket], Bucket]:
            return lambda bucket: msgspec.structs.replace(
                bucket, settings=bucket.settings | {name: b""}
            )

        async with asyncio.TaskGroup() as group:
            for number in range(5):
                group.create_task(m.store.change_bucket(BUCKET, setting(str(number))))
        bucket = await m.store.head_bucket(BUCKET)
        assert bucket.settings.keys() == {str(number) for number in range(5)}


async def test_a_condition_on_a_delete_speaks_of_the_pool_that_has_the_key() -> None:
    async with memory_set(Scheme(3, 1), seed=1) as one, memory_set(Scheme(2, 2), seed=2) as other:
        await put(other, KEYS[0], b"x")  # the first pool does not have it
        context = replace(one.context, pools=(*one.context.pools, *other.context.pools))
        store = Store(context)

        def there(version: Version | None) -> None:
            if version is None:
                raise RequestRefused("NoSuchKey")

        for version_id in (NULL, CURRENT):
            await put(other, KEYS[0], b"x")
            await store.delete_object(
                BUCKET, KEYS[0], version_id, permission=lambda _: None, precondition=there
            )
            with pytest.raises(RequestRefused, match="NoSuchKey"):
                await store.open_object(BUCKET, KEYS[0])
            with pytest.raises(RequestRefused, match="NoSuchKey"):
                await store.delete_object(
                    BUCKET, KEYS[0], version_id, permission=lambda _: None, precondition=there
                )
