"""What is answered holds, whatever becomes of another write of the key that is not.

What only some drives have may yet be taken back, or not be seen by the next reader. Who finds it
must not answer as if it had been done, nor remove what would count without it.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from itertools import combinations

import pytest
from msgspec.structs import replace

from objstore.drive.ops import Commit, CommitMode
from objstore.engine.delete import Permission
from objstore.engine.heal import heal_key
from objstore.engine.store import Store
from objstore.errors import (
    DriveOffline,
    QuorumError,
    RequestRefused,
    Superseded,
    WriteQuorumLost,
)
from objstore.limits import SETTLE_AGE_S
from objstore.names import CURRENT, ObjectKey, Scheme, VersionId, Versioning
from objstore.ondisk.record import Bucket, Version
from objstore.testing.faulty_drive import AnswerLost, DriveCall, Fault, Late, on
from objstore.testing.memory_set import BUCKET, MemorySet, memory_set
from tests.unit.engine.bodies import get, keys, put

KEY = "k"
LATE_S = 0.1
SCHEMES = [Scheme(3, 1), Scheme(2, 2)]
REACHED = [(0,), (3,), (0, 1), (1, 3), (0, 1, 2), (1, 2, 3)]
Delete = Callable[[MemorySet], Coroutine[None, None, object]]


def _first(
    verb: str, fault: Fault, told: Callable[[], None] = lambda: None
) -> Callable[[DriveCall], Fault | None]:
    """Return the rule that the first call of `verb` meets `fault`, and no other; who is told so."""
    met = False

    def rule(call: DriveCall) -> Fault | None:
        nonlocal met
        if met or call.verb != verb:
            return None
        met = True
        told()
        return fault

    return rule


def _hear_first_of(m: MemorySet, drives: tuple[int, ...]) -> None:
    """Let the next read hear of these drives first, and of others if it takes more to tell."""
    others = [drive for drive in range(4) if drive not in drives]
    for drive in others[max(0, 2 - len(drives)) :]:
        m.drives[drive].rules.append(_first("ReadKey", Late(LATE_S)))


async def _is_gone_wherever_one_looks(m: MemorySet) -> None:
    """Read and list by all drives, and by each two and three that are left."""
    for away in [(), *((one,) for one in range(4)), *combinations(range(4), 2)]:
        for drive in away:
            m.drives[drive].pull()
        assert await keys(m) == [], f"drives {away} away"
        with pytest.raises(RequestRefused, match="NoSuchKey"):
            await get(m, KEY)
        for drive in away:
            m.drives[drive].bring_back()


async def _put(m: MemorySet, versioning: Versioning) -> Delete:
    """Store the key; return how it is deleted, for good."""
    await m.store.change_bucket(BUCKET, partial(_with_versioning, versioning))
    version = await put(m, KEY, b"hello")
    version_id = CURRENT if versioning is Versioning.OFF else version.version_id
    return partial(_delete, version_id)


def _with_versioning(versioning: Versioning, bucket: Bucket) -> Bucket:
    settings = bucket.settings | {"versioning": versioning.value.encode()}
    return bucket if versioning is Versioning.OFF else replace(bucket, settings=settings)


async def _delete(version_id: VersionId, m: MemorySet) -> None:
    permission: Permission = _any_version
    await m.store.delete_object(BUCKET, ObjectKey(KEY), version_id, permission=permission)
    await m.idle()


def _any_version(_: Version) -> None:
    pass


@pytest.mark.parametrize("versioning", list(Versioning))
@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
@pytest.mark.parametrize("reached", REACHED, ids=str)
async def test_a_delete_holds_while_another_one_is_under_way(
    scheme: Scheme, reached: tuple[int, ...], versioning: Versioning
) -> None:
    async with memory_set(scheme, bracketing=0.0) as m:
        delete = await _put(m, versioning)
        for drive in set(range(4)) - set(reached):
            m.drives[drive].rules.append(_first("Commit", Late(LATE_S)))
        first = asyncio.create_task(delete(m))
        await m.idle()
        _hear_first_of(m, reached)
        await delete(m)
        await _is_gone_wherever_one_looks(m)
        with suppress(RequestRefused, QuorumError):  # drives went away meanwhile
            await first
        await _is_gone_wherever_one_looks(m)


@pytest.mark.parametrize("versioning", list(Versioning))
@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
@pytest.mark.parametrize("reached", [*REACHED, (0, 1, 2, 3)], ids=str)
async def test_a_delete_holds_while_another_one_is_taken_back(
    scheme: Scheme, reached: tuple[int, ...], versioning: Versioning
) -> None:
    """The drives have its tombstone, and nobody hears that they do."""
    async with memory_set(scheme, bracketing=0.0) as m:
        delete = await _put(m, versioning)
        for drive in range(4):
            lost = AnswerLost() if drive in reached else DriveOffline("away")
            m.drives[drive].rules += [_first("Commit", lost), on("Undo", Late(LATE_S))]
        with pytest.raises(WriteQuorumLost):
            await delete(m)
        _hear_first_of(m, reached)
        await delete(m)
        await asyncio.sleep(2 * LATE_S)
        await _is_gone_wherever_one_looks(m)


async def test_a_version_that_must_stay_stays_when_its_deletion_is_taken_back() -> None:
    """The first delete was allowed to remove it (BypassGovernanceRetention), the second is not."""

    def forbidden(_: Version) -> None:
        raise RequestRefused("AccessDenied")

    async with memory_set(Scheme(2, 2)) as m:
        await m.store.change_bucket(BUCKET, partial(_with_versioning, Versioning.ENABLED))
        version = await put(m, KEY, b"hello")
        for drive in range(4):
            lost = AnswerLost() if drive < 2 else DriveOffline("away")
            m.drives[drive].rules += [_first("Commit", lost), on("Undo", Late(LATE_S))]
        with pytest.raises(WriteQuorumLost):
            await _delete(version.version_id, m)
        _hear_first_of(m, (0, 1))
        with pytest.raises(RequestRefused, match="AccessDenied"):
            await m.store.delete_object(
                BUCKET, ObjectKey(KEY), version.version_id, permission=forbidden
            )
        await asyncio.sleep(2 * LATE_S)
        assert await get(m, KEY) == b"hello"


async def test_deleting_what_is_not_there_writes_nothing() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        await _delete(CURRENT, m)
        assert not any(call.verb == "Commit" for drive in m.drives for call in drive.calls)


async def test_an_edit_holds_while_the_same_edit_is_taken_back() -> None:
    """Two drives have the first one's revision, and a third, which has not, is away."""

    def tagged(version: Version) -> Version:
        return replace(version, tags={"colour": "red"})

    async def edit(m: MemorySet) -> None:
        await m.store.edit_object(BUCKET, ObjectKey(KEY), CURRENT, tagged)

    async with memory_set(Scheme(2, 2)) as m:
        await put(m, KEY, b"hello")
        for drive in range(4):
            lost = AnswerLost() if drive < 2 else DriveOffline("away")
            m.drives[drive].rules += [_first("Commit", lost), on("Undo", Late(LATE_S))]
        with pytest.raises(WriteQuorumLost):
            await edit(m)
        m.drives[3].pull()
        held = True
        try:
            await edit(m)
        except (RequestRefused, WriteQuorumLost):
            held = False
        await asyncio.sleep(2 * LATE_S)
        m.drives[3].bring_back()
        found = await m.store.open_object(BUCKET, ObjectKey(KEY))
        assert not held or found.version.tags == {"colour": "red"}


async def test_a_bucket_setting_holds_when_another_failed_to_set_the_same() -> None:
    change = partial(_with_versioning, Versioning.ENABLED)
    async with memory_set(Scheme(2, 2)) as m:
        for drive in (1, 2, 3):
            m.drives[drive].rules.append(_first("PutBucket", DriveOffline("away")))
        with pytest.raises(WriteQuorumLost):
            await m.store.change_bucket(BUCKET, change)
        await m.store.change_bucket(BUCKET, change)
        m.drives[0].pull()
        another = Store(m.context)  # which remembers nothing
        assert (await another.head_bucket(BUCKET)).versioning is Versioning.ENABLED


async def test_healing_retires_nothing_for_what_may_be_taken_back() -> None:
    """A healer brings an overwrite to a drive, and then too few drives acknowledge it."""
    async with memory_set(Scheme(2, 2)) as m:
        m.drives[3].pull()
        await put(m, KEY, b"old")

        def late_and_lost(call: DriveCall) -> Fault | None:
            ordered = isinstance(call.op, Commit) and call.op.mode is CommitMode.ORDERED
            return DriveOffline("away") if ordered else None

        m.drives[2].rules += [_first("Commit", Late(LATE_S)), late_and_lost]
        overwriting = asyncio.create_task(put(m, KEY, b"new"))
        await asyncio.sleep(LATE_S / 2)
        await heal_key(m.context, m.handle, BUCKET, ObjectKey(KEY), frozenset({2}), verify=False)
        with pytest.raises(WriteQuorumLost):
            await overwriting
        await asyncio.sleep(LATE_S)
        m.drives[3].bring_back()
        assert await get(m, KEY) == b"old"


async def test_settling_an_overwrite_that_stops_half_way_loses_neither() -> None:
    """What it supersedes goes when all have it: in between, neither may have W slots left."""
    async with memory_set(Scheme(2, 4)) as m:
        for drive in (4, 5):
            m.drives[drive].pull()
        await put(m, KEY, b"old")
        for drive in (4, 5):
            m.drives[drive].bring_back()
        for drive in range(4):  # its maker dies: nobody takes back what the other two have
            m.drives[drive].rules.append(on("Commit", DriveOffline("away")))
        for drive in (4, 5):
            m.drives[drive].rules.append(on("Undo", DriveOffline("away")))
        with pytest.raises(WriteQuorumLost):
            await put(m, KEY, b"new")
        await m.idle()
        m.drives[0].rules.clear()
        m.clock.advance(SETTLE_AGE_S + 1)
        with pytest.raises(DriveOffline):
            await heal_key(m.context, m.handle, BUCKET, ObjectKey(KEY), frozenset(), verify=False)
        assert await get(m, KEY) in {b"old", b"new"}
        for one in m.drives:
            one.rules.clear()
        await heal_key(m.context, m.handle, BUCKET, ObjectKey(KEY), frozenset(), verify=False)
        assert await get(m, KEY) == b"new"


async def test_no_try_of_a_write_that_is_refused_is_left_on_a_drive() -> None:
    """It is outrun on drive 0 and tries again, while its first try is on its way to drive 1."""
    async with memory_set(Scheme(2, 2)) as m:
        faults = iter([Late(LATE_S)])

        def first_comes_late(call: DriveCall) -> Fault | None:
            return next(faults, DriveOffline("away")) if call.verb == "Commit" else None

        m.drives[0].rules.append(_first("Commit", Superseded(m.context.stamp())))
        m.drives[1].rules.append(first_comes_late)
        for drive in (2, 3):
            m.drives[drive].rules.append(on("Commit", DriveOffline("away")))
        with pytest.raises(WriteQuorumLost):
            await put(m, KEY, b"refused")
        await asyncio.sleep(2 * LATE_S)
        assert [one.memory.rows.get((BUCKET, ObjectKey(KEY)), []) for one in m.drives] == [[]] * 4


async def test_a_write_that_is_outrun_again_and_again_leaves_nothing() -> None:
    async with memory_set(Scheme(2, 2)) as m:

        def outrun(call: DriveCall) -> Fault | None:
            return Superseded(m.context.stamp()) if call.verb == "Commit" else None

        for drive in (0, 1):
            m.drives[drive].rules.append(outrun)
        with pytest.raises(WriteQuorumLost):
            await put(m, KEY, b"refused")
        await m.idle()
        assert [one.memory.rows.get((BUCKET, ObjectKey(KEY)), []) for one in m.drives] == [[]] * 4


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
@pytest.mark.parametrize(
    ("reached", "code"),
    [
        ((), "PreconditionFailed"),
        ((0,), "ConditionalRequestConflict"),
        ((2,), "ConditionalRequestConflict"),
    ],
)
async def test_what_somebody_may_have_read_is_not_said_to_have_failed(
    scheme: Scheme, reached: tuple[int, ...], code: str
) -> None:
    """A conditional write reaches some drives, and a plain one passes it on the others."""
    async with memory_set(scheme, bracketing=0.0) as m:
        held = await put(m, KEY, b"old")

        def unchanged(found: Version | None) -> None:
            if found is None or found.etag != held.etag:
                raise RequestRefused("PreconditionFailed")

        late = set(range(4)) - set(reached)
        on_their_way = asyncio.Semaphore(0)
        for drive in late:
            m.drives[drive].rules.append(_first("Commit", Late(LATE_S), on_their_way.release))
        swap = asyncio.create_task(put(m, KEY, b"swapped", precondition=unchanged))
        for _ in late:
            await on_their_way.acquire()
        await put(m, KEY, b"plain")
        with pytest.raises(RequestRefused) as refused:
            await swap
        assert refused.value.reason == code
        assert await get(m, KEY) == b"plain"
