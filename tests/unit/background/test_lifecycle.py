"""Lifecycle rules act on what they are for, and on nothing that changed since it was judged."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from objstore.background import lifecycle_actions
from objstore.background.heal_queue import heal_missed_once
from objstore.background.lifecycle import lifecycle_once
from objstore.background.lifecycle_report import LifecycleReport, Result, Work
from objstore.engine import condition, delete
from objstore.engine.ports import Attributes, ListedVersion
from objstore.errors import DriveFaulty, QuorumError
from objstore.limits import LIFECYCLE_ACTIONS_AT_ONCE_MAX
from objstore.names import (
    CURRENT,
    NULL,
    BucketName,
    ObjectKey,
    Scheme,
    UploadId,
    VersionId,
    Versioning,
)
from objstore.ondisk.record import Bucket, Version
from objstore.rules.lifecycle import Act, KeyVersion, due_actions, lifecycle_of
from objstore.testing.faulty_drive import DriveCall, on
from objstore.testing.memory_set import BUCKET, MemorySet, memory_set
from objstore.wire.config_documents.lifecycle import (
    Expiration,
    Filter,
    LifecycleRule,
    NoncurrentExpiration,
    write_lifecycle,
)
from objstore.wire.config_documents.tagging import Tag
from objstore.wire.digests import Digests
from tests.unit.engine.bodies import BytesBody, get, keys, put

DAY_S = 86_400
KEY = ObjectKey("k")


# --- short forms ----------------------------------------------------------------------


def rule(
    rule_id: str = "r",
    *,
    chosen: Filter | None = None,
    days: int | None = None,
    date_ms: int | None = None,
    marker: bool | None = None,
    noncurrent: NoncurrentExpiration | None = None,
    abort_days: int | None = None,
    enabled: bool = True,
) -> LifecycleRule:
    expiration = None
    if (days, date_ms, marker) != (None, None, None):
        expiration = Expiration(days, date_ms, marker)
    return LifecycleRule(rule_id, enabled, chosen or Filter(""), expiration, noncurrent, abort_days)


async def change_settings(m: MemorySet, **changed: bytes | None) -> None:
    def change(bucket: Bucket) -> Bucket:
        kept = {
            name: value for name, value in (bucket.settings | changed).items() if value is not None
        }
        return msgspec.structs.replace(bucket, settings=kept)

    await m.store.change_bucket(BUCKET, change)


async def configure(m: MemorySet, *rules: LifecycleRule) -> None:
    await change_settings(m, lifecycle=write_lifecycle(rules))


async def set_versioning(m: MemorySet, versioning: Versioning) -> None:
    await change_settings(m, versioning=versioning.value.encode())


async def run(m: MemorySet, *, day_s: int = DAY_S) -> LifecycleReport:
    background = replace(m.background, lifecycle_day_s=day_s)
    report = await lifecycle_once(background, m.handle, m.context.now_ms())
    await m.idle()
    return report


async def run_after(m: MemorySet, days: float) -> LifecycleReport:
    m.clock.advance(days * DAY_S)
    return await run(m)


async def versions(m: MemorySet) -> list[ListedVersion]:
    listing = await m.store.list_versions(
        BUCKET, prefix="", delimiter="", after_key="", after_version=CURRENT, limit=1000
    )
    return list(listing.versions)


async def shown(m: MemorySet) -> list[tuple[str, str, bool]]:
    return [(one.key, one.version_id, one.delete_marker) for one in await versions(m)]


async def remove(m: MemorySet, key: str, version_id: VersionId = CURRENT) -> Any:
    done = await m.store.delete_object(
        BUCKET, ObjectKey(key), version_id, permission=lambda _: None
    )
    await m.idle()
    return done


async def tag(m: MemorySet, key: str, version_id: VersionId, **tags: str) -> None:
    def change(version: Version) -> Version:
        return msgspec.structs.replace(version, tags=tags)

    await m.store.edit_object(BUCKET, ObjectKey(key), version_id, change)
    await m.idle()


async def begin_upload(m: MemorySet, key: str) -> UploadId:
    upload = await m.store.create_upload(BUCKET, ObjectKey(key), attributes=Attributes())
    await m.store.put_part(
        BUCKET,
        ObjectKey(key),
        upload.upload_id,
        1,
        BytesBody(b"x" * 50_000),
        digests=Digests(["MD5"]),
    )
    await m.idle()
    return upload.upload_id


def first_before(
    monkeypatch: pytest.MonkeyPatch, module: object, name: str, first: Callable[[], Awaitable[Any]]
) -> None:
    """Let `first` happen just before the first call of a module's function."""
    function = getattr(module, name)
    left = [first]

    async def instead(*arguments: Any, **named: Any) -> Any:
        if left:
            await left.pop()()
        return await function(*arguments, **named)

    monkeypatch.setattr(module, name, instead)


# --- current versions -----------------------------------------------------------------


async def test_an_object_expires_after_its_days_and_midnight() -> None:
    """AWS: "permanently removing the object" in a nonversioned bucket."""
    async with memory_set(Scheme(3, 1)) as m:
        await put(m, "k", b"x" * 200_000)
        await configure(m, rule(days=3))
        assert (await run_after(m, 3)).count(Work.EXPIRE) == 0  # the day is not over
        report = await run_after(m, 1)
        assert report.count(Work.EXPIRE) == 1
        assert report.complete
        assert await shown(m) == []
        assert not any(drive.memory.files for drive in m.drives)
        assert (await run_after(m, 1)).results == {}


async def test_a_date_that_has_come() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        date_ms = (m.context.now_ms() // 86_400_000 + 2) * 86_400_000
        await configure(m, rule(date_ms=date_ms))
        await put(m, "k", b"1")
        assert (await run_after(m, 1)).results == {}
        assert (await run_after(m, 1)).count(Work.EXPIRE) == 1
        # "the rule is applied to all objects that are added later, too"
        await put(m, "later", b"2")
        assert (await run(m)).count(Work.EXPIRE) == 1


async def test_filters_by_prefix_size_and_tag() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        for key, size in (("logs/a", 10), ("logs/b", 10), ("logs/c", 1000), ("other", 10)):
            await put(m, key, b"x" * size)
            await tag(m, key, NULL, keep="no")
        await tag(m, "logs/b", NULL, keep="yes")
        chosen = Filter("logs/", (Tag("keep", "no"),), smaller_than=1000, grouped=True)
        await configure(m, rule(chosen=chosen, days=1))
        report = await run_after(m, 2)
        assert report.count(Work.EXPIRE) == 1
        assert report.versions == 3  # what no rule is for is not even listed
        assert await keys(m) == ["logs/b", "logs/c", "other"]


async def test_tags_are_read_only_where_they_decide() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        chosen = Filter(None, (Tag("a", "1"),), larger_than=50, grouped=True)
        for key, size in (("old", 100), ("small", 10)):
            await put(m, key, b"x" * size)
        m.clock.advance(5 * DAY_S)
        await put(m, "young", b"x" * 100)
        await tag(m, "old", NULL, a="2")
        await configure(m, rule(chosen=chosen, days=3))
        for drive in m.drives:
            drive.calls.clear()
        assert (await run(m)).versions == 3
        read = {
            call.op.key  # type: ignore[union-attr]
            for drive in m.drives
            for call in drive.calls
            if call.verb == "ReadKey"
        }
        assert read == {"old"}


async def test_versioned_objects_are_hidden_and_not_lost() -> None:
    """AWS: "Amazon S3 adds a delete marker with a unique version ID", and retains the object."""
    async with memory_set(Scheme(3, 1)) as m:
        await set_versioning(m, Versioning.ENABLED)
        version = await put(m, "k", b"kept")
        await configure(m, rule(days=1))
        assert (await run_after(m, 2)).count(Work.EXPIRE) == 1
        marker, held = await versions(m)
        assert marker.delete_marker
        assert marker.version_id not in (NULL, version.version_id)
        assert marker.owner == "me"
        assert held.version_id == version.version_id
        assert await keys(m) == []
        # What is hidden is not hidden again.
        assert (await run_after(m, 2)).results == {}


async def test_suspended_versioning_gets_a_null_marker_in_place_of_the_null_version() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        await put(m, "null", b"before versions")
        await set_versioning(m, Versioning.ENABLED)
        kept = await put(m, "versioned", b"kept")
        await set_versioning(m, Versioning.SUSPENDED)
        await configure(m, rule(days=1))
        assert (await run_after(m, 2)).count(Work.EXPIRE) == 2
        assert await shown(m) == [
            ("null", NULL, True),
            ("versioned", NULL, True),
            ("versioned", kept.version_id, False),
        ]


# --- noncurrent versions and markers --------------------------------------------------


async def test_noncurrent_versions_go_by_when_the_next_one_was_made() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        await set_versioning(m, Versioning.ENABLED)
        await put(m, "k", b"1")
        m.clock.advance(10 * DAY_S)
        second = await put(m, "k", b"2")
        m.clock.advance(10 * DAY_S)
        third = await put(m, "k", b"3")
        await configure(m, rule(noncurrent=NoncurrentExpiration(5)))
        # The first became noncurrent ten days ago, the second just now, however old it is.
        assert (await run(m)).count(Work.DELETE_NONCURRENT) == 1
        assert [one[1] for one in await shown(m)] == [third.version_id, second.version_id]


async def test_so_many_newer_noncurrent_versions_stay() -> None:
    """AWS: "Specifies how many noncurrent versions Amazon S3 will retain."."""
    async with memory_set(Scheme(3, 1)) as m:
        await set_versioning(m, Versioning.ENABLED)
        made = [(await put(m, "k", b"%d" % number)).version_id for number in range(7)]
        await configure(m, rule(noncurrent=NoncurrentExpiration(1, 2)))
        assert (await run_after(m, 9)).count(Work.DELETE_NONCURRENT) == 4
        assert [one[1] for one in await shown(m)] == made[:3:-1]


async def test_markers_that_hide_nothing_are_removed() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        await set_versioning(m, Versioning.ENABLED)
        first = await put(m, "alone", b"1")
        await remove(m, "alone")
        await remove(m, "alone", first.version_id)
        await put(m, "hiding", b"2")
        await remove(m, "hiding")
        await configure(m, rule(marker=True))
        assert (await run(m)).count(Work.REMOVE_MARKER) == 1
        assert {one[0] for one in await shown(m)} == {"hiding"}


async def test_one_rule_takes_a_version_from_current_to_gone() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        await set_versioning(m, Versioning.ENABLED)
        await put(m, "k", b"x" * 300_000)
        await configure(m, rule(days=1, noncurrent=NoncurrentExpiration(1)))
        for work in (Work.EXPIRE, Work.DELETE_NONCURRENT, Work.REMOVE_MARKER):
            report = await run_after(m, 2)
            assert report.results == {(work, Result.DONE): 1}
        assert await shown(m) == []
        assert not any(drive.memory.files for drive in m.drives)


async def test_keys_with_more_versions_than_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that ends within a key changes nothing, wherever it ends."""
    for limit in range(1, 6):
        monkeypatch.setattr("objstore.engine.list_versions.LIST_KEYS_MAX", limit)
        async with memory_set(Scheme(3, 1)) as m:
            await set_versioning(m, Versioning.ENABLED)
            kept = set()
            for key in ("a", "b", "c"):
                made = [(await put(m, key, b"%d" % number)).version_id for number in range(5)]
                kept |= {(key, one, False) for one in made[-2:]}
            await remove(m, "m")
            await put(m, "n", b"")
            chosen = Filter(tags=(Tag("x", ""),), grouped=True)
            await configure(
                m,
                rule(noncurrent=NoncurrentExpiration(1, 1)),
                rule("markers", marker=True),
                rule("tagged", chosen=chosen, days=1),
            )
            await tag(m, "n", CURRENT, x="")
            report = await run_after(m, 3)
            assert report.count(Work.DELETE_NONCURRENT) == 9
            assert report.count(Work.REMOVE_MARKER) == 1
            assert report.count(Work.EXPIRE) == 1
            assert report.versions == 17
            left = set(await shown(m))
            assert kept <= left
            assert {one[0] for one in left - kept} == {"n"}


# --- object lock ----------------------------------------------------------------------


async def lock(m: MemorySet, version: Version, **fields: Any) -> None:
    def change(held: Version) -> Version:
        return msgspec.structs.replace(held, **fields)

    await m.store.edit_object(BUCKET, version.key, version.version_id, change)
    await m.idle()


LOCKS = {
    "governance": {"retention_mode": "GOVERNANCE", "retain_until_ms": 10**15},
    "compliance": {"retention_mode": "COMPLIANCE", "retain_until_ms": 10**15},
    "hold": {"legal_hold": True},
    "unreadable mode": {"retention_mode": "ETERNITY", "retain_until_ms": 1},
    "a date without a mode": {"retain_until_ms": 1},
}


@pytest.mark.parametrize("fields", LOCKS.values(), ids=LOCKS.keys())
async def test_locked_versions_stay(fields: dict[str, Any]) -> None:
    """A lock that is not what was ever accepted counts as one; no rule bypasses governance."""
    async with memory_set(Scheme(3, 1)) as m:
        await set_versioning(m, Versioning.ENABLED)
        locked = await put(m, "k", b"1")
        await put(m, "k", b"2")
        await put(m, "k", b"3")
        await lock(m, locked, **fields)
        await configure(m, rule(days=1, noncurrent=NoncurrentExpiration(1)))
        report = await run_after(m, 2)
        assert report.count(Work.DELETE_NONCURRENT) == 1
        assert report.count(Work.DELETE_NONCURRENT, Result.LOCKED) == 1
        assert report.complete
        # "Delete markers are not WORM-protected": a locked current version is hidden all the same.
        assert report.count(Work.EXPIRE) == 1
        assert locked.version_id in [one[1] for one in await shown(m)]
        free = {"retention_mode": "", "retain_until_ms": 0, "legal_hold": False}
        await lock(m, locked, **free)
        assert (await run(m)).count(Work.DELETE_NONCURRENT) == 1


async def test_a_retention_that_is_over_protects_no_more() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        await set_versioning(m, Versioning.ENABLED)
        locked = await put(m, "k", b"1")
        await put(m, "k", b"2")
        until_ms = m.context.now_ms() + 5 * DAY_S * 1000
        await lock(m, locked, retention_mode="COMPLIANCE", retain_until_ms=until_ms)
        await configure(m, rule(noncurrent=NoncurrentExpiration(1)))
        assert (await run_after(m, 4)).count(Work.DELETE_NONCURRENT, Result.LOCKED) == 1
        assert (await run_after(m, 1)).count(Work.DELETE_NONCURRENT) == 1


async def test_a_lock_without_versions_protects_what_would_go_for_good() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        await lock(m, await put(m, "k", b"1"), legal_hold=True)
        await configure(m, rule(days=1))
        assert (await run_after(m, 2)).count(Work.EXPIRE, Result.LOCKED) == 1
        assert await get(m, "k") == b"1"


# --- what changes meanwhile -----------------------------------------------------------

VERSIONINGS = [Versioning.OFF, Versioning.ENABLED, Versioning.SUSPENDED]


async def due_object(m: MemorySet, versioning: Versioning) -> None:
    if versioning is not Versioning.OFF:
        await set_versioning(m, versioning)
    await put(m, "k", b"old")
    await configure(m, rule(days=1))
    m.clock.advance(2 * DAY_S)


@pytest.mark.parametrize("versioning", VERSIONINGS)
async def test_an_object_written_after_the_judgement_stays(
    versioning: Versioning, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with memory_set(Scheme(3, 1)) as m:
        await due_object(m, versioning)
        name = "delete_object" if versioning is Versioning.OFF else "mark_deleted"
        first_before(monkeypatch, lifecycle_actions, name, lambda: put(m, "k", b"new"))
        assert (await run(m)).results == {(Work.EXPIRE, Result.CHANGED): 1}
        assert await get(m, "k") == b"new"


@pytest.mark.parametrize("versioning", VERSIONINGS)
async def test_an_object_written_while_it_is_expired_stays(
    versioning: Versioning, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at the key and the commit: the drives refuse what passes over the PUT."""
    async with memory_set(Scheme(3, 1)) as m:
        await due_object(m, versioning)
        first_before(monkeypatch, condition, "commit_version", lambda: put(m, "k", b"new"))
        assert (await run(m)).results == {(Work.EXPIRE, Result.CHANGED): 1}
        assert await get(m, "k") == b"new"


async def test_tags_that_change_after_the_judgement_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with memory_set(Scheme(3, 1)) as m:
        await put(m, "k", b"1")
        await tag(m, "k", NULL, temporary="yes")
        chosen = Filter(tags=(Tag("temporary", "yes"),))
        await configure(m, rule(chosen=chosen, days=1))
        m.clock.advance(2 * DAY_S)
        first_before(
            monkeypatch, lifecycle_actions, "delete_object", lambda: tag(m, "k", NULL, a="b")
        )
        assert (await run(m)).results == {(Work.EXPIRE, Result.CHANGED): 1}
        assert await get(m, "k") == b"1"


@pytest.mark.parametrize(
    ("module", "name"), [(lifecycle_actions, "delete_judged"), (delete, "commit_version")]
)
async def test_tags_of_a_noncurrent_version_that_change_count(
    module: object, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with memory_set(Scheme(3, 1)) as m:
        await set_versioning(m, Versioning.ENABLED)
        old = (await put(m, "k", b"1")).version_id
        await put(m, "k", b"2")
        await tag(m, "k", old, temporary="yes")
        chosen = Filter(tags=(Tag("temporary", "yes"),))
        await configure(m, rule(chosen=chosen, noncurrent=NoncurrentExpiration(1)))
        m.clock.advance(2 * DAY_S)
        first_before(monkeypatch, module, name, lambda: tag(m, "k", old, temporary="no"))
        assert (await run(m)).results == {(Work.DELETE_NONCURRENT, Result.CHANGED): 1}
        assert len(await shown(m)) == 2


@pytest.mark.parametrize(
    ("module", "name"), [(lifecycle_actions, "delete_judged"), (delete, "commit_version")]
)
async def test_a_version_that_becomes_current_again_stays(
    module: object, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS: "you can remove the delete marker": the object that comes back is not noncurrent."""
    async with memory_set(Scheme(3, 1)) as m:
        await set_versioning(m, Versioning.ENABLED)
        await put(m, "k", b"1")
        marker = (await remove(m, "k")).version_id
        await configure(m, rule(noncurrent=NoncurrentExpiration(1)))
        m.clock.advance(2 * DAY_S)
        first_before(monkeypatch, module, name, lambda: remove(m, "k", marker))
        assert (await run(m)).results == {(Work.DELETE_NONCURRENT, Result.CHANGED): 1}
        assert await get(m, "k") == b"1"


async def test_versions_go_while_newer_ones_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    async with memory_set(Scheme(3, 1)) as m:
        await set_versioning(m, Versioning.ENABLED)
        await put(m, "k", b"1")
        await put(m, "k", b"2")
        await configure(m, rule(noncurrent=NoncurrentExpiration(1)))
        m.clock.advance(2 * DAY_S)
        first_before(monkeypatch, delete, "commit_version", lambda: put(m, "k", b"3"))
        assert (await run(m)).results == {(Work.DELETE_NONCURRENT, Result.DONE): 1}
        assert len(await shown(m)) == 2


async def test_a_null_version_that_was_replaced_is_not_the_one_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every null version has the same name; the one that goes is the one that was judged."""
    async with memory_set(Scheme(3, 1)) as m:
        await put(m, "k", b"null")
        await set_versioning(m, Versioning.ENABLED)
        await put(m, "k", b"2")
        await set_versioning(m, Versioning.SUSPENDED)
        await configure(m, rule(noncurrent=NoncurrentExpiration(1)))
        m.clock.advance(2 * DAY_S)
        first_before(
            monkeypatch, lifecycle_actions, "delete_judged", lambda: put(m, "k", b"new null")
        )
        assert (await run(m)).results == {(Work.DELETE_NONCURRENT, Result.CHANGED): 1}
        assert await get(m, "k") == b"new null"


async def test_a_marker_that_hides_something_again_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    async with memory_set(Scheme(3, 1)) as m:
        await set_versioning(m, Versioning.ENABLED)
        await remove(m, "k")
        await configure(m, rule(marker=True))

        async def written() -> None:
            await put(m, "k", b"1")
            await remove(m, "k")

        first_before(monkeypatch, lifecycle_actions, "delete_judged", written)
        assert (await run(m)).results == {(Work.REMOVE_MARKER, Result.CHANGED): 1}
        assert len(await shown(m)) == 3


@pytest.mark.parametrize("document", [None, write_lifecycle((rule(days=9),))], ids=["none", "new"])
async def test_a_rule_that_is_withdrawn_acts_no_more(
    document: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing that the old rules said is done once the new ones are acknowledged."""
    async with memory_set(Scheme(3, 1)) as m:
        for number in range(30):
            await put(m, f"{number:02}", b"x")
        await configure(m, rule(days=1))
        m.clock.advance(2 * DAY_S)

        left: list[int] = []

        async def withdrawn() -> None:
            await change_settings(m, lifecycle=document)
            m.clock.advance(1.0)  # what another server has read of the bucket is this old at most
            left.append(len(await keys(m)))

        first_before(monkeypatch, lifecycle_actions, "delete_object", withdrawn)
        report = await run(m)
        # What had been begun by then ends as it began.
        assert left[0] - LIFECYCLE_ACTIONS_AT_ONCE_MAX <= len(await keys(m)) < 30
        assert report.count(Work.EXPIRE) + report.count(Work.EXPIRE, Result.CHANGED) == 30
        assert not report.complete


# --- configurations -------------------------------------------------------------------


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"\xff\x00",
        b"<LifecycleConfiguration><Rule>",
        b"<LifecycleConfiguration/>",
        write_lifecycle((rule(days=1),)).replace(b"<Days>1", b"<Days>-1"),
        write_lifecycle((rule(days=1),)).replace(b"<Prefix>", b"<Suffix>", 1),
        write_lifecycle((rule(days=1),)).replace(b"</Rule>", b"<New/></Rule>"),
    ],
)
async def test_a_configuration_that_cannot_be_read_does_nothing(document: bytes) -> None:
    async with memory_set(Scheme(3, 1)) as m:
        await put(m, "k", b"1")
        await change_settings(m, lifecycle=document)
        assert await run_after(m, 100) == LifecycleReport()
        assert await get(m, "k") == b"1"


@settings(max_examples=150, deadline=None)
@given(st.data())
async def test_no_damage_to_a_configuration_ends_a_pass(data: st.DataObject) -> None:
    whole = bytearray(write_lifecycle((rule(days=1, noncurrent=NoncurrentExpiration(1, 2)),)))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    async with memory_set(Scheme(1, 1)) as m:
        await change_settings(m, lifecycle=bytes(whole))
        await run(m)


async def test_rules_that_are_disabled_and_buckets_without_rules() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        await put(m, "k", b"1")
        assert await run_after(m, 9) == LifecycleReport()
        await configure(m, rule(days=1, enabled=False))
        assert await run_after(m, 9) == LifecycleReport()
        assert await keys(m) == ["k"]


async def test_a_short_day_is_not_rounded() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        await put(m, "k", b"1")
        await configure(m, rule(days=3))
        m.clock.advance(5.9)
        assert (await run(m, day_s=2)).results == {}
        m.clock.advance(0.2)
        assert (await run(m, day_s=2)).count(Work.EXPIRE) == 1


# --- uploads --------------------------------------------------------------------------


async def test_uploads_that_were_left_incomplete_are_aborted() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        await begin_upload(m, "logs/a")
        other = await begin_upload(m, "other")
        m.clock.advance(5 * DAY_S)
        young = await begin_upload(m, "logs/b")
        await configure(m, rule(abort_days=3, chosen=Filter("logs/")))
        report = await run(m)
        assert report.results == {(Work.ABORT_UPLOAD, Result.DONE): 1}
        assert (report.uploads, report.versions) == (2, 0)
        listing = await m.store.list_uploads(
            BUCKET, prefix="", delimiter="", after_key="", after_upload="", limit=10
        )
        assert {one.upload_id for one in listing.uploads} == {other, young}
        assert all(len(drive.memory.files) == 2 for drive in m.drives)


async def test_more_uploads_than_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("objstore.engine.list_uploads.LIST_KEYS_MAX", 3)
    async with memory_set(Scheme(3, 1)) as m:
        for number in range(10):
            # What a page of this drive shows goes further than the others'.
            m.drives[0].pull() if number == 2 else m.drives[0].bring_back()
            await begin_upload(m, f"k{number // 4}")
        await configure(m, rule(abort_days=9))
        report = await run_after(m, 2)
        assert (report.uploads, report.results) == (10, {})
        await configure(m, rule(abort_days=1))
        report = await run(m)
        # Drives that lack an upload disagree with those that abort it.
        results = [report.count(Work.ABORT_UPLOAD, one) for one in (Result.DONE, Result.CHANGED)]
        assert sum(results) == 10
        assert not any(drive.memory.files for drive in m.drives)


# --- drives and servers ---------------------------------------------------------------


async def test_a_pass_with_a_drive_away_is_exact() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        await set_versioning(m, Versioning.ENABLED)
        for key in ("a", "b", "c"):
            await put(m, key, b"1")
        m.drives[0].pull()
        newer = await put(m, "b", b"2")
        await configure(m, rule(noncurrent=NoncurrentExpiration(1)))
        m.clock.advance(3 * DAY_S)
        assert (await run(m)).results == {(Work.DELETE_NONCURRENT, Result.DONE): 1}
        # The drive that was away still holds what went, and never heard of the newer one.
        m.drives[0].bring_back()
        assert (await run(m)).results == {}
        m.drives[1].pull()
        assert (await run(m)).results == {}
        assert ("b", newer.version_id, False) in await shown(m)
        assert await get(m, "b") == b"2"


async def test_beyond_the_limits_of_the_layout_nothing_is_done() -> None:
    async with memory_set(Scheme(2, 2)) as m:
        await put(m, "k", b"1")
        await configure(m, rule(days=1))
        m.clock.advance(3 * DAY_S)
        m.drives[0].pull()
        m.drives[1].pull()
        report = await run(m)
        assert report.results == {(Work.EXPIRE, Result.FAILED): 1}  # it is seen, and stays
        assert not report.complete
        m.drives[2].pull()
        with pytest.raises(QuorumError):
            await run(m)
        m.drives[2].bring_back()
        m.drives[0].bring_back()
        assert (await run(m)).count(Work.EXPIRE) == 1


@pytest.mark.parametrize("versioning", [Versioning.OFF, Versioning.ENABLED])
async def test_a_write_that_may_have_failed_makes_nothing_go(versioning: Versioning) -> None:
    """A PUT reached two of four drives and failed; the drive that could tell so is away."""
    async with memory_set(Scheme(2, 2)) as m:
        if versioning is not Versioning.OFF:
            await set_versioning(m, versioning)
        await put(m, "k", b"acknowledged")
        for drive, verb in zip(m.drives, ("Undo", "Undo", "Commit", "Commit"), strict=True):
            drive.rules.append(on(verb, DriveFaulty("a test")))
        with pytest.raises(QuorumError):
            await put(m, "k", b"failed, and longer than the other one")
        await m.idle()
        for drive in m.drives:
            drive.rules.clear()
        assert await get(m, "k") == b"acknowledged"
        longer = Filter("", larger_than=20, grouped=True)
        await configure(
            m, rule(days=1, chosen=longer), rule("old", noncurrent=NoncurrentExpiration(1))
        )
        m.drives[3].pull()
        report = await run_after(m, 3)
        assert report.results
        assert {result for _, result in report.results} == {Result.FAILED}
        m.drives[3].bring_back()
        # Two drives still list what failed; all four know better.
        assert {result for _, result in (await run(m)).results} == {Result.CHANGED}
        assert await get(m, "k") == b"acknowledged"


async def test_one_bucket_that_cannot_be_listed_does_not_hold_up_the_others() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        await put(m, "k", b"1")
        await configure(m, rule(days=1))
        document = write_lifecycle((rule(days=1),))
        for name in (BucketName("abc"), BucketName("xyz")):
            stored = {"lifecycle": document}
            await m.store.create_bucket(name, owner="me", region="", settings=stored)
            await put(m, "k", b"1", bucket=name)
        m.clock.advance(3 * DAY_S)

        def refuse(call: DriveCall) -> Any:
            listing = call.verb == "ListVersions" and call.op.bucket == BUCKET  # type: ignore[union-attr]
            return DriveFaulty("a test") if listing else None

        for drive in m.drives:
            drive.rules.append(refuse)
        report = await run(m)
        assert report.buckets == 3
        assert report.count(Work.EXPIRE) == 2
        assert not report.complete


async def test_two_servers_may_do_the_same_at_once() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        await set_versioning(m, Versioning.ENABLED)
        for number in range(20):
            for _ in range(3):
                await put(m, f"{number:02}", b"1")
        await remove(m, "marker")
        await begin_upload(m, "upload")
        await configure(
            m, rule(days=1, noncurrent=NoncurrentExpiration(1)), rule("uploads", abort_days=1)
        )
        m.clock.advance(2 * DAY_S)
        now_ms = m.context.now_ms()
        servers = [replace(m.background, own=m.background.own[part::2]) for part in (0, 1)]
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(lifecycle_once(server, m.handle, now_ms)) for server in servers
            ]
        await m.idle()
        reports = [task.result() for task in tasks]

        def done(work: Work) -> int:
            return sum(report.count(work) for report in reports)

        # Each deed was done once, and is one server's.
        assert done(Work.EXPIRE) == 20
        assert done(Work.DELETE_NONCURRENT) == 40
        assert done(Work.REMOVE_MARKER) == 1
        assert all(not report.count(work, Result.FAILED) for report in reports for work in Work)
        left = await shown(m)
        assert len(left) == 40
        assert sum(one[2] for one in left) == 20
        assert (await run(m)).count(Work.ABORT_UPLOAD) == 0


async def test_what_only_looks_current_stays() -> None:
    """Two first writes that raced have put a key into two pools: the newest of all is current."""
    async with memory_set(Scheme(3, 1)) as one, memory_set(Scheme(1, 1)) as other:
        joined = replace(one.context, pools=(*one.context.pools, *other.context.pools))
        for m in (one, other):
            await set_versioning(m, Versioning.ENABLED)
        await put(one, "k", b"older")
        await remove(one, "marker")
        other.clock.advance(1)
        newest = await put(other, "k", b"newest")
        await put(other, "marker", b"1")
        chosen = Filter("", smaller_than=6, grouped=True)
        rules = (rule(days=1, chosen=chosen), rule("markers", marker=True))
        for m in (one, other):
            await configure(m, *rules)
            m.clock.advance(3 * DAY_S)
        background = replace(one.background, engine=joined)
        report = await lifecycle_once(background, one.handle, one.context.now_ms())
        assert report.results == {
            (Work.EXPIRE, Result.CHANGED): 1,
            (Work.REMOVE_MARKER, Result.CHANGED): 1,
        }
        report = await lifecycle_once(background, other.handle, one.context.now_ms())
        assert report.results == {(Work.EXPIRE, Result.DONE): 1}  # marker's; k's is too large
        assert [entry[1] for entry in await shown(other) if entry[0] == "k"] == [newest.version_id]


# --- the twin -------------------------------------------------------------------------

TAGS = st.sampled_from([{}, {"a": "1"}, {"a": "1", "b": "2"}])
FILTERS = st.builds(
    Filter,
    st.sampled_from([None, "", "a", "a/"]),
    st.sampled_from([(), (Tag("a", "1"),), (Tag("a", "1"), Tag("b", "2"))]),
    st.none() | st.integers(0, 2),
    st.none() | st.integers(3, 4),
).map(
    lambda chosen: replace(
        chosen,
        grouped=len(chosen.tags)
        + sum(one is not None for one in (chosen.prefix, chosen.larger_than, chosen.smaller_than))
        > 1,
    )
)


@st.composite
def rule_lists(draw: st.DrawFn) -> list[LifecycleRule]:
    made = []
    for number in range(draw(st.integers(1, 3))):
        chosen = draw(FILTERS)
        plain = not chosen.tags and (chosen.larger_than, chosen.smaller_than) == (None, None)
        kinds = ["days", "none"] + (["marker"] if plain else [])
        kind = draw(st.sampled_from(kinds))
        expiration = {
            "days": Expiration(days=draw(st.integers(1, 4))),
            "marker": Expiration(delete_marker=True),
            "none": None,
        }[kind]
        noncurrent = draw(
            st.none()
            | st.builds(NoncurrentExpiration, st.integers(1, 4), st.none() | st.integers(1, 2))
        )
        if expiration is None and noncurrent is None:
            noncurrent = NoncurrentExpiration(1)
        enabled = draw(st.booleans()) or number == 0
        made.append(LifecycleRule(f"r{number}", enabled, chosen, expiration, noncurrent))
    return made


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["put"] * 4 + ["delete", "delete version", "versioning", "pull", "heal"]),
        st.sampled_from(["a", "a/b", "b"]),
        st.integers(0, 4),
        TAGS,
        st.sampled_from([0.0, 0.01, 0.5, 1.0]),
    ),
    max_size=14,
)


@dataclass
class Machine:
    """Makes a history, and says what should be left of it."""

    m: MemorySet
    versioning: Versioning = Versioning.OFF
    away: int | None = None
    tags: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)

    async def step(
        self, what: str, key: str, number: int, tags: dict[str, str], days: float
    ) -> None:
        self.m.clock.advance(0.01 + days * DAY_S)
        match what:
            case "put":
                version = await put(self.m, key, b"x" * number)
                self.tags[key, version.version_id] = tags
                await tag(self.m, key, version.version_id, **tags)
            case "delete":
                await remove(self.m, key)
            case "delete version":
                there = [one for one in await versions(self.m) if one.key == key]
                if number < len(there):
                    await remove(self.m, key, there[number].version_id)
            case "versioning":
                self.versioning = (Versioning.ENABLED, Versioning.SUSPENDED)[number % 2]
                await set_versioning(self.m, self.versioning)
            case "pull":
                self.away = number % 4 if self.away is None else self.away
                self.m.drives[self.away].pull()
            case "heal" if self.away is not None:
                self.m.drives[self.away].bring_back()
                await heal_missed_once(self.m.background, self.m.handle)
                self.away = None

    async def expected(self, rules: list[LifecycleRule]) -> list[tuple[str, str, bool]]:
        """Judge whole keys by the rules, and do in a list what they say."""
        by_key: dict[str, list[ListedVersion]] = {}
        for one in await versions(self.m):
            by_key.setdefault(one.key, []).append(one)
        left: list[tuple[str, str, bool]] = []
        for key, held in by_key.items():
            history = [
                KeyVersion(
                    one.version_id,
                    one.modified_ms,
                    held[at - 1].modified_ms if at else None,
                    one.delete_marker,
                    one.size,
                    frozenset(self.tags.get((key, one.version_id), {}).items())
                    if not one.delete_marker
                    else frozenset(),
                )
                for at, one in enumerate(held)
            ]
            lifecycle = lifecycle_of(tuple(rules))
            due = due_actions(lifecycle, key, history, now_ms=self.m.context.now_ms())
            left += self._after(key, held, {(one.version.version_id, one.act) for one in due})
        return left

    def _after(
        self, key: str, held: list[ListedVersion], due: set[tuple[str, Act]]
    ) -> Iterator[tuple[str, str, bool]]:
        expired = any(act is Act.EXPIRE_CURRENT for _, act in due)
        gone = {name for name, act in due if act is not Act.EXPIRE_CURRENT}
        if expired and self.versioning is Versioning.OFF:
            gone.add(held[0].version_id)
        if expired and self.versioning is Versioning.SUSPENDED:
            gone.add(NULL)
        if expired and self.versioning is not Versioning.OFF:
            yield key, NULL if self.versioning is Versioning.SUSPENDED else "new", True
        for one in held:
            if one.version_id not in gone:
                yield key, one.version_id, one.delete_marker


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    rule_lists(),
    STEPS,
    st.sampled_from([0.0, 1.0, 2.0, 5.0]),
    st.booleans(),
    st.integers(1, 4),
)
async def test_what_is_left_is_what_the_twin_says(
    rules: list[LifecycleRule],
    steps: list[tuple[str, str, int, dict[str, str], float]],
    days: float,
    twice: bool,
    limit: int,
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("objstore.engine.list_versions.LIST_KEYS_MAX", limit)
        async with memory_set(Scheme(3, 1), bracketing=0) as m:
            machine = Machine(m)
            for step in steps:
                await machine.step(*step)
            await configure(m, *rules)
            m.clock.advance(days * DAY_S)
            expected = await machine.expected(rules)
            now_ms = m.context.now_ms()
            async with asyncio.TaskGroup() as group:
                for _ in range(2 if twice else 1):
                    group.create_task(lifecycle_once(m.background, m.handle, now_ms))
            await m.idle()
            known = {name for _, name, _ in expected}
            left = [
                (key, name if name in known else "new", marker)
                for key, name, marker in await shown(m)
            ]
            assert left == expected
