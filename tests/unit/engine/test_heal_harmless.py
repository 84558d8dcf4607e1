"""Healing that cannot harm: whatever is damaged, and whatever else happens meanwhile."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from itertools import combinations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from objstore.background.heal_queue import heal_missed_once
from objstore.background.reaper import reap_once
from objstore.drive.ops import ListMissed, ReadKey, ReadStatus
from objstore.engine.heal import heal_key
from objstore.engine.notes import note_wanting
from objstore.erasure.geometry import block_bytes
from objstore.errors import (
    DriveError,
    DriveOffline,
    QuorumError,
    ReadQuorumLost,
    RequestRefused,
    WriteQuorumLost,
)
from objstore.limits import HEAL_EXAMINED_S, SETTLE_AGE_S, STRIPE_BYTES, TOMBSTONE_AGE_S
from objstore.names import ObjectKey, Scheme
from objstore.ondisk.record import decode_record
from objstore.ondisk.shard_file import CHECKSUM_BYTES, HEADER_BYTES, block_checksum
from objstore.testing.faulty_drive import DriveCall, Fault, on
from objstore.testing.memory_rows import HeldFile, ShardKey
from objstore.testing.memory_set import BUCKET, MemorySet, memory_set
from tests.unit.engine.bodies import delete, get, pattern, put

KEY = ObjectKey("k")
STRIPES = 4
LARGE = pattern(STRIPES * STRIPE_BYTES)
SMALL = settings(
    max_examples=15,
    suppress_health_check=list(HealthCheck),
    deadline=None,
)


def frame_of(k: int) -> int:
    return CHECKSUM_BYTES + block_bytes(STRIPE_BYTES, k)


def rot(m: MemorySet, drive: int, stripe: int) -> None:
    """Flip a bit of one stripe's block on a drive that holds one file."""
    ((_, file),) = m.drives[drive].memory.files.items()
    (version,) = {
        row.record.version.k for rows in m.drives[drive].memory.rows.values() for row in rows
    }
    file.data[HEADER_BYTES + stripe * frame_of(version) + 100] ^= 1


def files_of(m: MemorySet) -> list[dict[ShardKey, HeldFile]]:
    return [dict(drive.memory.files) for drive in m.drives]


async def heal_all(m: MemorySet, key: ObjectKey = KEY) -> None:
    for index in range(len(m.drives)):
        await heal_key(m.context, m.handle, BUCKET, key, frozenset({index}), verify=True)


async def reads_without(m: MemorySet, lost: int, key: str, data: bytes) -> None:
    """Read with every choice of `lost` drives away, or of as many as reads are certain without."""
    for gone in combinations(m.drives, min(lost, len(m.drives) // 2)):
        for drive in gone:
            drive.pull()
        assert await get(m, key) == data
        for drive in gone:
            drive.bring_back()


class TestSeveralDamagedShards:
    @pytest.mark.parametrize("scheme", [Scheme(3, 1), Scheme(2, 2), Scheme(1, 2)], ids=str)
    async def test_are_made_whole_from_what_is_good_of_each(self, scheme: Scheme) -> None:
        """Every shard is damaged, each in another stripe: no k of the files are whole."""
        async with memory_set(scheme) as m:
            await put(m, KEY, LARGE)
            for drive in range(scheme.slots):
                rot(m, drive, stripe=drive)
            await heal_all(m)
            await reads_without(m, scheme.m, KEY, LARGE)
            assert not any(drive.memory.repairs for drive in m.drives)

    async def test_a_read_goes_on_with_them_too(self) -> None:
        async with memory_set(Scheme(3, 1)) as m:
            await put(m, KEY, LARGE)
            for drive in range(4):
                rot(m, drive, stripe=drive)
            assert await get(m, KEY) == LARGE

    @SMALL
    @given(st.data())
    async def test_any_damage_that_leaves_k_blocks_of_each_stripe_is_healed(
        self, data: st.DataObject
    ) -> None:
        scheme = data.draw(
            st.sampled_from([Scheme(3, 1), Scheme(2, 2), Scheme(1, 2), Scheme(4, 2)])
        )
        async with memory_set(scheme) as m:
            await put(m, KEY, LARGE)
            for stripe in range(STRIPES):
                slots = st.sets(st.integers(0, scheme.slots - 1), max_size=scheme.m)
                for drive in data.draw(slots):
                    rot(m, drive, stripe)
            order = data.draw(st.permutations(range(scheme.slots)))
            for index in order:
                await heal_key(m.context, m.handle, BUCKET, KEY, frozenset({index}), verify=True)
            await reads_without(m, scheme.m, KEY, LARGE)
            before = files_of(m)
            await heal_all(m)  # and once more changes nothing
            assert files_of(m) == before

    async def test_that_leave_too_little_of_a_stripe_are_all_left_as_they_are(self) -> None:
        async with memory_set(Scheme(3, 1)) as m:
            await put(m, KEY, LARGE)
            for drive in range(4):
                rot(m, drive, stripe=drive)
            rot(m, 1, stripe=0)
            before = [bytes(file.data) for files in files_of(m) for file in files.values()]
            for index in range(4):
                try:
                    await heal_key(
                        m.context, m.handle, BUCKET, KEY, frozenset({index}), verify=True
                    )
                except ReadQuorumLost:
                    continue
            after = [bytes(file.data) for files in files_of(m) for file in files.values()]
            assert after == before


class TestWhatIsRebuilt:
    async def test_is_not_published_when_other_shards_give_something_else(self) -> None:
        """A source that is wrong with a right checksum, as a broken processor makes it."""
        async with memory_set(Scheme(2, 2)) as m:
            version = await put(m, KEY, LARGE)
            wrong, lost = 0, 3
            ((name, file),) = m.drives[wrong].memory.files.items()
            size = frame_of(2)
            block = bytearray(file.data[HEADER_BYTES + CHECKSUM_BYTES : HEADER_BYTES + size])
            block[17] ^= 4
            data_id, _, shard = name
            file.data[HEADER_BYTES : HEADER_BYTES + size] = (
                block_checksum(data_id, shard, 0, bytes(block)) + block
            )
            m.drives[lost].memory.files.clear()
            with pytest.raises(ReadQuorumLost, match="contradict"):
                await heal_key(m.context, m.handle, BUCKET, KEY, frozenset({lost}), verify=True)
            assert not m.drives[lost].memory.files
            assert version.k == 2

    async def test_comes_from_sources_that_rot_while_it_is_rebuilt_or_not_at_all(self) -> None:
        async with memory_set(Scheme(2, 2)) as m:
            await put(m, KEY, LARGE)
            m.drives[1].memory.files.clear()
            reads = 0

            def rots(call: DriveCall) -> Fault | None:
                nonlocal reads
                reads += call.verb == "read_shard"
                if call.verb == "read_shard" and reads == 2:
                    rot(m, 0, stripe=3)
                return None

            m.drives[0].rules.append(rots)
            await heal_key(m.context, m.handle, BUCKET, KEY, frozenset({1}), verify=True)
            m.drives[0].rules.clear()
            await heal_all(m)
            await reads_without(m, 2, KEY, LARGE)


class TestQuarantine:
    async def test_more_than_m_lost_is_refused_listed_and_back_with_the_drive(
        self,
    ) -> None:
        async with memory_set(Scheme(3, 1)) as m:
            await put(m, KEY, LARGE)
            await put(m, "other", b"other")
            rot(m, 0, stripe=1)
            m.drives[1].pull()
            with pytest.raises(ReadQuorumLost):
                await get(m, KEY)
            await m.idle()
            await note_wanting(m.context, m.handle, BUCKET, KEY, m.handle.slots_of_drive[0])
            before = files_of(m)
            for _ in range(3):
                assert await heal_missed_once(m.background, m.handle) == 0
            assert files_of(m) == before
            told = (await m.drives[0].call(ReadStatus())).quarantine
            assert told is not None
            assert [(one.bucket, one.key) for one in told.some] == [(BUCKET, KEY)]
            assert told.count == 1
            assert "shards needed could be read" in told.some[0].reason
            m.drives[1].bring_back()
            await heal_missed_once(m.background, m.handle)
            await m.idle()
            assert await get(m, KEY) == LARGE
            await reads_without(m, 1, KEY, LARGE)
            told = (await m.drives[0].call(ReadStatus())).quarantine
            assert told is not None
            assert told.count == 0
            for drive in m.drives:
                assert not (await drive.call(ListMissed())).entries

    async def test_a_walk_that_cannot_heal_a_key_notes_it_for_the_queue(self) -> None:
        async with memory_set(Scheme(3, 1)) as m:
            await put(m, KEY, LARGE)
            rot(m, 0, stripe=1)
            rot(m, 2, stripe=1)
            await m.walk(0, verify=True)
            assert await heal_missed_once(m.background, m.handle) == 0
            told = (await m.drives[3].call(ReadStatus())).quarantine
            assert told is not None
            assert told.count == 1


async def test_journals_that_were_lost_together_are_rebuilt_from_the_shards_that_are_left() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        await put(m, KEY, LARGE)
        for drive in m.drives[:2]:
            drive.memory.rows.clear()
            drive.memory.trusted = False
        with pytest.raises(ReadQuorumLost):
            await get(m, KEY)
        for _ in range(2):
            for index in range(2):
                await m.walk(index)
        assert all([(await drive.call(ReadStatus())).trusted for drive in m.drives])
        await reads_without(m, 1, KEY, LARGE)


def damage_records(m: MemorySet, drives: Iterable[int]) -> None:
    for drive in drives:
        for row in m.drives[drive].memory.rows[BUCKET, KEY]:
            row.damaged = True


@asynccontextmanager
async def acknowledged_and_damaged(
    scheme: Scheme, drives: Iterable[int]
) -> AsyncIterator[MemorySet]:
    """Give a set with an object that is not new, whose record has rotted on some drives."""
    async with memory_set(scheme) as m:
        await put(m, KEY, b"acknowledged")
        damage_records(m, drives)
        m.clock.advance(SETTLE_AGE_S + 1)
        yield m


async def damaged_records(m: MemorySet) -> int:
    """Heal the key, and count the rows of it that are damaged then."""
    with suppress(ReadQuorumLost):
        await heal_key(m.context, m.handle, BUCKET, KEY, frozenset(range(4)), verify=False)
    rows = [row for drive in m.drives for row in drive.memory.rows.get((BUCKET, KEY), [])]
    return sum(row.damaged for row in rows)


@pytest.mark.parametrize("scheme", [Scheme(3, 1), Scheme(2, 2)], ids=str)
class TestADamagedRecordThatNoDriveHasWhole:
    async def test_is_removed_when_it_was_never_acknowledged(self, scheme: Scheme) -> None:
        """Its writer died half-way. While it is there, no listing can trust its drive."""
        async with memory_set(scheme) as m:
            for drive in (0, 1, 2):
                m.drives[drive].rules.append(on("Commit", DriveOffline("away")))
            m.drives[3].rules.append(on("Undo", DriveOffline("away")))
            with pytest.raises(WriteQuorumLost):
                await put(m, KEY, b"refused")
            await m.idle()
            for one in m.drives:
                one.rules.clear()
            damage_records(m, [3])
            assert await damaged_records(m) == 1  # it may be in flight
            m.clock.advance(SETTLE_AGE_S + 1)
            m.drives[0].pull()
            assert await damaged_records(m) == 1  # who is away may have it
            m.drives[0].bring_back()
            assert await damaged_records(m) == 0
            assert await read_or_none(m) is None

    async def test_stays_when_it_may_have_been_acknowledged(self, scheme: Scheme) -> None:
        async with acknowledged_and_damaged(scheme, range(4)) as m:
            assert await damaged_records(m) == 4

    async def test_stays_when_the_drives_that_had_it_were_replaced(self, scheme: Scheme) -> None:
        async with acknowledged_and_damaged(scheme, [0]) as m:
            for drive in (1, 2, 3):
                m.drives[drive].replace(m.clock)
                m.drives[drive].memory.trusted = True
            assert await damaged_records(m) == 1

    async def test_is_written_anew_from_one_that_has_it(self, scheme: Scheme) -> None:
        async with acknowledged_and_damaged(scheme, [0]) as m:
            assert await damaged_records(m) == 0
            await reads_without(m, scheme.m, KEY, b"acknowledged")


class TestRaces:
    """A healer holds what it asked for while the key goes on living."""

    @SMALL
    @given(st.integers(0, 2**32), st.sampled_from([Scheme(3, 1), Scheme(2, 2), Scheme(1, 2)]))
    async def test_with_overwrites_deletes_itself_and_crashes(
        self, seed: int, scheme: Scheme
    ) -> None:
        """Whatever is acknowledged last is what is read in the end, from whichever drives."""
        chance = random.Random(seed)
        async with memory_set(scheme, seed=seed) as m:
            first = pattern(STRIPE_BYTES, 0)
            await put(m, KEY, first)
            current: bytes | None = first
            m.drives[0].rules.append(crashing(chance))

            async def healer() -> None:
                for _ in range(6):
                    targets = frozenset(chance.sample(range(len(m.drives)), 2))
                    try:
                        async with asyncio.timeout(chance.choice([0.001, 0.01, 5])):
                            await heal_key(m.context, m.handle, BUCKET, KEY, targets, verify=True)
                    except (QuorumError, DriveError, TimeoutError):
                        pass
                    await asyncio.sleep(0)

            async with asyncio.TaskGroup() as group:
                healers = [group.create_task(healer()) for _ in range(2)]
                for step in range(1, 6):
                    for _ in range(chance.randrange(30)):
                        await asyncio.sleep(0)
                    lose_something(m, chance)
                    data = pattern(chance.choice([10, STRIPE_BYTES]), step)
                    try:
                        if chance.random() < 0.4:
                            await delete(m, KEY)
                            current = None
                        else:
                            await put(m, KEY, data)
                            current = data
                    except QuorumError:
                        current = await settled(m, data, current)
                await asyncio.wait(healers)
            m.drives[0].rules.clear()
            m.clock.advance(3600)
            await heal_all(m)
            for gone in (None, *m.drives):
                if gone is not None:
                    gone.pull()
                assert await read_or_none(m) == current
                if gone is not None:
                    gone.bring_back()

    async def test_a_delete_that_was_forgotten_during_a_long_rebuild_stays(
        self,
    ) -> None:
        async with memory_set(Scheme(1, 2)) as m:
            await put(m, KEY, LARGE)
            m.drives[2].memory.files.clear()
            m.drives[2].memory.rows.clear()
            late = asyncio.Event()

            def waits(call: DriveCall) -> Fault | None:
                if call.verb == "finish":
                    late.set()
                return None

            m.drives[2].rules.append(waits)
            healing = asyncio.create_task(
                heal_key(m.context, m.handle, BUCKET, KEY, frozenset({2}), verify=False)
            )
            await late.wait()
            # The healer is about to commit. The object goes, and so does its tombstone.
            await delete(m, KEY)
            m.clock.advance(TOMBSTONE_AGE_S + HEAL_EXAMINED_S + 1)
            assert await reap_once(m.background, m.handle, age_s=TOMBSTONE_AGE_S) == 1
            await healing
            await heal_all(m)
            assert await read_or_none(m) is None
            assert not any(any(drive.memory.rows.values()) for drive in m.drives)


def crashing(chance: random.Random) -> Callable[[DriveCall], Fault | None]:
    """A drive that now and then fails in the middle of writing a shard or committing a repair."""

    def rule(call: DriveCall) -> Fault | None:
        if call.verb in {"finish", "write", "create_shard"} and chance.random() < 0.2:
            return DriveOffline("crashed")
        return None

    return rule


def lose_something(m: MemorySet, chance: random.Random) -> None:
    """Damage or lose files of the drive that crashes too: so at most m shards of an object."""
    files = m.drives[0].memory.files
    for name in list(files):
        if chance.random() < 0.5:
            del files[name]
        elif len(files[name].data) > HEADER_BYTES + 100:
            files[name].data[HEADER_BYTES + 100] ^= 1


async def settled(m: MemorySet, data: bytes, before: bytes | None) -> bytes | None:
    """A write that was refused may have happened; from what is read now on it has or has not."""
    for _ in range(20):
        try:
            seen = await read_or_none(m)
        except QuorumError:
            await asyncio.sleep(0)
            continue
        assert seen in (data, before, None)
        return seen
    raise AssertionError


async def read_or_none(m: MemorySet) -> bytes | None:
    try:
        return await get(m, KEY)
    except RequestRefused:
        return None


async def test_versions_that_can_be_healed_are_although_another_cannot() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        await put(m, KEY, LARGE)
        before = (await m.drives[1].call(ReadKey(BUCKET, KEY))).records
        assert decode_record(before[0]).version.k == 3
        await heal_all(m)
        assert (await m.drives[1].call(ReadKey(BUCKET, KEY))).records == before
